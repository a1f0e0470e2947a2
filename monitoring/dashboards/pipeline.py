"""Where an event's time goes, from the stream to the decision and to the archive."""

from typing import Final

from mesh.observability import registry
from monitoring import limits
from monitoring.grafana import INTERVAL, bars, dashboard, heat, here, lines, quantiles, states
from monitoring.promql import (
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

DASHBOARD: Final = dashboard(
    "pipeline",
    "Pipeline and lag",
    "Where an event's time goes between the stream, the decision and the archive.",
    {
        "Onto the stream": [
            lines(
                "Append",
                "How long the stream takes to acknowledge what one RPC brings; clients wait for it.",
                "s",
                *quantiles(registry.APPEND_SECONDS, (0.5, 0.99), **here()),
            ),
            lines(
                "Accepted and applied",
                (
                    "Events a second that came onto the stream, and that went through the mesh. Apart for long: the "
                    "lag grows."
                ),
                "short",
                (summed(rate(registry.EVENTS, INTERVAL, **here(verdict="accepted"))), "accepted"),
                (summed(rate(registry.APPLIED_EVENTS, INTERVAL, **here())), "applied"),
            ),
            bars(
                "Set aside",
                "Records that could not be applied, kept as failed events.",
                "short",
                (summed(grown(registry.SET_ASIDE, INTERVAL, **here())), "records"),
            ),
        ],
        "Its readers": [
            lines(
                "Lag of dispatchers",
                "Age of the oldest event that waits for a decision, by shard.",
                "s",
                (largest(gauge(registry.LAG, **here(reader="dispatcher")), "shard"), "shard {{shard}}"),
                limits=(limits.HIGH_LAG_SECONDS,),
            ),
            lines(
                "Lag of the archiver",
                "Age of the oldest event that waits for the archive, by shard. About a minute is usual.",
                "s",
                (largest(gauge(registry.LAG, **here(reader="archiver")), "shard"), "shard {{shard}}"),
                limits=(limits.LATE_ARCHIVE_SECONDS,),
            ),
            states(
                "Trouble",
                "Red: a reader does not get on with a shard, or nobody reads it. `GET /api/pipeline` says why.",
                (largest(gauge(registry.TROUBLE, **here()), "reader", "shard"), "{{reader}}, shard {{shard}}"),
            ),
        ],
        "Through the mesh": [
            lines(
                "Steps, p99",
                "How long each step takes for a batch; the steps follow one another.",
                "s",
                (quantile(0.99, registry.STEP_SECONDS, INTERVAL, "step", **here()), "{{step}}"),
            ),
            lines(
                "Time by step",
                (
                    "Seconds a second that dispatchers spend in each step. Near the number of shards they are busy all "
                    "the time."
                ),
                "short",
                (summed(time_spent(registry.STEP_SECONDS, INTERVAL, **here()), "step"), "{{step}}"),
            ),
            heat(
                "Decision delay",
                "How many records were decided on after which time.",
                "s",
                registry.DECISION_DELAY,
            ),
        ],
        "Archive and store": [
            bars(
                "Archived events",
                "Events written to the archive; they come in files, so in bursts.",
                "short",
                (summed(grown(registry.ARCHIVED_EVENTS, INTERVAL, **here())), "events"),
            ),
            bars(
                "Archived bytes",
                "Bytes of the files written.",
                "bytes",
                (summed(grown(registry.ARCHIVED_BYTES, INTERVAL, **here())), "bytes"),
            ),
            lines(
                "Store memory",
                "What the store uses, and what it may. At its limit no event is taken.",
                "bytes",
                (largest(gauge(registry.STORE_MEMORY, **here())), "used"),
                (largest(gauge(registry.STORE_MEMORY_LIMIT, **here())), "limit"),
            ),
        ],
        "RPCs": [
            lines(
                "RPCs",
                "RPCs a second, by method.",
                "reqps",
                (summed(runs(registry.RPC_SECONDS, INTERVAL, **here()), "method"), "{{method}}"),
            ),
            lines(
                "Duration, p99",
                "How long they took the process that answered.",
                "s",
                (quantile(0.99, registry.RPC_SECONDS, INTERVAL, "method", **here()), "{{method}}"),
            ),
            lines(
                "RPCs that failed",
                "Share of a method's RPCs that ended otherwise than well. NOT_FOUND is an answer, too, and left out.",
                "percentunit",
                (
                    share(
                        summed(runs(registry.RPC_SECONDS, INTERVAL, **here(status=unlike("OK|NOT_FOUND"))), "method"),
                        summed(runs(registry.RPC_SECONDS, INTERVAL, **here()), "method"),
                    ),
                    "{{method}}",
                ),
            ),
        ],
    },
)
