"""Expressions that could never give what is meant are errors when they are built."""

from collections.abc import Callable

import pytest

from mesh.observability import registry
from monitoring.alert import REAL_TIME, Alert, Severity, TimeScale
from monitoring.promql import (
    Vector,
    WrongExpressionError,
    gauge,
    grown,
    largest,
    like,
    quantile,
    rate,
    reported,
    share,
    summed,
    unlike,
)
from monitoring.rules import rule


def test_expressions_read_as_promql() -> None:
    lag = gauge(registry.LAG, reader="dispatcher", shard=unlike("9|10"))
    assert lag.text == 'journeymesh_lag_seconds{reader="dispatcher", shard!~"9|10"}'
    assert largest(lag.by_number(">", 5), "shard").text == f"max by (shard) (({lag.text} > 5))"
    assert rate(registry.EVENTS, "5m", verdict=like("a.*")).text == 'rate(journeymesh_events_total{verdict=~"a.*"}[5m])'
    assert quantile(0.5, registry.APPEND_SECONDS, "1m").text == (
        "histogram_quantile(0.5, sum by (le) (rate(journeymesh_append_duration_seconds_bucket[1m])))"
    )
    aside = "journeymesh_set_aside_records_total"
    assert grown(registry.SET_ASIDE, "1m").text == (
        f"((increase({aside}[1m]) and on (instance, job, namespace, pod) {aside} offset 1m) or {aside})"
    )


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (lambda: gauge(registry.LAG, partition="1"), "no label partition"),
        (lambda: gauge(registry.EVENTS), "is a counter, not a gauge"),
        (lambda: rate(registry.LAG, "5m"), "is a gauge, not a counter"),
        (lambda: rate(registry.RPC_SECONDS, "5m"), "is a histogram, not a counter"),
        (lambda: quantile(0.5, registry.EVENTS, "5m"), "is a counter, not a histogram"),
        (lambda: quantile(0.5, registry.RPC_SECONDS, "5m", "service"), "no label service"),
        (lambda: summed(rate(registry.EVENTS, "5m"), "reason"), "no label reason"),
        (lambda: largest(largest(gauge(registry.LAG), "shard"), "reader"), "no label reader"),
        (lambda: gauge(registry.LAG) / gauge(registry.STORE_MEMORY), "never match"),
        (lambda: share(rate(registry.EVENTS, "5m"), summed(rate(registry.EVENTS, "5m"))), "never match"),
        (lambda: gauge(registry.STREAMS).where(gauge(registry.LAG), "shard"), "no label shard"),
        (lambda: gauge(registry.LAG).where(gauge(registry.STREAMS), "shard"), "no label shard"),
        (lambda: reported("node_load1"), "No process reports node_load1"),
    ],
)
def test_an_expression_that_would_find_nothing_is_refused(wrong: Callable[[], Vector], why: str) -> None:
    with pytest.raises(WrongExpressionError, match=why):
        wrong()


def test_a_summary_names_only_labels_that_its_alert_has() -> None:
    alert = Alert("A", Severity.PAGE, largest(gauge(registry.LAG), "shard"), 0, "{{ $labels.reader }}", "", ())
    with pytest.raises(WrongExpressionError, match="no label reader"):
        rule(alert, REAL_TIME)


@pytest.mark.parametrize(
    ("factor", "seconds", "text"),
    [(1, 300, "5m"), (1, 3600, "1h"), (1, 90, "90s"), (1 / 60, 300, "5s"), (1 / 60, 90, "1500ms"), (1, 0, "0s")],
)
def test_a_time_scale_writes_durations_as_prometheus_reads_them(factor: float, seconds: float, text: str) -> None:
    assert TimeScale(factor)(seconds) == text
