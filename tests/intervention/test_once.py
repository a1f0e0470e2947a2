"""Redelivery, cuts of the stream, and what no sequence of events may bring about."""

import dataclasses
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.state import applied, keyed
from services.intervention.batch.effects import Created
from services.intervention.decision.domain.decision import derive
from services.intervention.decision.domain.eligibility import URGENT
from services.intervention.decision.domain.facts import Outcome, OutcomeReport, Purchase
from services.intervention.decision.domain.outcome import is_waiting
from services.intervention.decision.state import USERS
from services.intervention.policy.domain.policy import REMEMBERED_OFFERS, EventKind
from tests.intervention.builders import HOUR, MINUTE, NOON_ISH, POLICY, Row, World, arrival

# Ids of what the third shard's first records may have made, so that outcomes hit now and then.
IDS = st.builds(lambda sequence, index: f"i-3-{sequence}-{index}", st.integers(1, 6), st.integers(0, 3))
REPORTS = st.builds(
    OutcomeReport,
    st.one_of(st.just(""), IDS),
    st.sampled_from([each for each in Outcome if each]),
    st.sampled_from(["", "email", "in_app", "fax"]),
)
PLAIN = st.builds(
    Row,
    score=st.sampled_from([10.0, 55.0, 55.0, 80.0, 95.0]),
    at_us=st.integers(0, 90).map(lambda minute: NOON_ISH + minute * MINUTE),
    user_id=st.sampled_from(["ada", "bob"]),
    strong=st.sampled_from([0, 0, 4]),
    indicators=st.sampled_from([(), ("repeated_failures", "help_seeking")]),
    is_bot=st.sampled_from([False, False, False, True]),
    outcome=st.one_of(st.none(), REPORTS),
    kind=st.sampled_from([EventKind.PAGE_VIEW, EventKind.SESSION_END, EventKind.IDENTIFY]),
    is_settled=st.sampled_from([False, False, True]),
    is_system=st.sampled_from([False, False, False, True]),
    age_us=st.sampled_from([0, 0, 0, MINUTE, HOUR]),
    latest_signal_us=st.sampled_from([0, NOON_ISH, NOON_ISH + 30 * MINUTE]),
)
BUYING = st.builds(
    Row,
    at_us=st.integers(0, 90).map(lambda minute: NOON_ISH + minute * MINUTE),
    user_id=st.sampled_from(["ada", "bob"]),
    kind=st.just(EventKind.PURCHASE),
    bought=st.builds(Purchase, st.sampled_from([-5.0, 0.0, 7.5]), st.sampled_from(["EUR", ""]), st.booleans()),
    age_us=st.sampled_from([0, HOUR]),
)
COPIED = st.builds(Row, score=st.sampled_from([10.0, 80.0]), user_id=st.just("bob"), is_copy=st.just(True))
# Ada turns out to be Bob, now and then; what moves comes to him in a record at the end.
LINKING = st.builds(
    Row,
    score=st.sampled_from([10.0, 80.0]),
    at_us=st.integers(0, 90).map(lambda minute: NOON_ISH + minute * MINUTE),
    user_id=st.just("ada"),
    kind=st.just(EventKind.IDENTIFY),
    linked=st.just("bob"),
)
ROWS = st.one_of(PLAIN, PLAIN, PLAIN, BUYING, COPIED, LINKING)
# A user whose e-mails are welcome, so that gentle help is made too.
WELCOME = [Row(user_id="ada", outcome=OutcomeReport("", Outcome.ACCEPTED, "email"))] * 3
RECORDS = st.lists(st.lists(ROWS, min_size=1, max_size=6), min_size=1, max_size=6)


CUTS = st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=8)


def is_urgent(made: Created) -> bool:
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
    standings: dict[tuple[int, int], bytes] = {}
    for sequence, rows in enumerate(records):  # which grow with what moves
        result = await once.come(sequence, [rows])
        expected.update({(sequence, made.row): made for made in result.made})
        standings.update({(sequence, row): standing for row, standing in result.transfers.items()})
        records += [[arrival("bob", NOON_ISH + 90 * MINUTE, each)] for each in result.transfers.values()]
    world, answers, checkpoint = World(), {}, 0
    while checkpoint < len(records):
        length, is_checkpointed = cuts.pop() if cuts else (1, True)
        end = min(checkpoint + length, len(records))
        batch: Sequence[list[Row]] = records[checkpoint:end]
        origin = [(checkpoint + i, row) for i, rows in enumerate(batch) for row in range(len(rows))]
        result = await world.come(checkpoint, batch)
        for made in result.made:
            sequence, row = origin[made.row]
            answers[sequence, row] = dataclasses.replace(made, row=row)
        assert all(standings[origin[row]] == each for row, each in result.transfers.items())
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
    earlier: dict[str, list[Created]] = {"ada": [], "bob": []}
    for sequence, rows in enumerate([WELCOME, *records]):
        for made in await world.deliver(sequence, [rows]):
            facts = made.decision.facts
            assert (facts.is_bot, facts.is_copy, facts.is_system) == (False, False, False)
            assert facts.outcome is None
            assert facts.age_us <= POLICY.freshness_us
            counted = [each for each in earlier[facts.user_id] if is_urgent(each) or not is_urgent(made)]
            made_us = [each.decision.facts.received_us for each in counted]
            assert facts.kind != EventKind.IDENTIFY
            assert all(facts.received_us - each >= POLICY.cooldown_us for each in made_us)
            earlier[facts.user_id].append(made)
        for user_id in ("ada", "bob"):
            user = await keyed.read(world.state, USERS, user_id)
            waiting = [each for each in user.offers if is_waiting(each.outcome)]
            assert len(waiting) <= 1
            assert [each.id for each in waiting] == ([user.waiting.id] if user.waiting else [])
            assert len(user.offers) <= REMEMBERED_OFFERS
            assert set(user.learned) <= set(POLICY.priors)


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
            assert (kept.facts.is_copy, kept.facts.is_system) == (row.is_copy, row.is_system)
            assert derive(POLICY, kept.facts, kept.standing, f"i-3-{sequence}-{index}") == kept.verdict
