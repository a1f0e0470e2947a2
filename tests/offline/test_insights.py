"""Incidents of metrics: published series with labels, counts drawn with a season, tables as people have them."""

import csv
import datetime as dt
import gzip
import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.__main__ import main
from mesh.settings import read as read_settings
from offline.insights.incidents import incidents, judged
from offline.insights.metric import Columns, Metric, MetricError, read
from offline.settings import Settings
from services.analytics.domain.unusual import Kind, Watch

NAB: Final = Path(read_settings(Settings, os.environ).data) / "nab"
has_data = pytest.mark.skipif(not NAB.exists(), reason="the published data is not here")
UTC: Final = ZoneInfo("UTC")
WEEK: Final = 168
RUNS: Final = 30


def written(folder: Path, text: str) -> Path:
    path = folder / "metric.csv"
    path.write_text(text)
    return path


def hourly(values: Iterable[float], kind: Kind = Kind.COUNT) -> Metric:
    """A metric that begins on a Monday."""
    return Metric(kind, int(dt.datetime(2026, 1, 5, tzinfo=dt.UTC).timestamp()), 3_600, [*map(float, values)], 0)


def drawn(chance: np.random.Generator, weeks: int, mean: float) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Counts per hour that follow the day and the week, with 5 % of noise beside that of chance."""
    hour = np.arange(weeks * WEEK)
    day = 1 + 0.8 * np.sin((hour % 24 - 9) / 24 * 2 * np.pi)
    of_each = mean * day * np.where(hour // 24 % 7 >= 5, 0.6, 1)
    return chance.poisson(of_each * chance.gamma(400, 1 / 400, len(hour)))


# The Numenta Anomaly Benchmark's score (Lavin and Ahmad, 2015), standard profile: a window's first detection earns up
# to 1, the earlier the more; a window without one costs 1; each detection outside costs up to .11, the later after a
# window the more. 0 is to detect nothing, 100 to detect everything at once.
def sigmoid(position: float) -> float:
    return -1.0 if position > 3 else 2 / (1 + math.exp(5 * position)) - 1


def scored(count: int, windows: Sequence[tuple[int, int]], found: Iterable[int]) -> float:
    score, hit = 0.0, set[tuple[int, int]]()
    for number in found:
        if number < min(int(0.15 * count), 750):
            continue
        inside = [window for window in windows if window[0] <= number <= window[1]]
        if inside:
            first, last = inside[0]
            if inside[0] not in hit:
                score += sigmoid(-(last - number + 1) / (last - first + 1)) / sigmoid(-1)
                hit.add(inside[0])
            continue
        before = [window for window in windows if window[1] < number]
        after = sigmoid((number - before[-1][1]) / max(1, before[-1][1] - before[-1][0])) if before else -1.0
        score += 0.11 * after
    return score - (len(windows) - len(hit))


@has_data
def test_the_published_series_with_labels_are_judged_better_than_by_published_simple_detectors() -> None:
    labels = json.loads((NAB / "combined_windows.json").read_text())
    score, window_count = 0.0, 0
    for path in sorted(NAB.glob("*.csv.gz")):
        with gzip.open(path, "rt") as file:
            rows = list(csv.DictReader(file))
        times = [row["timestamp"] for row in rows]
        windows = []
        for first, last in labels[path.name.removesuffix(".gz").replace("__", "/")]:
            inside = [number for number, time in enumerate(times) if first[:19] <= time <= last[:19]]
            windows.append((inside[0], inside[-1]))
        watch = Watch(Kind.LEVEL)
        moments = [dt.datetime.fromisoformat(time) for time in times]
        slots = [(moment.weekday() * 1_440 + moment.hour * 60 + moment.minute) // 5 for moment in moments]
        values = [float(row["value"]) for row in rows]
        found = [n for n, each in enumerate(zip(values, slots, strict=True)) if watch.judge(*each).opens]
        score += scored(len(rows), windows, found)
        window_count += len(windows)
    assert 50 * (score + window_count) / window_count >= 58


def test_large_counts_that_drop_are_told_soon_and_normal_ones_hardly_ever() -> None:
    chance = np.random.default_rng(1)
    soon = within_a_day = false_count = 0
    for _ in range(RUNS):
        values = drawn(chance, 12, 5_000)
        false_count += len([each for each in incidents(hourly(values), UTC) if each.first >= 4 * WEEK])
        at = int(chance.integers(10 * WEEK, 11 * WEEK))
        for kept, hours in ((0.7, 2), (0.9, 24)):
            less = values[: at + hours].copy()
            less[at:] = chance.binomial(less[at:], kept)
            told = any(each.is_open for number, _, each in judged(hourly(less), UTC) if number >= at)
            soon += told and hours == 2
            within_a_day += told and hours == 24
    assert soon >= 0.9 * RUNS
    assert within_a_day >= 0.9 * RUNS
    assert false_count / (RUNS * 8 / 2) <= 1


@given(st.lists(st.floats(-1e9, 1e9), min_size=60, max_size=120), st.integers(50, 60))
def test_what_comes_later_changes_nothing(values: list[float], until: int) -> None:
    whole = [*judged(hourly(values, Kind.LEVEL), UTC)]
    assert repr([*judged(hourly(values[:until], Kind.LEVEL), UTC)]) == repr(whole[:until])


def test_an_incident_has_the_bucket_that_was_furthest_off_and_lasts_while_six_in_a_row_are_off_on_average() -> None:
    calm = [100.0, 101.0, 99.0] * 30
    (found,) = incidents(hourly([*calm, 140.0, 200.0, 130.0, *calm], Kind.LEVEL), UTC)
    assert (found.first, found.last, found.value) == (90, 98, 200.0)
    assert found.expected == pytest.approx(100, abs=1)


def test_a_metric_that_stands_still_is_no_incident_and_the_first_change_is() -> None:
    assert incidents(hourly([7.0] * 400, Kind.LEVEL), UTC) == []
    assert [each.first for each in incidents(hourly([7.0] * 400 + [8.0] * 5, Kind.LEVEL), UTC)] == [400]


def test_hours_follow_the_clock_of_the_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    metric = hourly([0.0] * WEEK * 20)
    winter, summer = metric.slot(9, berlin), metric.slot(9 + 15 * WEEK, berlin)
    assert (winter, summer) == (10, 11)


def test_a_table_is_read_in_any_order_with_gaps_and_wrong_rows(tmp_path: Path) -> None:
    rows = ("02:00,5", "00:00,3", "01:00,x", "02:30,1", "05:00,4")
    text = "Hour,Events\n" + "".join(f"2026-01-01T{row}\n" for row in rows)
    found = read(written(tmp_path, text), Columns("Hour", "Events"), None, UTC)
    assert (found.kind, found.seconds, found.skipped_rows) == (Kind.COUNT, 7_200, 1)
    assert found.values == [3.0, 6.0, 4.0]


def test_a_bucket_without_a_row_has_no_level(tmp_path: Path) -> None:
    text = "time,value\n0,0.5\n60,0.5\n240,0.25\n240,0.75\n"
    found = read(written(tmp_path, text), Columns(), None, UTC)
    assert str(found.values) == "[0.5, 0.5, nan, nan, 0.5]"
    assert [number for number, _, _ in judged(found, UTC)] == [0, 1, 4]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Say the columns"),
        ("when,much\n2026-01-01,1\n", "Say the columns of time and value (--time, --value). It has when, much."),
        ("time,value\n2026-01-01,1\n", "fewer than two times"),
        ("time,value\n0,1\n1,1\n99999999,1\n", "buckets"),
    ],
)
def test_what_is_no_metric_is_refused_in_a_sentence(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(MetricError) as error:
        read(written(tmp_path, text), Columns(), None, UTC)
    assert reason in str(error.value)


def test_the_command_tells_incidents_and_writes_each_bucket(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [*([40, 41, 39] * 40), 400, *([40, 41, 39] * 5)]
    path = written(tmp_path, "time,count\n" + "".join(f"{n * 3600},{value}\n" for n, value in enumerate(values)))
    monkeypatch.setattr("sys.argv", ["journeymesh", "insights", str(path), "--output", str(tmp_path / "judged.csv")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    told = capsys.readouterr().out
    assert "136 buckets of 1:00:00 (counts)" in told
    assert "1 incidents" in told
    with (tmp_path / "judged.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["time"] for row in rows if row["opens"] == "1"] == ["1970-01-06T00:00:00+00:00"]
    assert rows[0]["state"] == "learning"
    assert len(rows) == len(values)
