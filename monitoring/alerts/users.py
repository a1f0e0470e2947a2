"""Alerts: what users and clients notice."""

from mesh.observability import registry
from monitoring import limits
from monitoring.alert import HOUR, MINUTE, Alert, Severity, TimeScale
from monitoring.promql import counted, gauge, grown, largest, like, rate, seen_within, summed
from monitoring.recordings import recordings


def alerts(scale: TimeScale) -> tuple[Alert, ...]:
    """The alerts of this group."""
    recorded = recordings(scale)
    gateways = gauge(registry.STREAMS)
    accepted = summed(rate(registry.EVENTS, scale(5 * MINUTE), verdict="accepted"), "namespace")
    # Each replica of analytics reports the same; an alert has a severity of its own.
    severe = largest(gauge(registry.INSIGHTS_OPEN, severity=like("high|critical")), "namespace", "severity")
    decided = summed(grown(registry.DECISIONS, scale(5 * MINUTE)), "namespace")
    return (
        Alert(
            "JourneymeshGatewayGone",
            Severity.PAGE,
            counted(seen_within(gateways, scale(HOUR)), "namespace").unless(counted(gateways, "namespace")),
            2 * MINUTE,
            "No gateway in {{ $labels.namespace }} reports its metrics.",
            "There was a gateway within the last hour, and now Prometheus reaches none. Clients most likely reach none "
            "either, so their events are not accepted. The alert ends an hour after Journeymesh was removed.",
            (
                (
                    "Are gateways running? `kubectl get pods`, then `describe` and `logs --previous` for those that "
                    "are not."
                ),
                (
                    "Request `/healthz` of one from within the cluster. If it answers, check how Prometheus reaches "
                    "it: the network policy (`metrics` in the chart's values) and the scrape configuration."
                ),
            ),
        ),
        Alert(
            "JourneymeshDecisionsSlow",
            Severity.PAGE,
            recorded.slowest_decisions.now.by_number(">", limits.SLOW_DECISION_SECONDS),
            5 * MINUTE,
            "One decision in a hundred in {{ $labels.namespace }} takes longer than {{ $value | humanizeDuration }}.",
            "From arrival on the stream to the decision, events take longer than the promised second. Users get help "
            "late.",
            (
                "Dashboard “Pipeline and lag”: which step is slow? Give that service more replicas or more CPU.",
                (
                    "If all steps are fast but the lag is high, there are too few dispatchers or shards: see “Scale” "
                    "in [operations.md](operations.md)."
                ),
                "If all steps are slow, check the store's CPU, disk and memory.",
            ),
        ),
        Alert(
            "JourneymeshNobodyDecides",
            Severity.PAGE,
            accepted.by_number(">", 0).unless(decided.by_number(">", 0)),
            3 * MINUTE,
            "{{ $labels.namespace }} accepts events but makes no decisions.",
            "Events are accepted, but nothing has been decided for minutes. They wait on the stream and are not lost, "
            "but no user gets help.",
            (
                "`GET /api/pipeline` shows the consumer and the trouble of each shard.",
                "Are dispatchers running? The log of each names the service or store it waits for.",
                "Dashboard “Overview”: which dependency is down?",
            ),
        ),
        Alert(
            "JourneymeshRequestsRefused",
            Severity.PAGE,
            recorded.refused_share.now.by_number(">", limits.REFUSED_SHARE),
            5 * MINUTE,
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.namespace }} are answered 429 or 503.",
            "Load exceeds what the mesh can handle, or a dependency is down. Clients are asked to retry and most do, "
            "but closed browsers cannot.",
            (
                "If a dependency is down (dashboard “Overview”), that is the cause.",
                "If the lag is above 5 s, decisions cannot keep up: see JourneymeshDecisionsSlow.",
                "If neither applies, gateways or ingest are at their limit: add replicas.",
                "429 with the reason RATE_LIMITED means a burst of one user, key or tenant; it needs no more replicas.",
            ),
        ),
        Alert(
            "JourneymeshGatewayErrors",
            Severity.PAGE,
            recorded.error_share.now.by_number(">", limits.ERROR_SHARE),
            5 * MINUTE,
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.namespace }} end in a server error.",
            (
                "Responses of 500 and above other than refusals: a bug in a process, or a service that does not answer "
                "in time."
            ),
            (
                (
                    "Search the logs of the gateways for `ERROR`; the trace id in the answer leads to the span that "
                    "failed."
                ),
                "Dashboard “Pipeline and lag”, “RPCs that failed”: which method, and which status?",
                "If it started with a new version: `helm rollback`.",
            ),
        ),
        Alert(
            "JourneymeshEventsRejected",
            Severity.TICKET,
            recorded.rejected_share.now.by_number(">", limits.REJECTED_SHARE),
            15 * MINUTE,
            "{{ $value | humanizePercentage }} of the events sent to {{ $labels.namespace }} are rejected.",
            "A client sends invalid events, usually since its last release. Rejected events are kept as failed events "
            "and can be replayed.",
            (
                "Dashboard “Overview”, “Events rejected by reason”: which reason?",
                (
                    "`GET /api/failed-events?reason=...` shows the events themselves; fix the client, then replay them "
                    "(`POST /api/failed-events:replay`)."
                ),
            ),
        ),
        Alert(
            "JourneymeshInsightSevere",
            Severity.TICKET,
            summed(severe, "namespace").by_number(">", 0),
            MINUTE,
            "{{ $value }} high or critical incidents of key figures are open in {{ $labels.namespace }}.",
            "A key figure, such as users or purchases, is far from what is usual at this time of the week.",
            (
                "`GET /api/insights`, or the dashboard's Insights page: what explains it, and what changed?",
                "If it is expected, snooze it there with the reason.",
            ),
        ),
        Alert(
            "JourneymeshWatchLate",
            Severity.TICKET,
            largest(gauge(registry.INSIGHTS_LAG), "namespace").by_number(">", limits.LATE_WATCH_SECONDS),
            15 * MINUTE,
            "Key figures of {{ $labels.namespace }} are judged {{ $value | humanizeDuration }} late.",
            "Events arrive, and the watch does not judge them: incidents are told late or not at all.",
            (
                "The log of analytics says why: “key figures are not watched now”.",
                "`GET /api/insights/status`: `judgedUntil`, `arrivedUntil`.",
            ),
        ),
    )
