"""Stories of users through the code of the features service to the assessment, as in the mesh."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.state.memory import MemoryState
from offline.training.stories import STORIES, Step
from services.features.domain import journey
from services.features.domain.event import Click, Event, Kind
from services.features.domain.state import State
from services.features.domain.vector import FEATURE_NAMES, SCHEMA_VERSION, vector
from services.scoring.adapters.model_directory import ModelDirectory
from services.scoring.domain import schema
from services.scoring.domain.assessment import Assessment
from services.scoring.domain.history import Settled, Signal
from services.scoring.domain.schema import Level
from services.scoring.usecases import Scoring
from tests.builders import NOW_US, SECOND_US
from tests.scoring.builders import MODELS, batch, rows

Happening = tuple[float, int, dict[str, Any]]
"""Seconds, kind, members of the event."""

_DAY = 86_400


def assess(story: Sequence[Happening]) -> list[Assessment]:
    """The assessment after each event."""
    state, times, vectors = State(), [], []
    signals: dict[int, list[Signal]] = {}
    settled: dict[int, set[Settled]] = {}
    for row, (seconds, kind, members) in enumerate(story):
        at_us = NOW_US + round(seconds * SECOND_US)
        found = journey.apply(state, Event(f"e-{row}", kind, at_us, **members))
        signals[row] = [
            Signal(each.type, each.strength, each.at_us, each.reason, b"", each.target, each.run_start_us)
            for each in found.signals
        ]
        settled[row] = {Settled(each.type, each.at_us, each.target) for each in found.settled}
        times.append(at_us)
        vectors.append(vector(state))
    scoring = Scoring(ModelDirectory(MODELS), MemoryState())
    brought = {row: found for row, found in signals.items() if found}
    assessed = rows(["ada"] * len(story), times, vectors, brought, {row: over for row, over in settled.items() if over})
    return asyncio.run(scoring.assess(assessed, batch(1))).assessments


def steps(story: Sequence[Step]) -> list[Happening]:
    return [(seconds, kind, {"page": page}) for seconds, kind, page in story]


def calculator(attempts: int, page: str = "/calculator", gap: float = 15.0) -> list[Happening]:
    return [
        (0.0, Kind.PAGE_VIEW, {"page": page}),
        (gap, Kind.FEATURE_INTERACTION, {"page": page, "target": "loan_amount"}),
        (2 * gap, Kind.STRUGGLE_SIGNAL, {"page": page, "attempt_count": attempts}),
    ]


def engaged(days: Sequence[int], length: int = 12) -> list[Happening]:
    """A visit with much interaction and success on each day."""
    return [
        (day * _DAY + 40.0 * step + after, kind, {"page": f"/products/{step % 4}"})
        for day in days
        for step in range(length)
        for after, kind in ((0, Kind.PAGE_VIEW), (8, Kind.FEATURE_INTERACTION), (20, Kind.TASK_SUCCESS))
    ]


def form_trouble(errors: int = 3, helps: int = 2, refreshes: int = 3) -> list[Happening]:
    page = {"page": "/loan-application", "target": "loan"}
    return [
        (0.0, Kind.PAGE_VIEW, {"page": "/loan-application"}),
        (20.0, Kind.FORM_START, page),
        *((60.0 + 20 * n, Kind.ERROR, {**page, "error_code": "validation"}) for n in range(errors)),
        *(
            (130.0 + 10 * n, Kind.PAGE_VIEW, {"page": "/loan-application", "is_refresh": True})
            for n in range(refreshes)
        ),
        *((200.0 + 90 * n, Kind.HELP_REQUEST, page) for n in range(helps)),
    ]


def test_both_services_have_the_same_features() -> None:
    assert (SCHEMA_VERSION, FEATURE_NAMES) == (schema.SCHEMA_VERSION, schema.FEATURES)


@pytest.mark.parametrize(("page", "gap"), [("/calculator", 15.0), ("/tax-return", 2.0), ("/mortgage", 40.0)])
def test_attempts_decide_the_level(page: str, gap: float) -> None:
    scores = {attempts: assess(calculator(attempts, page, gap))[-1].risk for attempts in (1, 2, 3)}
    assert scores[1].level is Level.LOW
    assert scores[2].level is Level.MEDIUM
    assert 75.0 <= scores[3].score < 90.0


@pytest.mark.parametrize("days", [(), (-2, -1), (-20, -15, -9, -7, -5, -3, -2, -1)])
def test_three_failed_attempts_reach_the_trigger_for_anybody(days: tuple[int, ...]) -> None:
    assert assess([*engaged(days), *calculator(3)])[-1].risk.score >= 75.0


@pytest.mark.parametrize("days", [(-1,), (-2, -1), (-20, -15, -9, -7, -5, -3, -2, -1)])
def test_form_trouble_is_high_and_rather_sure(days: tuple[int, ...]) -> None:
    last = assess([*engaged(days), *form_trouble()])[-1]
    assert last.risk.level is Level.HIGH
    assert last.risk.confidence == pytest.approx(0.87, abs=0.02)
    assert {"form_errors", "help_seeking", "engagement_drop"} <= {part.name for part in last.indicators}


def test_each_trouble_less_is_less_risk() -> None:
    lighter = [form_trouble(), form_trouble(2), form_trouble(2, 1), form_trouble(2, 1, 0), form_trouble(1, 0, 0)]
    scores = [assess([*engaged((-2, -1)), *story])[-1].risk.score for story in lighter]
    assert scores == sorted(scores, reverse=True)


def test_a_calm_user_is_never_above_low() -> None:
    story = [
        (30.0 * n + after, kind, {"page": f"/page-{n}"})
        for n in range(20)
        for after, kind in ((0, Kind.PAGE_VIEW), (12, Kind.TASK_SUCCESS))
    ]
    answers = assess(story)
    assert {answer.risk.level for answer in answers} == {Level.LOW}
    assert answers[-1].strong_signal_count == 0
    assert answers[-1].risk.confidence > answers[0].risk.confidence


@pytest.mark.parametrize("name", [name for name in STORIES if "failed" not in name])
def test_the_model_alone_finds_nobody_in_a_calm_visit_above_low(name: str) -> None:
    assert assess(steps(STORIES[name]))[-1].risk.model_score < 40.0


@pytest.mark.parametrize("name", [name for name in STORIES if name.startswith("first")])
def test_a_fresh_user_is_an_ordinary_user(name: str) -> None:
    assert 5.0 <= assess(steps(STORIES[name]))[-1].risk.model_score <= 30.0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([Kind.PAGE_VIEW, Kind.ERROR, Kind.TASK_FAILURE, Kind.HELP_REQUEST]), max_size=12))
def test_one_more_error_never_lowers_the_score(kinds: list[int]) -> None:
    story: list[Happening] = [(10.0 * n, kind, {"page": f"/page-{n % 3}"}) for n, kind in enumerate([1, *kinds])]
    before, after = assess([*story, (10.0 * len(story), Kind.ERROR, {"page": "/page-0"})])[-2:]
    assert after.risk.score >= before.risk.score - 1e-9


# What was reached.

PAY = {"page": "/pay", "target": "pay"}
FAILED: list[Happening] = [(float(n), Kind.TASK_FAILURE, PAY) for n in range(3)]
FORM: list[Happening] = [
    (0.0, Kind.FORM_START, {"page": "/apply", "target": "loan"}),
    *((10.0 + n, Kind.ERROR, {"page": "/apply", "target": "loan", "error_code": "validation"}) for n in range(4)),
]
DEAD = Click(effect_observed=False)
RAGE: list[Happening] = [
    (0.2 * n + 20 * run, Kind.CLICK, {"page": "/pay", "target": "send", "click": DEAD})
    for run in range(4)
    for n in range(6)
]
SOLVED: dict[str, list[Happening]] = {
    "failures, then the task works": [*FAILED, (100.0, Kind.TASK_SUCCESS, PAY)],
    "failures, then a purchase there": [*FAILED, (100.0, Kind.PURCHASE, {**PAY, "amount": 30.0})],
    "failures, then an order on a page of thanks": [
        *FAILED,
        (100.0, Kind.PURCHASE, {"page": "/thanks", "target": "checkout", "amount": 25.0}),
    ],
    "form errors, then the form is sent": [*FORM, (100.0, Kind.TASK_SUCCESS, {"page": "/apply", "target": "loan"})],
    "form errors, then an order": [*FORM, (100.0, Kind.PURCHASE, {"page": "/thanks", "amount": 25.0})],
    "rage, then the button works": [*RAGE, (100.0, Kind.TASK_SUCCESS, {"page": "/pay"})],
}


@pytest.mark.parametrize("name", SOLVED)
def test_after_a_success_the_trouble_is_no_risk(name: str) -> None:
    story = SOLVED[name]
    before, after = assess(story)[-2:]
    assert before.latest_signal_us == NOW_US + round(story[-2][0] * SECOND_US)
    assert before.risk.rule_score > 40
    assert (after.strong_signal_count, after.latest_signal_us) == (0, 0)
    assert after.risk.level is Level.LOW
    assert after.risk.score < before.risk.score


def test_failures_are_the_trigger_until_they_are_solved_and_anew_when_they_come_again() -> None:
    again = [(110.0 + seconds, kind, members) for seconds, kind, members in FAILED]
    story = [*SOLVED["failures, then the task works"], *again]
    scores = [answer.risk.score for answer in assess(story)]
    assert scores[2] >= 75 > scores[3]
    assert scores[-1] >= 75


def test_success_elsewhere_changes_nothing() -> None:
    answers = assess([*FAILED, (100.0, Kind.TASK_SUCCESS, {"page": "/profile", "target": "name"})])
    assert answers[-1].risk.rule_score == answers[-2].risk.rule_score


def test_a_run_of_clicks_is_one_strong_signal() -> None:
    one_run: list[Happening] = [
        (0.2 * n, Kind.CLICK, {"page": "/pay", "target": "send", "click": DEAD}) for n in range(20)
    ]
    assert assess(one_run)[-1].strong_signal_count == 1
    assert assess(RAGE)[-1].strong_signal_count == 4


def test_errors_are_not_said_to_be_elsewhere_where_they_were_overcome() -> None:
    overcome = assess([*FORM, (100.0, Kind.TASK_SUCCESS, {"page": "/apply", "target": "loan"})])[-1]
    assert overcome.risk.level is Level.LOW
    here_and_there = assess([(10.0 * n, Kind.ERROR, {"page": f"/{n}"}) for n in range(20)])[-1]
    (text,) = [part.reason for part in here_and_there.indicators if part.name == "scattered_errors"]
    assert text == "20 errors within 30 minutes"
