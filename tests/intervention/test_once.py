"""Redelivery, cuts of the stream, and what no sequence of events may bring about."""

import dataclasses
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh import applied
from services.intervention.domain import pending
from services.intervention.domain.decision import derive
from services.intervention.domain.eligibility import URGENT
from services.intervention.domain.facts import Outcome, OutcomeReport
from services.intervention.domain.outcome import is_waiting
from services.intervention.domain.policy import REMEMBERED_OFFERS
from services.intervention.usecases.effects import Made
from tests.intervention.builders import MINUTE, NOON_ISH, POLICY, Row, World

# Ids of what the third shard's first records may have made, so that outcomes hit now and then.
IDS = st.builds(lambda sequence, index: f"i-3-{sequence}-{index}", st.integers(1, 6), st.integers(0, 3))
REPORTS = st.builds(
    OutcomeReport,
    st.one_of(st.just(""), IDS),
    st.sampled_from([each for each in Outcome if each]),
    st.sampled_from(["", "email", "in_app", "fax"]),
)
ROWS = st.builds(
    Row,
    score=st.sampled_from([10.0, 55.0, 55.0, 80.0, 95.0]),
    at_us=st.integers(0, 90).map(lambda minute: NOON_ISH + minute * MINUTE),
    user_id=st.sampled_from(["ada", "bob"]),
    strong=st.sampled_from([0, 0, 4]),
    indicators=st.sampled_from([(), ("repeated_failures", "help_seeking")]),
    is_bot=st.sampled_from([False, False, False, True]),
    outcome=st.one_of(st.none(), REPORTS),
)
# A user whose e-mails are welcome, so that gentle help is made too.
WELCOME = [Row(user_id="ada", outcome=OutcomeReport("", Outcome.ACCEPTED, "email"))] * 3
RECORDS = st.lists(st.lists(ROWS, min_size=1, max_size=6), min_size=1, max_size=6)


CUTS = st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=8)


def is_urgent(made: Made) -> bool:
    return made.decision.verdict.reasons[0] in URGENT


async def everything(world: World) -> object:
    """All that can be read of a world."""
    users = {user: applied.current((await world.state.load([f"user:{user}"]))[0]) for user in ("ada", "bob")}
    return users, world.ledger._blocks, world.ledger._names


@settings(deadline=None)
@given(RECORDS, CUTS)
async def test_cuts_and_redeliveries_change_nothing(records: list[list[Row]], cuts: list[tuple[int, bool]]) -> None:
    records = [WELCOME, *records]
    once = World()
    expected = {}
    for sequence, rows in enumerate(records):
        for made in await once.deliver(sequence, [rows]):
            expected[sequence, made.row] = made
    world, answers, checkpoint = World(), {}, 0
    while checkpoint < len(records):
        length, is_checkpointed = cuts.pop() if cuts else (1, True)
        end = min(checkpoint + length, len(records))
        batch: Sequence[list[Row]] = records[checkpoint:end]
        origin = [(checkpoint + i, row) for i, rows in enumerate(batch) for row in range(len(rows))]
        for made in await world.deliver(checkpoint, batch):
            sequence, row = origin[made.row]
            answers[sequence, row] = dataclasses.replace(made, row=row)
        assert {at: made for at, made in expected.items() if at[0] < end} == answers
        if is_checkpointed:
            checkpoint = end
        else:
            answers = {at: made for at, made in answers.items() if at[0] < checkpoint}
    assert await everything(world) == await everything(once)


@settings(deadline=None)
@given(RECORDS)
async def test_the_policy_holds_whatever_happens(records: list[list[Row]]) -> None:
    world = World()
    earlier: dict[str, list[Made]] = {"ada": [], "bob": []}
    for sequence, rows in enumerate([WELCOME, *records]):
        for made in await world.deliver(sequence, [rows]):
            facts = made.decision.facts
            assert not facts.is_bot
            assert facts.outcome is None
            counted = [each for each in earlier[facts.user_id] if is_urgent(each) or not is_urgent(made)]
            made_us = [each.decision.facts.received_us for each in counted]
            assert all(facts.received_us - each >= POLICY.cooldown_us for each in made_us)
            earlier[facts.user_id].append(made)
        for user in ("ada", "bob"):
            helped = pending.decode(applied.current((await world.state.load([f"user:{user}"]))[0]))
            waiting = [each for each in helped.offers if is_waiting(each.outcome)]
            assert len(waiting) <= 1
            assert [each.id for each in waiting] == ([helped.waiting.id] if helped.waiting else [])
            assert len(helped.offers) <= REMEMBERED_OFFERS
            assert set(helped.learned) <= set(POLICY.priors)


@settings(deadline=None)
@given(RECORDS)
async def test_every_decision_is_in_the_ledger_and_derives_again(records: list[list[Row]]) -> None:
    world = World()
    for sequence, rows in enumerate([WELCOME, *records]):
        await world.deliver(sequence, [rows])
    for sequence, rows in enumerate([WELCOME, *records]):
        for index, row in enumerate(rows):
            kept = await world.reading.decision(f"d-3-{sequence}-{index}")
            assert (kept.facts.user_id, kept.facts.assessment) == (row.user_id, row.assessment)
            assert (kept.facts.outcome, kept.facts.is_bot) == (row.outcome, row.is_bot)
            assert derive(POLICY, kept.facts, kept.standing, f"i-3-{sequence}-{index}") == kept.verdict
