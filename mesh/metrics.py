"""Metrics: OpenTelemetry's meters, told to Prometheus. What there is to tell stands in `mesh/registry.py`.

All of them are kept here and read when somebody asks, so that counting costs a fraction of a microsecond; a histogram
of OpenTelemetry's own takes ten times as long. Everything is counted by batches, never by events.
"""

import bisect
import collections
import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from prometheus_client import CollectorRegistry, ProcessCollector, exposition, start_http_server
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from mesh.registry import METRICS, Kind, Metric

CONTENT_TYPE: Final = exposition.CONTENT_TYPE_PLAIN_0_0_4
OTHER: Final = "_OTHER"
"""The label of what stands in no list: whoever sends it must not be able to make a series."""

Labels = tuple[str, ...]
"""Values of a metric's labels, in their order."""


class Metrics:
    """What one process counts and measures, from its start on. All calls but `render` come from one thread.

    A call that names another kind of metric than it is for raises `KeyError`, other labels than the metric has
    `ValueError`.
    """

    def __init__(self) -> None:
        self._closing = contextlib.ExitStack()
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        reader = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=self._registry)
        provider = MeterProvider([reader], shutdown_on_exit=False, exemplar_filter=AlwaysOffExemplarFilter())
        meter = provider.get_meter("journeymesh")
        self._counters = _values(Kind.COUNTER)
        self._gauges = _values(Kind.GAUGE)
        self._histograms = {each.name: _Histogram(each) for each in METRICS if each.kind is Kind.HISTOGRAM}
        for each in METRICS:
            if each.kind is Kind.COUNTER:
                told = _observed(each, self._counters[each.name])
                meter.create_observable_counter(each.name, [told], description=each.meaning)
            elif each.kind is Kind.GAUGE:
                told = _observed(each, self._gauges[each.name])
                meter.create_observable_gauge(each.name, [told], description=each.meaning)
        for histogram in self._histograms.values():
            self._registry.register(histogram)
        self.is_served = False
        """Whether it is told at an address of its own."""

    def count(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        """Adds to a counter; adding 0 makes it known."""
        values = self._counters[metric.name]
        key = _checked(metric, labels)
        values[key] = values.get(key, 0) + amount

    def count_each(self, metric: Metric, values: Iterable[str]) -> None:
        """Adds 1 for each value of the counter's one label."""
        for value, amount in collections.Counter(values).items():
            self.count(metric, amount, value)

    def count_up_to(self, metric: Metric, total: float, *labels: str) -> None:
        """Brings a counter to what was counted elsewhere; a total that went back leaves it as it is."""
        values = self._counters[metric.name]
        key = _checked(metric, labels)
        values[key] = max(values.get(key, 0), total)

    def measure(self, metric: Metric, value: float, *labels: str) -> None:
        """Counts a value of a histogram."""
        self._histograms[metric.name].record(value, _checked(metric, labels))

    @contextlib.contextmanager
    def timing(self, metric: Metric, *labels: str) -> Iterator[None]:
        """Counts the seconds that a block takes; one that raises is not counted."""
        began = time.perf_counter()
        yield
        self.measure(metric, time.perf_counter() - began, *labels)

    def tell(self, metric: Metric, value: float, *labels: str) -> None:
        """Sets a gauge."""
        self._gauges[metric.name][_checked(metric, labels)] = value

    def tell_all(self, metric: Metric, values: Mapping[Labels, float]) -> None:
        """Sets a gauge for all values of its labels; what is not among them is told no more."""
        told = self._gauges[metric.name]
        for key in told.keys() - values.keys():
            del told[key]
        for key, value in values.items():
            told[_checked(metric, key)] = value

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
        self.is_served = True
        return int(server.server_port)

    def close(self) -> None:
        """Tells nothing any more."""
        self._closing.close()


class _Histogram(Collector):
    """How often a value fell below each bound, and the sum of all; by labels."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._values: dict[Labels, list[float]] = {}
        """How many values came between a bound and the one before, the last without a bound; then the sum of all."""

    def record(self, value: float, labels: Labels) -> None:
        bounds = self._metric.bounds
        values = self._values.get(labels)
        if values is None:
            values = self._values[labels] = [0] * (len(bounds) + 2)
        values[bisect.bisect_left(bounds, value)] += 1
        values[-1] += value

    def collect(self) -> Iterable[HistogramMetricFamily]:
        if not self._values:
            return
        name, _, meaning, labels, *_ = self._metric
        told = HistogramMetricFamily(name, meaning, labels=labels)
        bounds = [*map(str, self._metric.bounds), "+Inf"]
        # Copied in one step: a scrape asks from a thread of its own while values change.
        for key, (*counts, total) in [(key, (*values,)) for key, values in dict(self._values).items()]:
            buckets = [*zip(bounds, itertools.accumulate(counts), strict=True)]
            told.add_metric(key, buckets, sum_value=total)
        yield told


def _values(kind: Kind) -> dict[str, dict[Labels, float]]:
    return {each.name: {} for each in METRICS if each.kind is kind}


def _checked(metric: Metric, labels: Labels) -> Labels:
    if len(labels) != len(metric.labels):
        message = f"{metric.name} has the labels {metric.labels}, not {len(labels)}."
        raise ValueError(message)
    return labels


def _observed(metric: Metric, values: Mapping[Labels, float]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        # Copied in one step: a scrape asks from a thread of its own while values change.
        now = dict(values)
        return [Observation(value, dict(zip(metric.labels, labels, strict=True))) for labels, value in now.items()]

    return observe
