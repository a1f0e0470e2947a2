"""The gateway's own counts: requests and verdicts."""

from typing import Final

from mesh.observability import registry
from mesh.observability.metrics import OTHER, Metrics

# Clients may send any word as a method, and each would be a series of its own.
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def count_request(metrics: Metrics, method: str, route: str, status: int) -> None:
    """Counts an answered request; `route` is the route's path, never the client's."""
    metrics.count(registry.REQUESTS, 1, method if method in _METHODS else OTHER, route, str(status))


def count_events(metrics: Metrics, accepted: int, duplicates: int, rejected: int) -> None:
    """Counts the verdicts of a request."""
    metrics.count(registry.EVENTS, accepted, "accepted")
    metrics.count(registry.EVENTS, duplicates, "duplicate")
    metrics.count(registry.EVENTS, rejected, "rejected")
