"""What is counted, and its text for Prometheus."""

from collections.abc import Iterable
from typing import Final

from journeymesh.ingest.v1 import ingest_pb2
from journeymesh.intervention.v1 import intervention_pb2
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, exposition

from mesh import semconv

MEDIA_TYPE: Final = "text/plain"
CONTENT_TYPE: Final = exposition.CONTENT_TYPE_PLAIN_0_0_4

# A client may call with any word as method; each would be a series of its own.
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_OTHER: Final = "_OTHER"

_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Counts of one process since its start, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            semconv.METRIC_REQUESTS,
            "Requests answered, by method, route and status.",
            (semconv.METHOD, semconv.ROUTE, semconv.STATUS),
            registry=self._registry,
        )
        self._events = Counter(
            semconv.METRIC_EVENTS, "Events sent by clients, by verdict.", (semconv.VERDICT,), registry=self._registry
        )
        self._seconds = Histogram(
            semconv.METRIC_REQUEST_SECONDS,
            "Seconds from a request's head to its answer's end, by route.",
            (semconv.ROUTE,),
            buckets=_BOUNDS,
            registry=self._registry,
        )
        by_shard = (semconv.READER, semconv.SHARD_LABEL)
        self._lag = Gauge(
            semconv.METRIC_LAG_SECONDS,
            "Age of the oldest record that waits for a reader, by reader and shard.",
            by_shard,
            registry=self._registry,
        )
        self._trouble = Gauge(
            semconv.METRIC_TROUBLE,
            "1 where a reader does not get on, or nobody reads; by reader and shard.",
            by_shard,
            registry=self._registry,
        )
        self._models = _ModelGauges(self._registry)
        self.count_events(0, 0, 0)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts a request that was answered; `route` is the path of the table, never the client's."""
        self._requests.labels(method if method in _METHODS else _OTHER, route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def count_events(self, accepted: int, duplicates: int, rejected: int) -> None:
        """Counts the verdicts of a request."""
        self._events.labels("accepted").inc(accepted)
        self._events.labels("duplicate").inc(duplicates)
        self._events.labels("rejected").inc(rejected)

    def tell_standings(self, standings: Iterable[ingest_pb2.ShardStanding]) -> None:
        """Sets how far the readers of the stream are; what stood before is forgotten."""
        self._lag.clear()
        self._trouble.clear()
        for one in standings:
            if not one.is_ended:
                self._lag.labels(one.reader, one.shard).set(one.lag_seconds)
                self._trouble.labels(one.reader, one.shard).set(bool(one.trouble or not one.owner))

    def tell_model_usage(self, usage: intervention_pb2.GetModelUsageResponse | None) -> None:
        """Sets what the language models were asked; what stood before is forgotten, None leaves nothing."""
        self._models.set(usage)

    def render(self) -> bytes:
        """The counts in Prometheus' text format."""
        return exposition.generate_latest(self._registry)


class _ModelGauges:
    """The use of language models, as one process of the service counts it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._tokens = Gauge(
            semconv.METRIC_MODEL_TOKENS,
            "Tokens asked and answered, by model and direction.",
            (semconv.MODEL, semconv.DIRECTION),
            registry=registry,
        )
        self._cost = Gauge(
            semconv.METRIC_MODEL_COST, "What they cost in US dollars, by model.", (semconv.MODEL,), registry=registry
        )
        self._calls = Gauge(
            semconv.METRIC_MODEL_CALLS,
            "Calls of models, by model and how they ended.",
            (semconv.MODEL, semconv.ENDING),
            registry=registry,
        )
        self._degraded = Gauge(
            semconv.METRIC_MODEL_DEGRADED,
            "1 where templates speak instead of a model, by reason; 0 without one where a model does.",
            (semconv.DEGRADATION,),
            registry=registry,
        )

    def set(self, usage: intervention_pb2.GetModelUsageResponse | None) -> None:
        for gauge in (self._tokens, self._cost, self._calls, self._degraded):
            gauge.clear()
        if usage is None:
            return
        self._degraded.labels(usage.degraded).set(bool(usage.degraded))
        for one in usage.models:
            self._tokens.labels(one.model_id, "input").set(one.input_token_count)
            self._tokens.labels(one.model_id, "output").set(one.output_token_count)
            self._cost.labels(one.model_id).set(one.cost_micro_usd / 1e6)
            for ending, count in one.call_counts.items():
                self._calls.labels(one.model_id, ending).set(count)
