"""Alerts: the stream, its readers and what they write to."""

from mesh.observability import registry
from monitoring import limits
from monitoring.alert import MINUTE, Alert, Pace, Severity
from monitoring.promql import gauge, grown, largest, summed


def alerts(pace: Pace) -> tuple[Alert, ...]:
    """Those alerts."""
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
            "The oldest event that waits for a dispatcher is older than 5 s. From there on ingest refuses events "
            "(`JOURNEYMESH_MAX_LAG_SECONDS`), unless the shard waits for a service that is away.",
            (
                "Dashboard “Pipeline and lag”: is it one shard, or all?",
                (
                    "All: more dispatchers, up to one a shard; then more shards. One: `GET /api/pipeline` says what is "
                    "the matter with it; one user's flood stays in one shard."
                ),
            ),
        ),
        Alert(
            "JourneymeshReaderStuck",
            Severity.PAGE,
            largest(gauge(registry.TROUBLE, reader="dispatcher"), "namespace", "shard").by_number("==", 1),
            2 * MINUTE,
            "Shard {{ $labels.shard }} in {{ $labels.namespace }} is read by nobody, or does not get on.",
            "No dispatcher holds the shard, or the one that does fails again and again at the same place. The users of "
            "this shard are not helped; their events wait.",
            (
                "`GET /api/pipeline` gives the owner and the trouble in words.",
                "No owner: do dispatchers run? A new one takes the shard at once.",
                (
                    "“most records fail”: a service refuses what it is given; its log says why. Nothing is set aside "
                    "until it is mended."
                ),
            ),
        ),
        Alert(
            "JourneymeshEventsSetAside",
            Severity.TICKET,
            summed(grown(registry.SET_ASIDE, pace(15 * MINUTE)), "namespace").by_number(">", 0),
            0,
            'Records set aside in {{ $labels.namespace }} in a quarter of an hour: {{ $value | printf "%.0f" }}.',
            "A service cannot apply a record although it applies others: a fault of ours, or a record that does not "
            "decode. It is kept as failed events; the users' other events went on.",
            (
                "`GET /api/failed-events?reason=POISON` shows them; the dispatcher's log names the step that failed.",
                'When the fault is mended: `POST /api/failed-events:replay` with `{"reason": "POISON"}`.',
            ),
        ),
        Alert(
            "JourneymeshStoreNearlyFull",
            Severity.PAGE,
            used.by_number(">", limits.FULL_STORE_SHARE),
            5 * MINUTE,
            "The store of {{ $labels.namespace }} is {{ $value | humanizePercentage }} full.",
            "When it is full, ingest answers 503 and no event is taken.",
            (
                "Give it more memory; “Size” in [operations.md](operations.md) says how much users and events take.",
                (
                    "To win time: a shorter `JOURNEYMESH_LEDGER_LIFETIME_SECONDS`. If the archiver is late, what it "
                    "has not archived stands in the store, too."
                ),
            ),
        ),
        Alert(
            "JourneymeshArchiveLate",
            Severity.TICKET,
            archive_lag.by_number(">", limits.LATE_ARCHIVE_SECONDS).or_else(archive_trouble.by_number("==", 1)),
            10 * MINUTE,
            "The archive of {{ $labels.namespace }} is late, or a shard is archived by nobody.",
            "Events wait for the archiver for more than a quarter of an hour, or it does not get on. Decisions are not "
            "delayed. The stream keeps what waits; on Redis Streams in the store's memory, with Kinesis until the "
            "stream's retention ends: then the archive has a gap.",
            (
                "Does the archiver run? Its log says what it waits for: most often the bucket, or the rights to it.",
                "If `JOURNEYMESH_ARCHIVE_PERIOD_SECONDS` is longer than ten minutes on purpose, silence this alert.",
            ),
        ),
    )
