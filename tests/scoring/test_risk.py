"""Score, level and confidence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.domain import risk
from services.scoring.domain.rules import Finding
from services.scoring.domain.schema import Level, level_of

PROBABILITIES = st.floats(0.0, 1.0)
COUNTS = st.integers(1, risk.COUNT_LIMIT)


def finding(strength: float = 80.0, weight: float = 0.5) -> Finding:
    return Finding("help_seeking", strength, weight * strength / 100.0, "why")


@pytest.mark.parametrize(
    ("score", "level"),
    [
        (0.0, Level.LOW),
        (39.999, Level.LOW),
        (40.0, Level.MEDIUM),
        (69.999, Level.MEDIUM),
        (70.0, Level.HIGH),
        (89.999, Level.HIGH),
        (90.0, Level.CRITICAL),
        (100.0, Level.CRITICAL),
    ],
)
def test_a_level_begins_at_its_bound(score: float, level: Level) -> None:
    assert level_of(score) is level


def test_either_alone_is_the_whole_score() -> None:
    assert risk.assess([], 0.3, 1).score == pytest.approx(30.0)
    assert risk.assess([finding()], 0.0, 1).score == pytest.approx(40.0)


def test_together_they_are_a_noisy_or() -> None:
    judged = risk.assess([finding()], 0.3, 1)
    assert judged.score == pytest.approx(100 * (1 - 0.6 * 0.7))
    assert (judged.rule_score, judged.model_score) == pytest.approx((40.0, 30.0))


@given(st.tuples(PROBABILITIES, PROBABILITIES), st.tuples(PROBABILITIES, PROBABILITIES))
def test_the_score_falls_with_neither_struggle_nor_exit_risk(
    struggles: tuple[float, float], chances: tuple[float, float]
) -> None:
    (low, high), (less, more) = sorted(struggles), sorted(chances)
    assert risk.combined(100 * low, less) <= risk.combined(100 * high, less) + 1e-12
    assert risk.combined(100 * low, less) <= risk.combined(100 * low, more) + 1e-12
    assert risk.combined(100 * high, more) >= max(100 * high, 100 * min(more, risk.PROBABILITY_LIMIT)) - 1e-9


@given(st.lists(st.builds(finding, st.floats(0, 100)), max_size=5), PROBABILITIES, PROBABILITIES, COUNTS)
def test_it_stays_in_bounds_and_rises_with_the_model(
    findings: list[Finding], one: float, other: float, count: int
) -> None:
    low, high = (risk.assess(findings, chance, count) for chance in sorted((one, other)))
    assert 0.0 <= low.score <= high.score + 1e-12 <= 100.0 + 1e-12
    assert 0.0 <= low.confidence <= 1.0
    assert max(low.rule_score, low.model_score) <= low.score + 1e-9
    assert low.level is level_of(low.score)


@given(PROBABILITIES, st.integers(1, risk.COUNT_LIMIT - 1))
def test_more_events_are_more_confidence(chance: float, count: int) -> None:
    assert risk.assess([], chance, count + 1).confidence > risk.assess([], chance, count).confidence


def test_agreement_is_more_confidence_than_contradiction() -> None:
    assert risk.assess([finding()], 0.4, 9).confidence > risk.assess([finding()], 0.9, 9).confidence


def test_the_stated_formula() -> None:
    judged = risk.assess([finding(80.0), finding(60.0)], 0.2, 99)
    from_rules = 1 - 0.6 * 0.7
    assert judged.confidence == pytest.approx((1 - 0.5 ** (1 + 2 + 1.4)) * (1 - 0.16 * (from_rules - 0.2)))
