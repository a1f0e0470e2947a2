"""What is counted, and its text for Prometheus."""

import bisect
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from mesh import semconv

MEDIA_TYPE: Final = "text/plain"
CONTENT_TYPE: Final = f"{MEDIA_TYPE}; version=0.0.4; charset=utf-8"

# A client may call with any word as method; each would be a series of its own.
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_OTHER: Final = "_OTHER"

_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Counts of one process since its start."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._events: Counter[str] = Counter()
        self._seconds: dict[str, list[int]] = {}
        self._sums: defaultdict[str, float] = defaultdict(float)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts a request that was answered; `route` is the path of the table, never the client's."""
        self._requests[method if method in _METHODS else _OTHER, route, status] += 1
        buckets = self._seconds.setdefault(route, [0] * (len(_BOUNDS) + 1))
        buckets[bisect.bisect_left(_BOUNDS, seconds)] += 1
        self._sums[route] += seconds

    def count_events(self, accepted: int, duplicates: int, rejected: int) -> None:
        """Counts the verdicts of a request."""
        self._events["accepted"] += accepted
        self._events["duplicate"] += duplicates
        self._events["rejected"] += rejected

    def render(self) -> bytes:
        """The counts in Prometheus' text format."""
        lines = [*self._request_lines(), *self._event_lines(), *self._second_lines()]
        return ("\n".join(lines) + "\n").encode()

    def _request_lines(self) -> Iterator[str]:
        name = f"{semconv.METRIC_REQUESTS}_total"
        yield f"# HELP {name} Requests answered, by route and status."
        yield f"# TYPE {name} counter"
        for (method, route, status), count in self._requests.items():
            labels = f'http_request_method="{method}",{semconv.ROUTE}="{route}",{semconv.STATUS}="{status}"'
            yield f"{name}{{{labels}}} {count}"

    def _event_lines(self) -> Iterator[str]:
        name = f"{semconv.METRIC_EVENTS}_total"
        yield f"# HELP {name} Events sent by clients, by verdict."
        yield f"# TYPE {name} counter"
        for verdict in ("accepted", "duplicate", "rejected"):
            yield f'{name}{{{semconv.VERDICT}="{verdict}"}} {self._events[verdict]}'

    def _second_lines(self) -> Iterator[str]:
        name = f"{semconv.METRIC_REQUEST_SECONDS}_seconds"
        yield f"# HELP {name} Seconds from a request's head to its answer's end, by route."
        yield f"# TYPE {name} histogram"
        for route, buckets in self._seconds.items():
            label = f'{semconv.ROUTE}="{route}"'
            total = 0
            for bound, count in zip((*_BOUNDS, "+Inf"), buckets, strict=True):
                total += count
                yield f'{name}_bucket{{{label},le="{bound}"}} {total}'
            yield f"{name}_sum{{{label}}} {self._sums[route]:.6f}"
            yield f"{name}_count{{{label}}} {total}"
