"""The statistics of running experiments: against other ways to compute them, and simulated with a known truth."""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparison import sums
from comparison.sequential import half_width, interval, ratio_p_value
from comparison.sums import Sums
from offline.experiments.comparison import compare
from offline.experiments.comparison import sample as sample_of
from services.experiments.domain.conclusion import conclude
from services.experiments.domain.definition import SCORE
from services.experiments.domain.evidence import Group, Totals
from services.experiments.domain.experiment import DAY_US, changed, created, progressed
from tests.experiments.examples import GUARDED, NOON_US, SCORED

RUNS: Final = 2_000
DAYS: Final = 14
PER_DAY: Final = 150
MONTE_CARLO: Final = 3 * math.sqrt(0.05 * 0.95 / RUNS)

whole = st.integers(-1_000, 1_000).map(float)
values = st.lists(st.tuples(whole, whole), min_size=2, max_size=40)


def totals(arms: Mapping[str, Sums], metric: str) -> Totals:
    """What was counted in one metric."""
    return Totals({arm: Group(round(each.units), {metric: each}) for arm, each in arms.items()}, {})


@settings(max_examples=50)
@given(values, values)
def test_sums_tell_what_the_units_tell(first: list[tuple[float, float]], second: list[tuple[float, float]]) -> None:
    outcomes = {name: np.array([x for x, _ in rows]) for name, rows in (("a", first), ("b", second))}
    before = {name: np.array([b for _, b in rows]) for name, rows in (("a", first), ("b", second))}
    added = {name: sums.together(sums.of_unit(x, b) for x, b in rows) for name, rows in (("a", first), ("b", second))}
    found = sums.adjusted(added)
    within = {name: column - column.mean() for name, column in before.items()}
    spread = sum(float(column @ column) for column in within.values())
    theta = sum(float(column @ outcomes[name]) for name, column in within.items()) / spread if spread else 0.0
    mean = np.concatenate(list(before.values())).mean()
    for name, outcome in outcomes.items():
        expected = sample_of(outcome - theta * (before[name] - mean))
        assert found[name].size == expected.size
        assert found[name].mean == pytest.approx(expected.mean, rel=1e-9, abs=1e-9)
        assert found[name].variance == pytest.approx(expected.variance, rel=1e-9, abs=1e-6)


def test_a_unit_of_which_nothing_was_known_counts_as_the_mean() -> None:
    rng = np.random.default_rng(1)
    b = rng.normal(size=200)
    x = b + rng.normal(size=200)
    added = sums.together(sums.of_unit(value, before) for value, before in zip(x, b, strict=True))
    alone = sums.together(sums.of_unit(value) for value in x)
    mixed = sums.adjusted({"known": added, "unknown": alone})
    assert mixed["unknown"] == sums.sample(alone)
    assert mixed["known"].variance < 0.7 * sums.sample(added).variance


def test_the_interval_is_that_of_the_published_formula() -> None:
    rng = np.random.default_rng(2)
    arm, control = (sample_of(rng.normal(shift, 2, size)) for shift, size in ((0.1, 700), (0.0, 900)))
    n, alpha = 1_600, 0.05
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / 5_000
    deviation = math.sqrt(n * (arm.variance / arm.size + control.variance / control.size))
    half = deviation * math.sqrt(2 * (n * rho2 + 1) / (n * n * rho2) * math.log(math.sqrt(n * rho2 + 1) / alpha))
    lower, upper = interval(arm, control, alpha)
    assert (upper - lower) / 2 == pytest.approx(half, rel=1e-12)
    compared = compare(arm, control, alpha)
    assert compared is not None
    assert compared.always_valid == (lower, upper)
    assert half_width(1.0, 10**9, alpha) > 0


def test_no_difference_is_hardly_ever_a_winner_and_the_truth_hardly_ever_missed() -> None:
    rng = np.random.default_rng(3)
    scores = rng.beta(2, 1, size=(RUNS, 2, DAYS, PER_DAY))
    x, xx = scores.sum(3).cumsum(2), (scores**2).sum(3).cumsum(2)
    won = missed = 0
    for run in range(RUNS):
        results = [
            conclude(
                SCORED,
                totals(
                    {
                        arm: Sums((day + 1.0) * PER_DAY, float(x[run, place, day]), float(xx[run, place, day]))
                        for place, arm in enumerate(("control", "new"))
                    },
                    SCORE,
                ),
                day + 1.0,
            )
            for day in range(DAYS)
        ]
        won += any(each.decision.verdict == "winner" for each in results)
        missed += any(not each.findings[0].interval.lower <= 0 <= each.findings[0].interval.upper for each in results)
    assert won / RUNS <= 0.05 + MONTE_CARLO
    assert missed / RUNS <= 0.05 + MONTE_CARLO


def test_a_difference_wins_after_three_days_and_not_before() -> None:
    def of(mean: float, units: float) -> Sums:
        return Sums(units, mean * units, (mean * mean + 0.04) * units)

    found = [
        conclude(SCORED, totals({"control": of(0.5, units), "new": of(0.6, units)}, SCORE), days)
        for units, days in ((99, 5.0), (5_000, 2.0), (5_000, 3.0))
    ]
    assert [each.decision.verdict for each in found] == ["not_yet", "not_yet", "winner"]
    assert found[2].decision.arm == "new"
    assert "99 of 100" in found[0].decision.waits_for[0]
    assert found[1].decision.days_left == pytest.approx(1.0)
    worse = conclude(SCORED, totals({"control": of(0.6, 5_000), "new": of(0.5, 5_000)}, SCORE), 3.0)
    assert worse.decision.arm == "control"


def test_days_left_come_true() -> None:
    def of(units: float) -> Totals:
        return totals({arm: Sums(units, 0.5 * units, 0.5 * units) for arm in ("control", "new")}, SCORE)

    left = conclude(SCORED, of(400), 4.0).decision.days_left
    assert left is not None
    assert left > 1
    before, after = (conclude(SCORED, of(400 * (4 + left * part) / 4), 4 + left * part) for part in (0.8, 1.0))
    assert before.decision.days_left != 0
    assert after.decision.days_left == 0


@pytest.mark.parametrize(
    ("control", "new", "level"), [(5_000, 5_050, "fine"), (5_000, 5_420, "warning"), (5_000, 5_600, "alarm")]
)
def test_numbers_of_units_that_do_not_fit_are_seen(control: int, new: int, level: str) -> None:
    one = Sums(1.0)
    counted = Totals({"control": Group(control, {SCORE: one}), "new": Group(new, {SCORE: one})}, {})
    found = conclude(SCORED, counted, 5.0)
    assert found.ratio == level
    assert any("do not fit" in each for each in found.decision.waits_for) == (level == "alarm")


def test_a_right_assignment_is_hardly_ever_an_alarm() -> None:
    rng = np.random.default_rng(4)
    counts = rng.binomial(300, 0.25, size=(RUNS, 30)).cumsum(1)
    alarms = sum(
        any(
            ratio_p_value({"a": int(count), "b": 300 * (day + 1) - int(count)}, {"a": 1, "b": 3}) < 0.01
            for day, count in enumerate(run)
        )
        for run in counts
    )
    assert alarms / RUNS <= 0.01 + 3 * math.sqrt(0.01 * 0.99 / RUNS)


def simulated(rate: float, rng: np.random.Generator, visitors: int, days: int) -> tuple[str, float]:
    """The state of an experiment after some days, and the largest part of the units that it reached."""
    experiment = changed(created("", GUARDED, "", "", NOON_US), "start", "", "", NOON_US)
    counts = np.zeros((2, 2))
    largest = experiment.percent
    for day in range(1, days + 1):
        units = rng.binomial(visitors, experiment.percent / 100)
        treated = rng.binomial(units, 0.5)
        counts[:, 0] += units - treated, treated
        counts[:, 1] += rng.binomial(units - treated, 0.3), rng.binomial(treated, rate)
        arms = {
            arm: Sums(float(of), float(sold), float(sold))
            for arm, (of, sold) in zip(("control", "new"), counts, strict=True)
        }
        now_us = NOON_US + day * DAY_US
        results = conclude(GUARDED, totals(arms, "sold"), experiment.days(now_us))
        experiment = progressed(experiment, results, now_us)
        if experiment.state != "running":
            break
        largest = max(largest, experiment.percent)
    return experiment.state, largest


def test_harm_is_rolled_back_before_a_quarter_of_the_units_meets_it() -> None:
    rng = np.random.default_rng(5)
    ended = [simulated(0.27, rng, visitors, 90) for visitors in (2_000, 5_000, 50_000) for _ in range(100)]
    assert sum(state == "rolled_back" and largest < 25 for state, largest in ended) >= 0.9 * len(ended)


def test_no_harm_goes_all_the_way() -> None:
    rng = np.random.default_rng(6)
    ended = [simulated(0.3, rng, 20_000, 60) for _ in range(100)]
    assert sum(state == "running" and largest == 100 for state, largest in ended) >= 90
