"""Where an event's time goes, from the stream to the decision and to the archive."""

from typing import Final

from mesh import registry
from monitoring import limits
from monitoring.grafana import INTERVAL, Dashboard, Form, Panel, Query, Row, here
from monitoring.promql import (
    buckets,
    gauge,
    grown,
    largest,
    quantile,
    rate,
    runs,
    share,
    summed,
    time_spent,
    unlike,
)

_STREAM: Final = Row(
    "Onto the stream",
    (
        Panel(
            "Append",
            "How long the stream takes to acknowledge what one RPC brings; clients wait for it.",
            "s",
            tuple(
                Query(quantile(each, registry.APPEND_SECONDS, INTERVAL, **here()), f"p{each * 100:.0f}")
                for each in (0.5, 0.99)
            ),
        ),
        Panel(
            "Accepted and applied",
            "Events a second that came onto the stream, and that went through the mesh. Apart for long: the lag grows.",
            "short",
            (
                Query(summed(rate(registry.EVENTS, INTERVAL, **here(verdict="accepted"))), "accepted"),
                Query(summed(rate(registry.APPLIED_EVENTS, INTERVAL, **here())), "applied"),
            ),
        ),
        Panel(
            "Set aside",
            "Records that could not be applied, kept as failed events.",
            "short",
            (Query(summed(grown(registry.SET_ASIDE, INTERVAL, **here())), "records"),),
            Form.BARS,
        ),
    ),
)
_READERS: Final = Row(
    "Its readers",
    (
        Panel(
            "Lag of dispatchers",
            "Age of the oldest event that waits for a decision, by shard.",
            "s",
            (Query(largest(gauge(registry.LAG, **here(reader="dispatcher")), "shard"), "shard {{shard}}"),),
            limits=(limits.HIGH_LAG_SECONDS,),
        ),
        Panel(
            "Lag of the archiver",
            "Age of the oldest event that waits for the archive, by shard. About a minute is usual.",
            "s",
            (Query(largest(gauge(registry.LAG, **here(reader="archiver")), "shard"), "shard {{shard}}"),),
            limits=(limits.LATE_ARCHIVE_SECONDS,),
        ),
        Panel(
            "Trouble",
            "Red: a reader does not get on with a shard, or nobody reads it. `GET /api/pipeline` says why.",
            "none",
            (Query(largest(gauge(registry.TROUBLE, **here()), "reader", "shard"), "{{reader}}, shard {{shard}}"),),
            Form.STATES,
        ),
    ),
)
_STEPS: Final = Row(
    "Through the mesh",
    (
        Panel(
            "Steps, p99",
            "How long each step takes for a batch; the steps follow one another.",
            "s",
            (Query(quantile(0.99, registry.STEP_SECONDS, INTERVAL, "step", **here()), "{{step}}"),),
        ),
        Panel(
            "Time by step",
            (
                "Seconds a second that dispatchers spend in each step. Near the number of shards they are busy all the "
                "time."
            ),
            "short",
            (Query(summed(time_spent(registry.STEP_SECONDS, INTERVAL, **here()), "step"), "{{step}}"),),
        ),
        Panel(
            "Decision delay",
            "How many records were decided on after which time.",
            "s",
            (Query(buckets(registry.DECISION_DELAY, INTERVAL, **here()), "{{le}}"),),
            Form.HEAT,
        ),
    ),
)
_ARCHIVE: Final = Row(
    "Archive and store",
    (
        Panel(
            "Archived events",
            "Events written to the archive; they come in files, so in bursts.",
            "short",
            (Query(summed(grown(registry.ARCHIVED_EVENTS, INTERVAL, **here())), "events"),),
            Form.BARS,
        ),
        Panel(
            "Archived bytes",
            "Bytes of the files written.",
            "bytes",
            (Query(summed(grown(registry.ARCHIVED_BYTES, INTERVAL, **here())), "bytes"),),
            Form.BARS,
        ),
        Panel(
            "Store memory",
            "What the store uses, and what it may. At its limit no event is taken.",
            "bytes",
            (
                Query(largest(gauge(registry.STORE_MEMORY, **here())), "used"),
                Query(largest(gauge(registry.STORE_MEMORY_LIMIT, **here())), "limit"),
            ),
        ),
    ),
)
_RPCS: Final = Row(
    "RPCs",
    (
        Panel(
            "RPCs",
            "RPCs a second, by method.",
            "reqps",
            (Query(summed(runs(registry.RPC_SECONDS, INTERVAL, **here()), "method"), "{{method}}"),),
        ),
        Panel(
            "Duration, p99",
            "How long they took the process that answered.",
            "s",
            (Query(quantile(0.99, registry.RPC_SECONDS, INTERVAL, "method", **here()), "{{method}}"),),
        ),
        Panel(
            "RPCs that failed",
            "Share of a method's RPCs that ended otherwise than well. NOT_FOUND is an answer, too, and left out.",
            "percentunit",
            (
                Query(
                    share(
                        summed(runs(registry.RPC_SECONDS, INTERVAL, **here(status=unlike("OK|NOT_FOUND"))), "method"),
                        summed(runs(registry.RPC_SECONDS, INTERVAL, **here()), "method"),
                    ),
                    "{{method}}",
                ),
            ),
        ),
    ),
)

DASHBOARD: Final = Dashboard(
    "pipeline",
    "Pipeline and lag",
    "Where an event's time goes between the stream, the decision and the archive.",
    (_STREAM, _READERS, _STEPS, _ARCHIVE, _RPCS),
)
