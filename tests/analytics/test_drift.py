"""What moved since the window before: reasons by what they contributed, and distances of samples."""

import dataclasses
from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.adapters.questions.drifting import drift
from services.analytics.domain import drift as apart
from services.analytics.domain.question import DAY_US, Drift
from services.scoring.domain import guardrail
from tests.analytics.rows import EVERYBODY, START_US, WINDOW, Decision, asking

ASKED: Final = Drift(WINDOW, (), EVERYBODY, "")
BEFORE_US: Final = START_US - 3 * DAY_US
USERS: Final = 120


def made(start_us: int, prefix: str, named: int, *, version: str = "m-1") -> list[Decision]:
    """A decision for each user; so many of them name two reasons, each by a point, and are at high risk."""
    return [
        Decision(
            f"u-{number}",
            start_us + number,
            f"{prefix}-{number:03}",
            ("rage_clicks", "form_errors") if number < named else (),
            level="high" if number < named else "low",
            kind="intervene" if number < named // 2 else "none",
            score=60.0 if number < named else 10.0,
            model_version=version,
        )
        for number in range(USERS)
    ]


def test_a_reason_that_more_decisions_name_has_moved() -> None:
    found = drift(asking([], [*made(BEFORE_US, "b", 12), *made(START_US, "a", 90)]), ASKED)
    assert (found.previous.prediction_count, found.current.user_count) == (USERS, USERS)
    assert (found.previous.at_risk_share, found.current.at_risk_share) == (0.1, 0.75)
    assert (found.previous.offered_share, found.current.offered_share) == (0.05, 0.375)
    *scores, one, other = found.items
    assert [each.kind for each in scores] == ["score"] * 3
    assert (one.name, other.name) == ("form_errors", "rage_clicks")
    assert (one.previous_share, one.share) == (one.previous_mean, one.mean) == (0.1, 0.75)
    assert one.moved == pytest.approx(0.65, abs=0.01)
    expected = 0.65 * np.log(0.75 / 0.1) + (0.25 - 0.9) * np.log(0.25 / 0.9)
    assert one.psi == pytest.approx(expected)
    assert not one.is_notable, "less than a point"
    both = next(each for each in scores if each.name == "model and rules")
    assert both.moved == pytest.approx(0.65 * 50, abs=0.5)
    assert both.is_notable


def test_what_was_told_is_a_score_of_its_own_and_else_what_the_model_said_stands_in_its_place() -> None:
    since = [dataclasses.replace(each, probability=0.75) for each in made(START_US, "a", 0)]
    told, model, *others = drift(asking([], [*made(BEFORE_US, "b", 0), *since]), ASKED).items
    assert [told.name, model.name, *(each.name for each in others)] == [
        "told",
        "model",
        "rules only",
        "model and rules",
    ]
    assert (told.previous_mean, told.mean, told.is_notable) == (50.0, 75.0, True)
    assert (model.previous_mean, model.mean) == (50.0, 50.0)


def test_where_nothing_moved_nothing_is_notable() -> None:
    found = drift(asking([], [*made(BEFORE_US, "b", 40), *made(START_US, "a", 40)]), ASKED)
    assert {(each.psi, each.distance, each.moved, each.is_notable) for each in found.items} == {(0.0, 0.0, 0.0, False)}


def test_few_users_and_other_models_are_not_compared() -> None:
    found = drift(asking([], [*made(BEFORE_US, "b", 40)[:99], *made(START_US, "a", 40)]), ASKED)
    assert (found.items, found.least_user_count) == ((), 100)
    assert (found.previous.user_count, found.current.user_count) == (99, USERS)
    found = drift(asking([], [*made(BEFORE_US, "b", 40, version="old"), *made(START_US, "a", 40)]), ASKED)
    assert (found.items, found.model_version, found.previous.prediction_count) == ((), "m-1", 0)
    assert found.previous.at_risk_share is None
    assert drift(asking([]), ASKED).model_version == ""


def test_of_many_predictions_the_same_users_are_taken_in_both_windows() -> None:
    decisions = [*made(BEFORE_US, "b", 40), *made(START_US, "a", 40)]
    found = drift(asking([], decisions), ASKED, most_measured=USERS)
    assert found.one_in == 2
    assert 30 < found.previous.user_count == found.current.user_count < 90


histograms = st.integers(1, 12).flatmap(
    lambda count: st.tuples(*[st.lists(st.integers(0, 99), min_size=count, max_size=count).filter(any)] * 2)
)


@given(histograms)
def test_the_index_is_that_by_which_canaries_are_judged(sides: tuple[list[int], list[int]]) -> None:
    assert apart.psi(*sides) == guardrail.psi(*sides)
