"""Help is for now: what happened too long ago is known, and brings none. What counts, counts by when it happened."""

import dataclasses

import pytest

from services.intervention.decision.domain.chance import held_out
from services.intervention.decision.domain.decision import derive
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Outcome, Purchase
from services.intervention.decision.ports import Reference
from services.intervention.policy.domain.policy import EventKind
from services.intervention.translation.decisions import ledger_record
from tests.intervention.builders import HOUR, MINUTE, NOON_ISH, Row, World, batch, edited, outcome

DAY = 24 * HOUR
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("freshness", "age_us", "is_helped"),
    [
        ("5m", 0, True),
        ("5m", 5 * MINUTE, True),
        ("5m", 5 * MINUTE + 1, False),
        ("5m", 5 * DAY, False),  # the queue of a phone that was offline
        ("5m", 400 * DAY, False),  # an import of last year's history
        ("5m", -2 * HOUR, True),  # a clock that runs ahead
        ("2h", 119 * MINUTE, True),
        ("2h", 121 * MINUTE, False),
        ("30s", 31 * SECOND, False),
    ],
)
async def test_help_is_for_what_has_just_happened(freshness: str, age_us: int, is_helped: bool) -> None:  # noqa: FBT001
    world = World(edited(freshness=freshness))
    made = await world.send(Row(95.0, strong=5, age_us=age_us))
    assert bool(made) is is_helped
    assert (await world.last()).verdict.reasons[0] is (Reason.RISK_AT_TRIGGER if is_helped else Reason.TOO_OLD)


@pytest.mark.parametrize("score", [10.0, 55.0, 95.0])
async def test_an_old_event_is_decided_as_too_old_whatever_its_risk(score: float) -> None:
    world = World()
    result = await world.come(
        1, [[Row(score, age_us=DAY, indicators=("form_errors",)), Row(score=10.0, user_id="bob")]]
    )
    assert result.reasons == {Reason.TOO_OLD: 1, Reason.BELOW_TRIGGER: 1}
    decision = await world.last()
    assert decision.verdict.reasons == (Reason.TOO_OLD,)
    assert decision.verdict.explanation == (
        "The event came more than 5 minutes after it happened, which is too old to help."
    )
    ((at, policy, block),) = await world.reading.pages([Reference("3", 1)])
    record = ledger_record(at, policy, block)
    assert [Reason(each) for each in record.reasons] == [Reason.TOO_OLD, Reason.BELOW_TRIGGER]
    assert not record.rows
    assert (await world.reading.decisions_of_user("bob", 1))[0].verdict.reasons == (Reason.BELOW_TRIGGER,)


async def test_nothing_follows_from_an_old_event() -> None:
    world = World(edited(holdout={"share": 0.5, "salt": "x"}, caps=[{"most": 1, "per": "day"}]))
    users = [f"user-{n}" for n in range(8)]
    for _ in range(3):
        await world.send(*(Row(95.0, user_id=user, age_us=6 * MINUTE) for user in users))
    assert await world.state.load([f"user:{user}" for user in users]) == [None] * len(users)
    assert await world.shards.all() == []
    made = await world.send(*(Row(95.0, user_id=user) for user in users))
    assert {each.decision.facts.user_id for each in made} == {u for u in users if not held_out("x", u, 0.5)}


async def test_an_old_event_of_somebody_known_changes_nothing() -> None:
    world = World()
    (made,) = await world.send(Row(80.0))
    before = await world.state.load(["user:ada"])
    await world.send(Row(95.0, NOON_ISH + MINUTE, age_us=DAY))
    assert (await world.last()).verdict.reasons == (Reason.TOO_OLD,)
    assert await world.state.load(["user:ada"]) == before
    assert (await world.reading.waiting("ada")).intervention == made.intervention


async def test_what_is_reported_late_is_recorded_all_the_same() -> None:
    world = World()
    (made,) = await world.send(Row(80.0))
    await world.send(outcome(Outcome.ACCEPTED, made.intervention.id, at_us=NOON_ISH + 20 * MINUTE, age_us=10 * MINUTE))
    assert (await world.last()).verdict.reasons == (Reason.OUTCOME_EVENT,)
    assert (await world.reading.intervention(made.intervention.id)).outcome is Outcome.ACCEPTED
    await world.send(buys(NOON_ISH + DAY, age_us=300 * DAY))
    await world.send(Row(80.0, NOON_ISH + DAY + HOUR))
    assert (await world.last()).standing.bought == {"EUR": 5.0}


def buys(at_us: int, user_id: str = "ada", age_us: int = 0) -> Row:
    return Row(user_id=user_id, at_us=at_us, kind=EventKind.PURCHASE, bought=Purchase(5.0, "EUR"), age_us=age_us)


@pytest.mark.parametrize(
    ("happened_us", "received_us", "converts"),
    [
        (NOON_ISH + HOUR, NOON_ISH + HOUR, True),
        (NOON_ISH + HOUR, NOON_ISH + 5 * DAY, True),  # a batch that comes at night, or days later
        (NOON_ISH + DAY, NOON_ISH + 2 * DAY, True),
        (NOON_ISH + DAY + 1, NOON_ISH + 2 * DAY, False),
        (NOON_ISH - 1, NOON_ISH + HOUR, False),  # before the help
        (NOON_ISH - 365 * DAY, NOON_ISH + HOUR, False),  # an import of last year's purchases
    ],
)
async def test_conversions_count_by_when_they_happened(happened_us: int, received_us: int, converts: bool) -> None:  # noqa: FBT001
    world = World(edited(holdout={"share": 0.5, "salt": "x"}))
    users = [f"user-{n}" for n in range(99)]
    sides = [next(user for user in users if held_out("x", user, 0.5) is is_out) for is_out in (False, True)]
    made = await world.send(*(Row(80.0, user_id=user) for user in sides))
    assert [each.decision.facts.user_id for each in made] == sides[:1]
    await world.send(outcome(Outcome.ACCEPTED, made[0].intervention.id, user_id=sides[0]))
    await world.send(*(buys(received_us, user, received_us - happened_us) for user in sides))
    every = (await world.reading.lifts("")).estimates[0][2]
    assert every == (1, converts, 1, converts)
    outcome_ = (await world.reading.intervention(made[0].intervention.id)).outcome
    assert (outcome_ is Outcome.CONVERTED) is converts


async def test_without_event_times_from_an_older_dispatcher_events_count_as_just_happened() -> None:
    world = World()
    at, rows = batch(1, [[Row(95.0, age_us=DAY)]])
    result = await world.deciding.decide(at, dataclasses.replace(rows, event_us=()))
    assert len(result.made) == 1
    kept = await world.last()
    assert derive(world.policies.at(NOON_ISH), kept.facts, kept.standing, "i-3-1-0") == kept.verdict
