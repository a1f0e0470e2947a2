"""A process's metrics, exposed to Prometheus. What there is to report is declared in `mesh/observability/registry.py`.

Values are plain numbers in dictionaries, read only when Prometheus scrapes: counting costs a fraction of a microsecond,
a tenth of what the client library's own counters take. Callers count once per batch, never per event.
"""

import bisect
import collections
import contextlib
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector, exposition, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from mesh.observability.registry import METRICS, Kind, Metric

CONTENT_TYPE: Final = exposition.CONTENT_TYPE_PLAIN_0_0_4
OTHER: Final = "_OTHER"
"""The label of what is in no list: whoever sends it must not be able to create a series."""

Labels = tuple[str, ...]
"""Values of a metric's labels, in their order."""


class Metrics(Collector):
    """What one process counts and measures, from its start on. All calls but `render` come from one thread.

    A call for a metric of another kind raises `KeyError`, one with the wrong number of labels `ValueError`.
    """

    def __init__(self) -> None:
        self._closing = contextlib.ExitStack()
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._counters: dict[str, dict[Labels, float]] = _by_name(Kind.COUNTER)
        self._gauges: dict[str, dict[Labels, float]] = _by_name(Kind.GAUGE)
        self._histograms: dict[str, dict[Labels, list[float]]] = _by_name(Kind.HISTOGRAM)
        """Per series: the number of values per bucket, then their sum."""
        self._registry.register(self)
        self.is_served = False
        """Whether the metrics have an address of their own."""

    def count(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        """Adds to a counter; adding 0 exposes it."""
        values = self._counters[metric.name]
        key = _checked(metric, labels)
        values[key] = values.get(key, 0) + amount

    def count_each(self, metric: Metric, values: Iterable[str]) -> None:
        """Adds 1 for each value of the counter's one label."""
        for value, amount in collections.Counter(values).items():
            self.count(metric, amount, value)

    def count_up_to(self, metric: Metric, total: float, *labels: str) -> None:
        """Raises a counter to a total counted elsewhere; a smaller total changes nothing."""
        values = self._counters[metric.name]
        key = _checked(metric, labels)
        values[key] = max(values.get(key, 0), total)

    def measure(self, metric: Metric, value: float, *labels: str) -> None:
        """Adds a value to a histogram."""
        series = self._histograms[metric.name]
        key = _checked(metric, labels)
        values = series.get(key)
        if values is None:
            values = series[key] = [0] * (len(metric.bounds) + 2)
        values[bisect.bisect_left(metric.bounds, value)] += 1
        values[-1] += value

    @contextlib.contextmanager
    def timing(self, metric: Metric, *labels: str) -> Iterator[None]:
        """Measures the seconds a block takes, unless it raises."""
        began = time.perf_counter()
        yield
        self.measure(metric, time.perf_counter() - began, *labels)

    def set_gauge(self, metric: Metric, value: float, *labels: str) -> None:
        """Sets a gauge."""
        self._gauges[metric.name][_checked(metric, labels)] = value

    def set_gauges(self, metric: Metric, values: Mapping[Labels, float]) -> None:
        """Replaces all series of a gauge."""
        series = self._gauges[metric.name]
        for key in series.keys() - values.keys():
            del series[key]
        for key, value in values.items():
            series[_checked(metric, key)] = value

    def collect(self) -> Iterator[Family]:
        """See `Collector`. Copies a metric's series in one step, because scrapes come from a thread of their own."""
        for metric in METRICS:
            family = _FAMILIES[metric.kind](metric.name, metric.meaning, labels=metric.labels)
            if isinstance(family, HistogramMetricFamily):
                bounds = [*map(str, metric.bounds), "+Inf"]
                for key, values in dict(self._histograms[metric.name]).items():
                    *counts, total = tuple(values)
                    family.add_metric(key, [*zip(bounds, itertools.accumulate(counts), strict=True)], total)
            else:
                series = self._counters if metric.kind is Kind.COUNTER else self._gauges
                for key, value in dict(series[metric.name]).items():
                    family.add_metric(key, value)
            if family.samples:
                yield family

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return exposition.generate_latest(self._registry)

    def serve(self, listen: str) -> int:
        """Serves the metrics over HTTP at `host:port`, in a thread of its own, until closed.

        Returns the port; port 0 takes a free one.

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
        """Stops serving."""
        self._closing.close()


_FAMILIES: Final[dict[Kind, type[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]]] = {
    Kind.COUNTER: CounterMetricFamily,
    Kind.GAUGE: GaugeMetricFamily,
    Kind.HISTOGRAM: HistogramMetricFamily,
}


def _by_name(kind: Kind) -> dict[str, dict[Labels, Any]]:
    return {each.name: {} for each in METRICS if each.kind is kind}


def _checked(metric: Metric, labels: Labels) -> Labels:
    if len(labels) != len(metric.labels):
        message = f"{metric.name} has the labels {metric.labels}, not {len(labels)}."
        raise ValueError(message)
    return labels
