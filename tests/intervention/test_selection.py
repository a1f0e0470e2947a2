"""Candidates are chosen as often as their propensities say, and those are what known libraries make of the input."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mabwiser.mab import MAB, LearningPolicy
from scipy import special, stats

from services.intervention.decision.domain.chance import chosen, draw, propensities

UTILITIES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12)
TEMPERATURES = st.just(0.0) | st.floats(1e-6, 1e6)
FLOORS = st.floats(0, 1 / 12)
# Inputs are fixed, so that a test passes always or never.
RARE = 0.001
SOME = [0.31, 0.0, 0.44, 0.44, -0.2]


@given(UTILITIES, TEMPERATURES, FLOORS)
def test_they_sum_to_one_and_none_is_below_the_floor(utilities: list[float], temperature: float, floor: float) -> None:
    likely = propensities(utilities, temperature, floor)
    assert len(likely) == len(utilities)
    assert sum(likely) == pytest.approx(1, abs=1e-12)
    assert all(floor <= each <= 1 + 1e-12 for each in likely)


@given(UTILITIES, TEMPERATURES, FLOORS)
def test_what_is_worth_more_is_never_less_likely(utilities: list[float], temperature: float, floor: float) -> None:
    likely = propensities(utilities, temperature, floor)
    ranked = sorted(range(len(utilities)), key=lambda index: utilities[index])
    if temperature > 0:
        assert all(likely[one] <= likely[other] for one, other in itertools.pairwise(ranked))
    assert max(likely) == likely[utilities.index(max(utilities))]


@given(UTILITIES, st.floats(0.01, 1e6), FLOORS)
def test_softmax_is_that_of_scipy(utilities: list[float], temperature: float, floor: float) -> None:
    expected = floor + (1 - floor * len(utilities)) * special.softmax(np.array(utilities) / temperature)
    np.testing.assert_allclose(propensities(utilities, temperature, floor), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.05, 0.3, 1, 20])
def test_softmax_is_that_of_mabwiser(temperature: float) -> None:
    # One reward an arm: its mean is the utility.
    bandit = MAB(list(range(len(SOME))), LearningPolicy.Softmax(tau=temperature))
    bandit.fit(decisions=list(range(len(SOME))), rewards=SOME)
    expected = list(bandit._imp.arm_to_expectation.values())
    assert propensities(SOME, temperature, 0) == pytest.approx(expected, rel=1e-12)


def test_temperature_0_with_a_floor_is_the_epsilon_greedy_of_mabwiser() -> None:
    epsilon, count = 0.2, 20_000
    bandit = MAB(list(range(len(SOME))), LearningPolicy.EpsilonGreedy(epsilon=epsilon), seed=7)
    bandit.fit(decisions=list(range(len(SOME))), rewards=SOME)
    counted = np.bincount([bandit.predict() for _ in range(count)])
    expected = np.array(propensities(SOME, 0, epsilon / len(SOME))) * count
    assert stats.chisquare(counted, expected).pvalue > RARE


def test_temperature_0_takes_the_first_of_the_best() -> None:
    assert propensities(SOME, 0, 0) == [0, 0, 1, 0, 0]
    assert propensities([5.0], 0, 0) == [1]
    assert propensities([], 0, 0.1) == []


def test_small_temperatures_neither_overflow_nor_divide_by_nothing() -> None:
    assert propensities([1e308, -1e308, 0], 1e-300, 0) == [1, 0, 0]
    assert propensities([-1e308, -1e308], 1e-300, 0) == [0.5, 0.5]


def test_with_too_many_candidates_for_the_floor_all_are_equally_likely() -> None:
    assert propensities([3.0, 2.0, 1.0, 0.0], 0, 0.4) == [0.25] * 4


@given(UTILITIES, TEMPERATURES, FLOORS, st.floats(0, 1, exclude_max=True))
def test_every_draw_chooses_one_that_can_be(
    utilities: list[float], temperature: float, floor: float, drawn: float
) -> None:
    likely = propensities(utilities, temperature, floor)
    index = chosen(likely, drawn)
    assert likely[index] > 0
    before = sum(likely[:index])
    assert before - 1e-12 <= drawn <= before + likely[index] + 1e-12


@pytest.mark.parametrize(
    ("likely", "drawn", "index"),
    [
        ([0.0, 1.0, 0.0], 0.0, 1),
        ([0.0, 1.0, 0.0], 1 - 2**-53, 1),
        ([0.5, 0.5], 0.5, 1),
        ([0.5, 0.5], 0.5 - 2**-53, 0),
        # Ten times 0.1 stays below 1; what is drawn above it falls on the last that can be chosen.
        ([0.1] * 10 + [0.0], 1 - 2**-53, 9),
    ],
)
def test_each_has_its_part_of_the_interval(likely: list[float], drawn: float, index: int) -> None:
    assert chosen(likely, drawn) == index


@pytest.mark.parametrize(("temperature", "floor"), [(0.0, 0.05), (0.3, 0.0), (0.3, 0.02), (5.0, 0.1)])
def test_draws_choose_as_often_as_propensities_say(temperature: float, floor: float) -> None:
    likely, count = propensities(SOME, temperature, floor), 20_000
    counted = np.bincount([chosen(likely, draw("s", "0", number, 0)) for number in range(count)], minlength=len(SOME))
    assert stats.chisquare(counted, np.array(likely) * count).pvalue > RARE
