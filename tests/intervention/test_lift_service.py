"""Who was helped and who was held out is counted once, whatever is delivered again."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.state.memory import MemoryState
from services.intervention.decision.domain.chance import held_out
from services.intervention.decision.domain.facts import Outcome, Purchase
from services.intervention.policy.domain.policy import EventKind
from tests.intervention.builders import HOUR, NOON_ISH, Row, World, edited, outcome

DOCUMENT = edited(holdout={"share": 0.4, "salt": "exp"}, conversion={"event": "purchase", "within": "5h"}, caps=[])
USERS = [f"user-{number}" for number in range(12)]
STEPS = st.lists(
    st.tuples(st.sampled_from(USERS), st.sampled_from(["stuck", "buys", "calm", "shown"]), st.integers(0, 12)),
    min_size=1,
    max_size=60,
)


def rows(steps: list[tuple[str, str, int]]) -> list[Row]:
    kinds = {
        "stuck": {"score": 80.0},
        "buys": {"kind": EventKind.PURCHASE, "bought": Purchase(5.0, "EUR")},
        "calm": {},
        "shown": {"score": 93.0},
    }
    at = sorted(hour for _, _, hour in steps)
    return [
        Row(user_id=user, at_us=NOON_ISH + hour * HOUR, **kinds[kind])  # type: ignore[arg-type]
        for (user, kind, _), hour in zip(steps, at, strict=True)
    ]


@settings(deadline=None)
@given(STEPS, st.lists(st.integers(1, 5), max_size=20))
async def test_users_and_conversions_are_counted_once(steps: list[tuple[str, str, int]], cuts: list[int]) -> None:
    world, events = World(DOCUMENT), rows(steps)
    start = 0
    while start < len(events):
        length = cuts.pop() if cuts else 3
        some = [[row] for row in events[start : start + length]]
        await world.deliver(start, some)
        await world.deliver(start, some)  # the answer was lost
        start += length
    exposed: dict[str, int] = {}
    converted = set()
    for row in events:
        if row.score >= 75:
            exposed.setdefault(row.user_id, row.at_us)
        elif row.bought and row.user_id in exposed and row.at_us - exposed[row.user_id] <= 5 * HOUR:
            converted.add(row.user_id)
    lifts = await world.reading.lifts("")
    sides = {user: held_out("exp", user, 0.4) for user in exposed}
    counts = lifts.estimates[0][2]
    assert counts.treated == sum(not is_out for is_out in sides.values())
    assert counts.holdout == sum(sides.values())
    assert counts.treated_converted == sum(not sides[user] for user in converted)
    assert counts.holdout_converted == sum(sides[user] for user in converted)
    for dimension in ("intervention", "action", "channel", "level", "value"):
        parts = [each for name, _, each, _ in lifts.estimates if name == dimension]
        assert sum(each.treated + each.holdout for each in parts) == len(exposed)
    assert (lifts.experiment, lifts.holdout_share) == ("exp", 0.4)


async def test_help_that_was_seen_is_converted_by_the_wanted_event() -> None:
    world = World(DOCUMENT)
    treated = next(user for user in USERS if not held_out("exp", user, 0.4))
    buys = Row(user_id=treated, at_us=NOON_ISH + HOUR, kind=EventKind.PURCHASE, bought=Purchase(1.0, ""))
    (made,) = await world.send(Row(80.0, user_id=treated))
    await world.send(buys)  # nobody saw the help
    assert (await world.reading.intervention(made.intervention.id)).outcome is not Outcome.CONVERTED
    (made,) = await world.send(Row(80.0, NOON_ISH + 2 * HOUR, user_id=treated))
    await world.send(outcome(Outcome.ACCEPTED, made.intervention.id, user_id=treated, at_us=NOON_ISH + 2 * HOUR))
    await world.send(Row(user_id=treated, at_us=NOON_ISH + 3 * HOUR, kind=EventKind.TASK_SUCCESS))
    assert (await world.reading.intervention(made.intervention.id)).outcome is Outcome.ACCEPTED
    await world.send(Row(user_id=treated, at_us=NOON_ISH + 3 * HOUR, kind=EventKind.PURCHASE))
    followed = await world.reading.intervention(made.intervention.id)
    assert (followed.outcome, followed.is_ended) == (Outcome.CONVERTED, True)


async def test_another_salt_is_another_experiment() -> None:
    world = World(DOCUMENT, (NOON_ISH + HOUR, edited(holdout={"share": 0.4, "salt": "next"})))
    await world.send(*(Row(80.0, user_id=user) for user in USERS))
    await world.send(*(Row(80.0, NOON_ISH + 2 * HOUR, user_id=user) for user in USERS))
    for experiment in ("exp", "next"):
        every = (await world.reading.lifts(experiment)).estimates[0][2]
        assert every.holdout == sum(held_out(experiment, user, 0.4) for user in USERS)
        assert every.treated + every.holdout == len(USERS)


class Renewing(MemoryState):
    """Notes what is renewed."""

    def __init__(self) -> None:
        super().__init__()
        self.renewed: list[list[str]] = []

    async def renew(self, keys: Sequence[str]) -> None:
        self.renewed.append(list(keys))


async def test_counts_of_a_shard_that_was_split_do_not_pass() -> None:
    world, state = World(DOCUMENT), Renewing()
    world.deciding._state = state
    await world.shards.add("0")  # the parent, which gets no users any more
    await world.send(Row(80.0, user_id="user-1"))
    await world.send(Row(80.0, user_id="user-2"))
    assert state.renewed == [["tally:0", "tally:3"]]
    await world.send(Row(80.0, NOON_ISH + 30 * HOUR, user_id="user-3"))
    assert len(state.renewed) == 2
