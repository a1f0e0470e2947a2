"""Alerts: the stream, its consumers, and what they write to."""

from mesh.observability import registry
from monitoring import limits
from monitoring.alert import MINUTE, Alert, Severity, TimeScale
from monitoring.promql import gauge, grown, largest, summed


def alerts(scale: TimeScale) -> tuple[Alert, ...]:
    """The alerts of this group."""
    archive_lag = largest(gauge(registry.LAG, reader="archiver"), "namespace")
    archive_trouble = largest(gauge(registry.TROUBLE, reader="archiver"), "namespace")
    used = largest(gauge(registry.STORE_MEMORY) / gauge(registry.STORE_MEMORY_LIMIT), "namespace")
    return (
        Alert(
            "JourneymeshLagHigh",
            Severity.PAGE,
            largest(gauge(registry.LAG, reader="dispatcher"), "namespace").by_number(">", limits.HIGH_LAG_SECONDS),
            2 * MINUTE,
            "Decisions in {{ $labels.namespace }} are {{ $value | humanizeDuration }} late.",
            "The oldest event that waits for a dispatcher is older than 5 s. From 5 s on, ingest refuses events "
            "(`JOURNEYMESH_MAX_LAG_SECONDS`), unless the shard waits for a service that is down.",
            (
                "Dashboard “Pipeline and lag”: one shard, or all of them?",
                (
                    "All: add dispatchers, up to one per shard; then add shards. One: `GET /api/pipeline` shows its "
                    "trouble; a burst of one user stays in one shard."
                ),
            ),
        ),
        Alert(
            "JourneymeshReaderStuck",
            Severity.PAGE,
            largest(gauge(registry.TROUBLE, reader="dispatcher"), "namespace", "shard").by_number("==", 1),
            2 * MINUTE,
            "Shard {{ $labels.shard }} in {{ $labels.namespace }} has no consumer or makes no progress.",
            "No dispatcher holds the shard, or its dispatcher keeps failing at the same position. Users of this shard "
            "get no help; their events wait.",
            (
                "`GET /api/pipeline` shows the owner and describes the trouble.",
                "No owner: are dispatchers running? A new one takes the shard at once.",
                (
                    "“most records fail”: a service rejects its requests; its log says why. No events fail until "
                    "that is fixed."
                ),
            ),
        ),
        Alert(
            "JourneymeshEventsSetAside",
            Severity.TICKET,
            summed(grown(registry.SET_ASIDE, scale(15 * MINUTE)), "namespace").by_number(">", 0),
            0,
            'Records with failed events in {{ $labels.namespace }} within 15 minutes: {{ $value | printf "%.0f" }}.',
            "A service cannot apply a record although it applies others: a bug in Journeymesh, or a record that cannot "
            "be decoded. It is kept as failed events; the users' other events were applied.",
            (
                "`GET /api/failed-events?reason=POISON` shows them; the dispatcher's log names the step that failed.",
                'Once it is fixed: `POST /api/failed-events:replay` with `{"reason": "POISON"}`.',
            ),
        ),
        Alert(
            "JourneymeshStoreNearlyFull",
            Severity.PAGE,
            used.by_number(">", limits.FULL_STORE_SHARE),
            5 * MINUTE,
            "The store of {{ $labels.namespace }} is {{ $value | humanizePercentage }} full.",
            "When it is full, ingest answers 503 and accepts no events.",
            (
                "Give it more memory; “Size” in [operations.md](operations.md) says how much users and events need.",
                (
                    "To gain time, shorten `JOURNEYMESH_LEDGER_LIFETIME_SECONDS`. If the archiver is late, the store "
                    "also holds whatever is not archived yet."
                ),
            ),
        ),
        Alert(
            "JourneymeshArchiveLate",
            Severity.TICKET,
            archive_lag.by_number(">", limits.LATE_ARCHIVE_SECONDS).or_else(archive_trouble.by_number("==", 1)),
            10 * MINUTE,
            "The archive of {{ $labels.namespace }} is late, or a shard has no archiver.",
            "Events have waited for the archiver for more than 15 minutes, or it makes no progress. Decisions are not "
            "delayed. The stream keeps waiting events: Redis Streams in the store's memory, Kinesis until its "
            "retention ends, which would leave a gap in the archive.",
            (
                "Is the archiver running? Its log says what it waits for, usually the bucket or access to it.",
                "If `JOURNEYMESH_ARCHIVE_PERIOD_SECONDS` is longer than ten minutes on purpose, silence this alert.",
            ),
        ),
    )
