"""How long events take from the stream to the decision and to the archive."""

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
    "How long events take from the stream to the decision and to the archive.",
    {
        "Stream": [
            lines(
                "Append",
                "How long the stream takes to acknowledge the events of one RPC; clients wait for it.",
                "s",
                *quantiles(registry.APPEND_SECONDS, (0.5, 0.99), **here()),
            ),
            lines(
                "Accepted and applied",
                (
                    "Events per second that were put on the stream, and that were applied. If they differ for long, "
                    "the lag grows."
                ),
                "short",
                (summed(rate(registry.EVENTS, INTERVAL, **here(verdict="accepted"))), "accepted"),
                (summed(rate(registry.APPLIED_EVENTS, INTERVAL, **here())), "applied"),
            ),
            bars(
                "Failed records",
                "Records that could not be applied, kept as failed events.",
                "short",
                (summed(grown(registry.SET_ASIDE, INTERVAL, **here())), "records"),
            ),
        ],
        "Consumers": [
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
                "Red: a shard has no consumer, or its consumer makes no progress. `GET /api/pipeline` says why.",
                (largest(gauge(registry.TROUBLE, **here()), "reader", "shard"), "{{reader}}, shard {{shard}}"),
            ),
        ],
        "Steps": [
            lines(
                "Steps, p99",
                "How long each step takes for a batch; steps run one after another.",
                "s",
                (quantile(0.99, registry.STEP_SECONDS, INTERVAL, "step", **here()), "{{step}}"),
            ),
            lines(
                "Time by step",
                (
                    "Seconds per second that dispatchers spend in each step. Close to the number of shards, they are "
                    "always busy."
                ),
                "short",
                (summed(time_spent(registry.STEP_SECONDS, INTERVAL, **here()), "step"), "{{step}}"),
            ),
            heat(
                "Decision delay",
                "Distribution of the time from the stream to the decision, by record.",
                "s",
                registry.DECISION_DELAY,
            ),
        ],
        "Archive and store": [
            bars(
                "Archived events",
                "Events written to the archive, in bursts because they are written as files.",
                "short",
                (summed(grown(registry.ARCHIVED_EVENTS, INTERVAL, **here())), "events"),
            ),
            bars(
                "Archived bytes",
                "Bytes written to the archive.",
                "bytes",
                (summed(grown(registry.ARCHIVED_BYTES, INTERVAL, **here())), "bytes"),
            ),
            bars(
                "Expired",
                "What retention deleted from the archive, once a day: rows, and files deleted or rewritten.",
                "short",
                (summed(grown(registry.EXPIRED_ROWS, INTERVAL, **here())), "rows"),
                (summed(grown(registry.EXPIRED_FILES, INTERVAL, **here())), "files"),
            ),
            lines(
                "Store memory",
                "Used memory and its limit. At the limit no events are accepted.",
                "bytes",
                (largest(gauge(registry.STORE_MEMORY, **here())), "used"),
                (largest(gauge(registry.STORE_MEMORY_LIMIT, **here())), "limit"),
            ),
        ],
        "Jobs": [
            lines(
                "Jobs that ended",
                "By kind, done or failed. `journeymesh jobs list` says why one failed.",
                "short",
                (summed(grown(registry.JOBS, INTERVAL, **here()), "kind", "state"), "{{kind}} {{state}}"),
                width=8,
            ),
            lines(
                "Jobs that were queued",
                "By kind, and by what started them: a person, drift, or calibration.",
                "short",
                (summed(grown(registry.JOBS_STARTED, INTERVAL, **here()), "kind", "by"), "{{kind}} {{by}}"),
                width=8,
            ),
            lines(
                "Duration of a job, p99",
                "From the beginning of the first attempt, of jobs that are done.",
                "s",
                (quantile(0.99, registry.JOB_SECONDS, INTERVAL, "kind", **here()), "{{kind}}"),
                width=8,
            ),
        ],
        "RPCs": [
            lines(
                "RPCs",
                "RPCs per second, by method.",
                "reqps",
                (summed(runs(registry.RPC_SECONDS, INTERVAL, **here()), "method"), "{{method}}"),
            ),
            lines(
                "Duration, p99",
                "Time in the process that answers, by method.",
                "s",
                (quantile(0.99, registry.RPC_SECONDS, INTERVAL, "method", **here()), "{{method}}"),
            ),
            lines(
                "RPCs that failed",
                "Share of a method's RPCs that failed. NOT_FOUND does not count as a failure.",
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
