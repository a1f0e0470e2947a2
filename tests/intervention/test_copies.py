"""Copies of an anonymous journey, and what systems do: known, and neither answered nor counted twice."""

import pytest

from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Outcome, Purchase
from services.intervention.decision.ports import Reference
from services.intervention.lift.domain.lift import Counts
from services.intervention.policy.domain.policy import EventKind
from services.intervention.translation.decisions import ledger_record
from tests.intervention.builders import MINUTE, NOON_ISH, Row, World, edited, outcome

HOLDOUT = edited(holdout={"share": 0.5, "salt": "x"})


@pytest.mark.parametrize(
    "row",
    [
        Row(10.0),
        Row(95.0, strong=5),
        Row(95.0, is_bot=True),
        Row(95.0, age_us=60 * MINUTE),
        Row(55.0, indicators=("form_errors",)),
        Row(95.0, kind=EventKind.PURCHASE, bought=Purchase(9.0, "EUR")),
        Row(10.0, kind=EventKind.SESSION_END, is_settled=True),
    ],
)
async def test_a_copy_is_never_decided_on(row: Row) -> None:
    world = World(HOLDOUT)
    copy = Row(**{**vars(row), "is_copy": True})
    result = await world.come(1, [[copy]])
    assert (result.made, result.reasons[Reason.COPIED_EVENT]) == ([], 1)
    assert (await world.last()).verdict.reasons == (Reason.COPIED_EVENT,)
    assert await world.state.load(["user:ada", "tally:3"]) == [None, None]
    ((at, policy, block),) = await world.reading.pages([Reference("3", 1)])
    assert [Reason(each) for each in ledger_record(at, policy, block).reasons] == [Reason.COPIED_EVENT]


async def test_a_copy_has_no_effect_on_somebody_known() -> None:
    world = World()
    (made,) = await world.send(Row(80.0))
    await world.send(outcome(Outcome.SHOWN, made.intervention.id))
    before = await world.state.load(["user:ada"])
    copies = [
        Row(kind=EventKind.PURCHASE, bought=Purchase(-9.0, "EUR"), is_copy=True),
        Row(kind=EventKind.PURCHASE, bought=Purchase(9.0, "EUR"), is_copy=True, is_bot=True),
        Row(kind=EventKind.PURCHASE, bought=Purchase(9.0, "EUR"), is_copy=True, age_us=60 * MINUTE),
        Row(kind=EventKind.SESSION_END, is_copy=True),
        Row(is_settled=True, is_copy=True),
        outcome(Outcome.ACCEPTED, made.intervention.id, is_copy=True),
    ]
    await world.send(*copies)
    assert await world.state.load(["user:ada"]) == before


@pytest.mark.parametrize("count", [1, 2])
async def test_what_was_bought_before_a_login_is_the_goal_of_who_was_helped_elsewhere_once(count: int) -> None:
    world = World()
    (made,) = await world.send(Row(80.0))
    await world.send(outcome(Outcome.SHOWN, made.intervention.id))
    copy = Row(at_us=NOON_ISH + MINUTE, kind=EventKind.PURCHASE, bought=Purchase(9.0, "EUR"), is_copy=True)
    for _ in range(count):
        await world.send(copy)
        assert (await world.last()).verdict.reasons == (Reason.COPIED_EVENT,)
    assert (await world.reading.intervention(made.intervention.id)).outcome is Outcome.CONVERTED
    assert (await world.reading.lifts("")).estimates[0][2] == Counts(1, 1, 0, 0)
    await world.send(Row(80.0, NOON_ISH + 60 * MINUTE))
    assert (await world.last()).standing.bought == {}


@pytest.mark.parametrize("score", [10.0, 55.0, 95.0])
async def test_what_a_system_did_brings_no_help(score: float) -> None:
    world = World(HOLDOUT)
    result = await world.come(1, [[Row(score, indicators=("form_errors",), is_system=True)]])
    assert (result.made, result.reasons[Reason.SYSTEM_EVENT]) == ([], 1)
    decision = await world.last()
    assert decision.verdict.reasons == (Reason.SYSTEM_EVENT,)
    assert decision.verdict.explanation == "A system made the event, not the user."
    assert await world.state.load(["user:ada"]) == [None]


async def test_a_system_ends_no_session_but_what_it_sold_is_bought_and_is_the_goal() -> None:
    world = World()
    (made,) = await world.send(Row(80.0))
    await world.send(outcome(Outcome.SHOWN, made.intervention.id))
    await world.send(Row(kind=EventKind.SESSION_END, is_system=True))
    assert (await world.reading.waiting("ada")).intervention == made.intervention
    sold = Row(
        at_us=NOON_ISH + MINUTE,
        kind=EventKind.PURCHASE,
        bought=Purchase(9.0, "EUR"),
        is_system=True,
        age_us=MINUTE // 2,
    )
    await world.send(sold)
    assert (await world.last()).verdict.reasons == (Reason.SYSTEM_EVENT,)
    assert (await world.reading.intervention(made.intervention.id)).outcome is Outcome.CONVERTED
    await world.send(Row(80.0, NOON_ISH + 60 * MINUTE))
    assert (await world.last()).standing.bought == {"EUR": 9.0}


async def test_outcomes_are_recorded_whoever_reports_them_and_however_late() -> None:
    world = World()
    (made,) = await world.send(Row(80.0))
    declined = outcome(
        Outcome.DECLINED, made.intervention.id, is_bot=True, is_system=True, age_us=60 * MINUTE, at_us=NOON_ISH + MINUTE
    )
    await world.send(declined)
    assert (await world.last()).verdict.reasons == (Reason.OUTCOME_EVENT,)
    assert (await world.reading.intervention(made.intervention.id)).outcome is Outcome.DECLINED


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (Row(80.0, is_bot=True, is_system=True, age_us=60 * MINUTE), Reason.BOT),
        (Row(80.0, is_system=True, age_us=60 * MINUTE), Reason.SYSTEM_EVENT),
        (Row(80.0, age_us=60 * MINUTE), Reason.TOO_OLD),
    ],
)
async def test_of_several_reasons_the_first_is_given(row: Row, reason: Reason) -> None:
    world = World()
    assert (await world.come(1, [[row]])).reasons[reason] == 1
    assert (await world.last()).verdict.reasons == (reason,)
