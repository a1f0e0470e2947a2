"""Metrics: OpenTelemetry's meters, told to Prometheus. What there is to tell stands in `mesh/registry.py`.

Cheap enough for a batch (some microseconds a call), too dear for every event.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, ProcessCollector, exposition, start_http_server

from mesh.registry import METRICS, Kind, Metric

CONTENT_TYPE: Final = exposition.CONTENT_TYPE_PLAIN_0_0_4

Labels = tuple[str, ...]
"""Values of a metric's labels, in their order."""


class Metrics:
    """What one process counts and measures, from its start on."""

    def __init__(self) -> None:
        self._closing = contextlib.ExitStack()
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        reader = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=self._registry)
        self._provider = MeterProvider([reader], shutdown_on_exit=False)
        self._gauges: dict[str, dict[Labels, float]] = {each.name: {} for each in METRICS if each.kind is Kind.GAUGE}
        self._instruments: dict[str, Any] = {each.name: self._instrument(each) for each in METRICS}

    def count(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        """Adds to a counter."""
        self._instruments[metric.name].add(amount, dict(zip(metric.labels, labels, strict=True)))

    def measure(self, metric: Metric, value: float, *labels: str) -> None:
        """Counts a value of a histogram."""
        self._instruments[metric.name].record(value, dict(zip(metric.labels, labels, strict=True)))

    def tell(self, metric: Metric, value: float, *labels: str) -> None:
        """Sets a gauge."""
        self._gauges[metric.name] = {**self._gauges[metric.name], labels: value}

    def tell_all(self, metric: Metric, values: Mapping[Labels, float]) -> None:
        """Sets a gauge for all values of its labels; what is not among them is told no more."""
        self._gauges[metric.name] = dict(values)

    def render(self) -> bytes:
        """All of it in Prometheus' text format."""
        return exposition.generate_latest(self._registry)

    def serve(self, listen: str) -> int:
        """Tells it over HTTP at `host:port` from a thread of its own, until closed; gives the port, 0 takes a free one.

        Raises:
            OSError: the address is taken.
            ValueError: it is no address.
        """
        host, _, port = listen.rpartition(":")
        server, thread = start_http_server(int(port), host.strip("[]"), self._registry)
        self._closing.callback(thread.join)
        self._closing.callback(server.server_close)
        self._closing.callback(server.shutdown)
        return int(server.server_port)

    def close(self) -> None:
        """Tells nothing any more."""
        self._closing.close()

    def _instrument(self, metric: Metric) -> object:
        meter = self._provider.get_meter("journeymesh")
        match metric.kind:
            case Kind.COUNTER:
                return meter.create_counter(metric.name, description=metric.meaning)
            case Kind.HISTOGRAM:
                return meter.create_histogram(
                    metric.name, description=metric.meaning, explicit_bucket_boundaries_advisory=metric.bounds
                )
            case Kind.GAUGE:
                return meter.create_observable_gauge(metric.name, [self._observe(metric)], description=metric.meaning)

    def _observe(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        """What a scrape asks. A gauge's values are exchanged whole, so that its thread may read them at any time."""

        def observe(_: CallbackOptions) -> Iterable[Observation]:
            values = self._gauges[metric.name]
            return [
                Observation(value, dict(zip(metric.labels, labels, strict=True))) for labels, value in values.items()
            ]

        return observe
