"""The lift's interval holds the truth at whatever time one looks, and a wrong assignment is found, but no right one."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from services.intervention.decision.domain.chance import held_out
from services.intervention.lift.domain.lift import UNKNOWN, Counts, Estimate, estimate, sample_ratio_p_value

RUNS = 500
DAYS = 42
# Below this p-value an assignment is taken for wrong.
ALARM = 0.001

Table = npt.NDArray[np.int64]


class Truth(NamedTuple):
    """How many of the helped and of the held out convert, and how the users come."""

    treated: float
    holdout: float
    holdout_share: float
    users_a_day: int = 150


TRUTHS = [
    Truth(0.12, 0.08, 0.1),
    Truth(0.30, 0.10, 0.2),
    Truth(0.02, 0.03, 0.1, users_a_day=600),
    Truth(0.06, 0.05, 0.5),
]
NULLS = [
    Truth(0.05, 0.05, 0.1),
    Truth(0.02, 0.02, 0.1),
    Truth(0.30, 0.30, 0.5),
    Truth(0.01, 0.01, 0.02, users_a_day=2_000),
]


def looks(truth: Truth, seed: int) -> Table:
    """The counts at the end of each day, `RUNS` x `DAYS` x the members of `Counts`."""
    chance = np.random.default_rng(seed)
    users = chance.poisson(truth.users_a_day, (RUNS, DAYS))
    held = chance.binomial(users, truth.holdout_share)
    treated = users - held
    result = [treated, chance.binomial(treated, truth.treated), held, chance.binomial(held, truth.holdout)]
    return np.cumsum(np.stack(result, axis=-1), axis=1)


def estimates(runs: Table) -> list[list[Estimate]]:
    return [[estimate(Counts(*day)) for day in run] for run in runs.tolist()]


def misses(run: list[Estimate], lift: float) -> bool:
    """Whether any look of a run excludes the lift."""
    return any(each.is_known and not each.lower <= lift <= each.upper for each in run)


@pytest.mark.parametrize("truth", TRUTHS, ids=str)
def test_the_interval_covers_a_known_lift_at_every_look(truth: Truth) -> None:
    lift = truth.treated - truth.holdout
    runs = estimates(looks(truth, seed=1))
    assert all(run[-1].is_known for run in runs)
    assert sum(misses(run, lift) for run in runs) <= 0.05 * RUNS
    # And so at the last look alone.
    assert sum(misses(run[-1:], lift) for run in runs) <= 0.05 * RUNS
    assert np.mean([run[-1].lift for run in runs]) == pytest.approx(lift, abs=0.003)


@pytest.mark.parametrize("truth", NULLS, ids=str)
def test_where_help_changes_nothing_daily_looks_rarely_say_otherwise(truth: Truth) -> None:
    runs = estimates(looks(truth, seed=2))
    assert all(run[-1].is_known for run in runs)
    assert sum(misses(run, 0.0) for run in runs) <= 0.05 * RUNS


def test_a_fixed_interval_would_not_bear_daily_looks() -> None:
    # What the always-valid interval is for: the same runs, seen through the textbook's.
    def excludes_nothing(day: list[int]) -> bool:
        treated, treated_converted, holdout, holdout_converted = day
        one, other = treated_converted / treated, holdout_converted / holdout
        error = math.sqrt(one * (1 - one) / treated + other * (1 - other) / holdout)
        return abs(one - other) > 1.96 * error

    runs = looks(NULLS[2], seed=2).tolist()
    assert sum(any(map(excludes_nothing, run)) for run in runs) > 0.15 * RUNS


def test_users_who_are_assigned_as_they_are_in_service() -> None:
    # Every user is assigned by the hash, one salt a run; those who are held out would have converted less often.
    chance, share, days, users_a_day = np.random.default_rng(3), 0.2, 28, 60
    wrong = alarms = found = 0
    for number in range(RUNS):
        users = days * users_a_day
        held = np.array([held_out(f"salt-{number}", f"user-{user}", share) for user in range(users)])
        converted = chance.random(users) < np.where(held, 0.10, 0.25)
        columns = np.stack([~held, ~held & converted, held, held & converted], axis=-1)
        each_day = np.cumsum(columns, axis=0)[users_a_day - 1 :: users_a_day].tolist()
        run = [estimate(Counts(*day)) for day in each_day]
        wrong += misses(run, 0.15)
        alarms += any(sample_ratio_p_value(day[0], day[2], share) < ALARM for day in each_day)
        found += run[-1].lower > 0
    assert wrong <= 0.05 * RUNS
    assert alarms <= max(1, ALARM * RUNS)
    assert found > 0.9 * RUNS


def test_the_half_width_is_where_the_mixture_of_likelihood_ratios_reaches_its_bound() -> None:
    # The interval's ends are where a bet on the sum of n standardised observations, mixed over all drifts with a
    # normal of variance rho squared, has grown to 1 / alpha: here that bet is integrated instead of solved.
    alpha, counts = 0.05, Counts(1_800, 270, 200, 20)
    users = counts.treated + counts.holdout
    rates = [(270 + 2) / 1_804, (20 + 2) / 204]
    deviation = math.sqrt(users * (rates[0] * (1 - rates[0]) / 1_800 + rates[1] * (1 - rates[1]) / 200))
    rho = math.sqrt((-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / 5_000)
    found = estimate(counts, alpha)
    total = users * (found.upper - found.lift) / deviation

    def bet(drift: float) -> float:
        return math.exp(drift * total - drift**2 * users / 2) * float(stats.norm.pdf(drift, scale=rho))

    grown, _ = integrate.quad(bet, -12 * rho, 12 * rho, points=[0, total / users])
    assert grown == pytest.approx(1 / alpha, rel=1e-6)
    assert found.upper - found.lift == pytest.approx(found.lift - found.lower)


@given(
    st.builds(Counts, st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9)),
    st.floats(0.001, 0.5),
)
def test_an_estimate_is_always_within_what_can_be(drawn: Counts, alpha: float) -> None:
    treated, holdout = max(drawn.treated, 1), max(drawn.holdout, 1)
    counts = Counts(treated, min(drawn.treated_converted, treated), holdout, min(drawn.holdout_converted, holdout))
    found = estimate(counts, alpha)
    assert -1 <= found.lower <= found.lift <= found.upper <= 1
    assert found.lower < found.upper
    assert found.is_known or found == UNKNOWN
    # Arms exchanged, the sign is.
    other = estimate(Counts(*counts[2:], *counts[:2]), alpha)
    assert (other.lift, other.lower, other.upper) == pytest.approx((-found.lift, -found.upper, -found.lower))


@pytest.mark.parametrize(
    ("counts", "is_known"),
    [
        (Counts(0, 0, 0, 0), False),
        (Counts(10_000, 500, 99, 5), False),
        (Counts(10_000, 600, 100, 0), True),
        (Counts(99, 50, 10_000, 50), False),
        # Too few conversions to be expected among a hundred, and too few users without one.
        (Counts(10_000, 400, 100, 4), False),
        (Counts(10_000, 9_600, 100, 96), False),
        (Counts(10_000, 400, 200, 8), True),
        (Counts(10_000, 0, 10_000, 0), False),
    ],
)
def test_a_lift_is_known_from_enough_users_and_conversions_on(counts: Counts, is_known: bool) -> None:  # noqa: FBT001
    assert estimate(counts).is_known is is_known


def test_none_out_of_n_is_no_certainty() -> None:
    found = estimate(Counts(1_000, 60, 100, 0))
    # As if it had been 2 out of 104: not much narrower than with one conversion among the hundred.
    one = estimate(Counts(1_000, 60, 100, 1))
    assert found.upper - found.lower > 0.8 * (one.upper - one.lower) > 0.08


def test_the_sample_ratio_against_scipy() -> None:
    for treated, holdout, share in [(900, 100, 0.1), (500, 700, 0.5), (95_000, 5_400, 0.05), (3, 0, 0.5)]:
        users = treated + holdout
        mixture = stats.betabinom.logpmf(holdout, users, 1_000 * share, 1_000 * (1 - share))
        wanted = stats.binom.logpmf(holdout, users, share)
        expected = min(1.0, math.exp(wanted - mixture))
        assert sample_ratio_p_value(treated, holdout, share) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_a_right_assignment_raises_no_alarm_under_daily_looks(share: float) -> None:
    chance, runs = np.random.default_rng(4), 2_000
    users = chance.poisson(300, (runs, DAYS))
    held = np.cumsum(chance.binomial(users, share), axis=1)
    treated = np.cumsum(users, axis=1) - held
    alarms = sum(
        any(sample_ratio_p_value(*day, share) < ALARM for day in zip(*run, strict=True))
        for run in zip(treated.tolist(), held.tolist(), strict=True)
    )
    assert alarms <= ALARM * runs


def test_a_wrong_assignment_is_found() -> None:
    chance, found_after = np.random.default_rng(5), []
    for _ in range(100):
        held = np.cumsum(chance.binomial(200, 0.45, DAYS)).tolist()
        days = [day for day in range(DAYS) if sample_ratio_p_value(200 * (day + 1) - held[day], held[day], 0.5) < ALARM]
        assert days
        found_after.append(days[0] + 1)
    # 45 to 55 instead of 50 to 50: within some 3,000 users mostly.
    assert np.median(found_after) * 200 < 3_000


def test_where_nobody_or_everybody_is_to_be_held_out() -> None:
    assert sample_ratio_p_value(1_000, 0, 0.0) == 1
    assert sample_ratio_p_value(1_000, 1, 0.0) == 0
    assert sample_ratio_p_value(0, 1_000, 1.0) == 1
    assert sample_ratio_p_value(1, 1_000, 1.0) == 0
    assert sample_ratio_p_value(0, 0, 0.1) == 1


def test_the_sample_ratio_of_very_many_users_is_a_number() -> None:
    assert sample_ratio_p_value(9 * 10**11, 10**11, 0.1) == 1
    assert sample_ratio_p_value(8 * 10**11, 2 * 10**11, 0.1) == 0
