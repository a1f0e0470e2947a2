"""Alerts: what users and clients feel."""

from mesh.observability import registry
from monitoring import limits
from monitoring.alert import HOUR, MINUTE, Alert, Pace, Severity
from monitoring.promql import counted, gauge, grown, rate, seen_within, summed
from monitoring.recordings import recordings


def alerts(pace: Pace) -> tuple[Alert, ...]:
    """Those alerts."""
    recorded = recordings(pace)
    gateways = gauge(registry.STREAMS)
    accepted = summed(rate(registry.EVENTS, pace(5 * MINUTE), verdict="accepted"), "namespace")
    decided = summed(grown(registry.DECISIONS, pace(5 * MINUTE)), "namespace")
    return (
        Alert(
            "JourneymeshGatewayGone",
            Severity.PAGE,
            counted(seen_within(gateways, pace(HOUR)), "namespace").unless(counted(gateways, "namespace")),
            2 * MINUTE,
            "No gateway in {{ $labels.namespace }} reports its metrics.",
            "Within the last hour there was a gateway, and now Prometheus reaches none. Clients most likely reach none "
            "either, and what they send is not taken. It ends by itself an hour after Journeymesh was removed.",
            (
                (
                    "Look whether gateways run: `kubectl get pods`, then `describe` and `logs --previous` of those "
                    "that do not."
                ),
                (
                    "Ask one from within the cluster for `/healthz`. If it answers, it is the way of Prometheus: its "
                    "network policy (`metrics` in the chart's values), or what it scrapes."
                ),
            ),
        ),
        Alert(
            "JourneymeshDecisionsSlow",
            Severity.PAGE,
            recorded.slowest_decisions.now.by_number(">", limits.SLOW_DECISION_SECONDS),
            5 * MINUTE,
            "One decision in a hundred in {{ $labels.namespace }} takes longer than {{ $value | humanizeDuration }}.",
            "From its arrival on the stream to the decision an event takes longer than the second that is "
            "promised. Help comes late for those who need it at once.",
            (
                "Dashboard “Pipeline and lag”: which step takes the time? More replicas of that service, or more CPU.",
                (
                    "If all steps are quick and the lag is high, there are too few dispatchers or shards: see “Scale” "
                    "in [operations.md](operations.md)."
                ),
                "If all steps are slow, look at the store: its CPU, its disk, its memory.",
            ),
        ),
        Alert(
            "JourneymeshNobodyDecides",
            Severity.PAGE,
            accepted.by_number(">", 0).unless(decided.by_number(">", 0)),
            3 * MINUTE,
            "Events come to {{ $labels.namespace }}, and nobody decides on them.",
            "Events are accepted and nothing was decided for minutes. They wait on the stream and are not lost, "
            "but nobody is helped.",
            (
                "`GET /api/pipeline` says for each shard who reads it and what the trouble is.",
                "Look whether dispatchers run, and at the log of one: it names the service or store it waits for.",
                "Dashboard “Overview”: which dependency is down?",
            ),
        ),
        Alert(
            "JourneymeshRequestsRefused",
            Severity.PAGE,
            recorded.refused_share.now.by_number(">", limits.REFUSED_SHARE),
            5 * MINUTE,
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.namespace }} are answered 429 or 503.",
            "More comes than the mesh takes, or what it needs is away. Clients are told to come again, and most of "
            "them do; browsers that are closed do not.",
            (
                "If a dependency is down (dashboard “Overview”), that is the cause.",
                "If the lag is above 5 s, decisions cannot keep up: see JourneymeshDecisionsSlow.",
                "If neither is so, gateways or ingest are at their limit: more replicas of them.",
                "429 with the reason RATE_LIMITED is one user's flood, and no reason to grow.",
            ),
        ),
        Alert(
            "JourneymeshGatewayErrors",
            Severity.PAGE,
            recorded.error_share.now.by_number(">", limits.ERROR_SHARE),
            5 * MINUTE,
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.namespace }} end in an error of ours.",
            (
                "Answers of 500 and above that are no refusal: a fault of a process, or a service that does not answer "
                "in time."
            ),
            (
                (
                    "Search the logs of the gateways for `ERROR`; the trace id in the answer leads to the span that "
                    "failed."
                ),
                "Dashboard “Pipeline and lag”, “RPCs that failed”: which method, with which status?",
                "If it began with a new version: `helm rollback`.",
            ),
        ),
        Alert(
            "JourneymeshEventsRejected",
            Severity.TICKET,
            recorded.rejected_share.now.by_number(">", limits.REJECTED_SHARE),
            15 * MINUTE,
            "{{ $value | humanizePercentage }} of the events sent to {{ $labels.namespace }} are rejected.",
            "A client sends what is no event, most often since its last release. What is rejected is kept as failed "
            "events, and can be sent again.",
            (
                "Dashboard “Overview”, “Events rejected by reason”: which reason?",
                (
                    "`GET /api/failed-events?reason=...` shows the events themselves; mend the client, then send them "
                    "again (`POST /api/failed-events:replay`)."
                ),
            ),
        ),
    )
