"""What may become of an intervention, and what is learned from it."""

import itertools

import pytest

from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Outcome
from services.intervention.decision.domain.outcome import is_final, is_waiting, may_follow, success_probability
from tests.intervention.builders import HOUR, MINUTE, NOON_ISH, POLICY, Row, World, outcome

ENDS = [Outcome.ACCEPTED, Outcome.DECLINED, Outcome.EXPIRED, Outcome.CONVERTED]


@pytest.fixture
async def world() -> World:
    """A user to whom help was just offered, as `i-3-1-0`."""
    world = World()
    await world.send(Row(80.0))
    return world


async def outcome_and_end(world: World) -> tuple[Outcome, bool]:
    followed = await world.reading.intervention("i-3-1-0")
    assert followed.user_id == "ada"
    return followed.outcome, followed.is_ended


def test_transitions() -> None:
    allowed = {(a, b) for a, b in itertools.product(Outcome, Outcome) if may_follow(a, b)}
    assert allowed == {
        *((Outcome.NONE, after) for after in (Outcome.SHOWN, *ENDS)),
        *((Outcome.SHOWN, after) for after in ENDS),
        (Outcome.ACCEPTED, Outcome.CONVERTED),
    }
    assert [each for each in Outcome if is_waiting(each)] == [Outcome.NONE, Outcome.SHOWN]
    assert [each for each in Outcome if is_final(each)] == [
        Outcome.DECLINED,
        Outcome.EXPIRED,
        Outcome.CONVERTED,
        Outcome.WITHDRAWN,
    ]


async def test_shown_still_waits(world: World) -> None:
    await world.send(outcome(Outcome.SHOWN, "i-3-1-0"))
    assert (await world.reading.waiting("ada")).intervention is not None
    assert await outcome_and_end(world) == (Outcome.SHOWN, False)


@pytest.mark.parametrize("end", ENDS)
async def test_every_end_ends_waiting(world: World, end: Outcome) -> None:
    await world.send(outcome(end, "i-3-1-0"))
    assert (await world.reading.waiting("ada")).intervention is None
    assert await outcome_and_end(world) == (end, end is not Outcome.ACCEPTED)
    assert (await world.last()).verdict.reasons == (Reason.OUTCOME_EVENT,)


async def test_converted_may_follow_accepted_and_nothing_else(world: World) -> None:
    await world.send(outcome(Outcome.ACCEPTED, "i-3-1-0"), outcome(Outcome.DECLINED, "i-3-1-0"))
    assert await outcome_and_end(world) == (Outcome.ACCEPTED, False)
    await world.send(outcome(Outcome.CONVERTED, "i-3-1-0"), outcome(Outcome.SHOWN, "i-3-1-0"))
    assert await outcome_and_end(world) == (Outcome.CONVERTED, True)


async def test_unanswered_it_expires_by_the_clock(world: World) -> None:
    world.clock.now_us = NOON_ISH + 30 * MINUTE - 1
    assert await outcome_and_end(world) == (Outcome.NONE, False)
    world.clock.now_us += 1
    assert await outcome_and_end(world) == (Outcome.EXPIRED, True)
    assert (await world.reading.waiting("ada")).intervention is None


async def test_accepting_what_has_expired_is_too_late(world: World) -> None:
    await world.send(outcome(Outcome.ACCEPTED, "i-3-1-0", at_us=NOON_ISH + HOUR))
    assert await outcome_and_end(world) == (Outcome.EXPIRED, True)


async def test_urgent_help_takes_the_place_of_gentle_help() -> None:
    world = World()
    for _ in range(3):
        await world.send(outcome(Outcome.ACCEPTED, channel="email"))
    (gentle,) = await world.send(Row(55.0, indicators=("repeated_failures",)))
    (urgent,) = await world.send(Row(80.0, NOON_ISH + MINUTE))
    assert (await world.reading.waiting("ada")).intervention == urgent.intervention
    assert (await world.reading.intervention(gentle.intervention.id)).outcome is Outcome.EXPIRED


async def test_giving_way_says_nothing_about_the_channel() -> None:
    world = World()
    for _ in range(3):
        await world.send(outcome(Outcome.ACCEPTED, channel="email"))
    (gentle,) = await world.send(Row(55.0, indicators=("repeated_failures",)))
    await world.send(outcome(Outcome.SHOWN, gentle.intervention.id), Row(80.0, NOON_ISH + MINUTE))
    await world.send(Row(80.0, NOON_ISH + HOUR))
    assert (await world.last()).standing.learned == {"email": (3, 0)}


async def probability(world: World, channel: str) -> float:
    """What the next urgent help after all cooldowns thinks of a channel."""
    await world.send(Row(80.0, world.clock.now_us + 2 * HOUR))
    return success_probability(POLICY, (await world.last()).standing.learned, channel)


@pytest.mark.parametrize(
    ("reported", "accepted", "count"),
    [
        ([], 0, 0),
        ([Outcome.SHOWN], 0, 0),
        ([Outcome.ACCEPTED], 1, 1),
        ([Outcome.ACCEPTED, Outcome.ACCEPTED], 1, 1),
        ([Outcome.SHOWN, Outcome.ACCEPTED, Outcome.CONVERTED], 1, 1),
        ([Outcome.CONVERTED], 1, 1),
        ([Outcome.DECLINED, Outcome.ACCEPTED], 0, 1),
        ([Outcome.SHOWN, Outcome.EXPIRED], 0, 1),
        ([Outcome.EXPIRED], 0, 0),
    ],
)
async def test_each_intervention_counts_once_for_its_channel(
    world: World, reported: list[Outcome], accepted: int, count: int
) -> None:
    for each in reported:
        await world.send(outcome(each, "i-3-1-0"))
    assert await probability(world, "in_app") == pytest.approx((2 + accepted) / (5 + count))


async def test_seen_and_never_answered_counts_against_the_channel(world: World) -> None:
    await world.send(outcome(Outcome.SHOWN, "i-3-1-0"))
    await world.send(Row(80.0, NOON_ISH + HOUR))
    assert await probability(world, "in_app") == pytest.approx(2 / 6)


async def test_strangers_count_for_their_channel_if_it_is_known() -> None:
    world = World()
    for what in (Outcome.ACCEPTED, Outcome.CONVERTED, Outcome.SHOWN, Outcome.DECLINED, Outcome.EXPIRED):
        await world.send(outcome(what, "campaign-7", "push"))
        await world.send(outcome(what, "campaign-7", "carrier_pigeon"))
        await world.send(outcome(what, "campaign-7"))
    await world.send(Row(80.0))
    assert (await world.last()).standing.learned == {"push": (1, 2)}
