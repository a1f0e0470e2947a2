"""What Prometheus works out all the time, for alerts and for whoever asks."""

from typing import NamedTuple

from mesh.observability import registry
from monitoring import limits
from monitoring.alert import MINUTE, Pace, Recorded
from monitoring.promql import like, quantile, rate, summed, unlike


class Recordings(NamedTuple):
    """Values for each namespace, over five minutes."""

    slowest_decisions: Recorded
    refused_share: Recorded
    error_share: Recorded
    rejected_share: Recorded


def recordings(pace: Pace) -> Recordings:
    """What is recorded."""
    window = pace(5 * MINUTE)
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
