"""Money that comes and goes: by currency, refunds taken off, and no refund is a goal."""

import pytest

from services.intervention.decision.domain.chance import held_out
from services.intervention.decision.domain.facts import Outcome, Purchase
from services.intervention.policy.domain.policy import EventKind
from tests.intervention.builders import MINUTE, NOON_ISH, Row, World, edited, outcome


def bought(amount: float, currency: str = "EUR", *, is_refund: bool = False, **row: object) -> Row:
    return Row(kind=EventKind.PURCHASE, bought=Purchase(amount, currency, is_refund), **row)  # type: ignore[arg-type]


async def sums(world: World) -> dict[str, float]:
    await world.send(Row(95.0, NOON_ISH + 60 * MINUTE))
    return dict((await world.last()).standing.bought)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([bought(30.0), bought(12.5)], {"EUR": 42.5}),
        ([bought(30.0), bought(30.0, "USD"), bought(1.0, "")], {"EUR": 30.0, "USD": 30.0, "": 1.0}),
        ([bought(30.0), bought(-10.0)], {"EUR": 20.0}),
        ([bought(30.0), bought(-10.0, is_refund=True)], {"EUR": 20.0}),
        ([bought(30.0), bought(10.0, is_refund=True)], {"EUR": 20.0}),  # whatever the sign
        ([bought(30.0), bought(0.0, is_refund=True)], {"EUR": 30.0}),  # the amount is unknown
        ([bought(10.0, is_refund=True)], {"EUR": -10.0}),  # of a purchase of long ago
        ([bought(30.0), bought(10.0, "USD", is_refund=True)], {"EUR": 30.0, "USD": -10.0}),
        ([bought(30.0, is_bot=True), bought(5.0, is_system=True)], {"EUR": 35.0}),
    ],
)
async def test_what_was_spent_is_kept_by_currency(rows: list[Row], expected: dict[str, float]) -> None:
    world = World()
    for row in rows:
        await world.send(row)
    assert await sums(world) == expected


@pytest.mark.parametrize(
    ("amount", "is_refund", "converts"),
    [(5.0, False, True), (0.0, False, True), (-5.0, False, False), (5.0, True, False), (0.0, True, False)],
)
async def test_a_refund_is_no_conversion(amount: float, is_refund: bool, converts: bool) -> None:  # noqa: FBT001
    world = World(edited(holdout={"share": 0.5, "salt": "x"}))
    users = [f"user-{n}" for n in range(20)]
    made = await world.send(*(Row(80.0, user_id=user) for user in users))
    for each in made:
        await world.send(outcome(Outcome.SHOWN, each.intervention.id, user_id=each.decision.facts.user_id))
    await world.send(*(bought(amount, is_refund=is_refund, user_id=user, at_us=NOON_ISH + MINUTE) for user in users))
    every = (await world.reading.lifts("")).estimates[0][2]
    held = sum(held_out("x", user, 0.5) for user in users)
    assert (every.holdout, every.treated) == (held, 20 - held)
    assert every.treated_converted + every.holdout_converted == 20 * converts
    outcomes = {(await world.reading.intervention(each.intervention.id)).outcome for each in made}
    assert outcomes == {Outcome.CONVERTED if converts else Outcome.SHOWN}


@pytest.mark.parametrize(
    ("rows", "queue"),
    [
        ([bought(100.0)], "priority"),
        ([bought(99.0)], "standard"),
        ([bought(60.0), bought(60.0, "USD")], "standard"),  # currencies are never added
        ([bought(120.0), bought(50.0, is_refund=True)], "standard"),
        ([bought(120.0), bought(10.0, is_refund=True)], "priority"),
    ],
)
async def test_who_is_of_high_value_is_found_in_one_currency(rows: list[Row], queue: str) -> None:
    world = World(edited(high_value={"least": 100, "currency": "EUR"}))
    for row in rows:
        await world.send(row)
    (made,) = await world.send(Row(80.0, NOON_ISH + MINUTE))
    assert made.intervention.queue == queue


async def test_beyond_sixteen_currencies_new_ones_are_not_summed() -> None:
    world = World()
    for number in range(18):
        await world.send(bought(1.0, f"{number:03}"), bought(1.0, "000"))
    found = await sums(world)
    assert (len(found), found["000"], found["015"], "016" in found) == (16, 19.0, 1.0, False)
