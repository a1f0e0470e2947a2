"""Recording rules: what Prometheus evaluates continuously, for alerts and ad hoc queries."""

from typing import NamedTuple

from mesh.observability import registry
from monitoring import limits
from monitoring.alert import MINUTE, Recorded, TimeScale
from monitoring.promql import like, quantile, rate, summed, unlike


class Recordings(NamedTuple):
    """Values per namespace, over five minutes."""

    slowest_decisions: Recorded
    refused_share: Recorded
    error_share: Recorded
    rejected_share: Recorded


def recordings(scale: TimeScale) -> Recordings:
    """The recording rules."""
    window = scale(5 * MINUTE)
    of_clients = unlike(limits.NOT_OF_CLIENTS)
    requests = summed(rate(registry.REQUESTS, window, http_route=of_clients), "namespace")
    refused, broken = (
        summed(
            rate(registry.REQUESTS, window, http_route=of_clients, http_response_status_code=like(each)), "namespace"
        )
        for each in (limits.OVERLOADED, limits.BROKEN)
    )
    rejected = summed(rate(registry.EVENTS, window, verdict="rejected"), "namespace")
    return Recordings(
        Recorded(
            "journeymesh:decision_delay_seconds:p99", quantile(0.99, registry.DECISION_DELAY, window, "namespace")
        ),
        Recorded("journeymesh:requests_refused:ratio", refused / requests),
        Recorded("journeymesh:requests_broken:ratio", broken / requests),
        Recorded("journeymesh:events_rejected:ratio", rejected / summed(rate(registry.EVENTS, window), "namespace")),
    )
