"""One decision for each user of a record: what else happened in it takes effect first, and is found by it."""

import dataclasses

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.intervention.v1 import intervention_pb2 as wire

from mesh.errors import InvalidArgument
from mesh.state import keyed
from mesh.state.applied import Batch
from services.intervention.decision.domain import ledger
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Contact, EventPosition, Outcome, Purchase
from services.intervention.decision.domain.offer import WithdrawalReason
from services.intervention.decision.domain.user_state import UserState
from services.intervention.decision.ports import Reference
from services.intervention.decision.state import USERS
from services.intervention.policy.domain.policy import EventKind
from services.intervention.translation.decisions import ledger_record
from services.intervention.translation.rows import rows_of
from tests.intervention import golden
from tests.intervention.builders import (
    MINUTE,
    NOON_ISH,
    Row,
    World,
    arrival,
    edited,
    judged,
    outcome,
)
from tests.intervention.test_servicer import request

SOON = NOON_ISH + MINUTE
HELP = Row(80.0)
CLICK = Row(kind=EventKind.CLICK, at_us=SOON)


async def user_state_of(world: World) -> UserState:
    return await keyed.read(world.state, USERS, "ada")


async def reasons(world: World, sequence: int) -> list[Reason]:
    """The deciding reasons of a record's decisions."""
    ((_, policy, block),) = await world.reading.pages([Reference("3", sequence)])
    return [Reason(each) for each in ledger_record(Reference("3", sequence), policy, block).reasons]


async def test_a_run_of_five_is_decided_once_and_every_event_finds_the_decision() -> None:
    world = World()
    result = await world.judge(*(dataclasses.replace(HELP, at_us=NOON_ISH + number) for number in range(5)))
    assert [each.row for each in result.made] == [4]
    assert result.reasons[Reason.RISK_AT_TRIGGER] == sum(result.reasons.values()) == 1
    for index in range(5):
        (found,) = await world.reading.decisions_at(EventPosition("3", 1, index))
        assert found.facts.position == EventPosition("3", 1, 4)
        assert (await world.reading.decision(f"d-3-1-{index}")) == found
    assert await world.reading.decisions_at(EventPosition("3", 1, 5)) == []
    assert len(await world.reading.decisions_of_user("ada", 20)) == 1


async def test_users_of_one_record_are_decided_each_for_themselves() -> None:
    world = World()
    result = await world.judge(Row(), Row(80.0, user_id="bob"), Row(80.0), Row(user_id="eve"))
    assert [each.decision.facts.user_id for each in result.made] == ["bob", "ada"]
    assert await reasons(world, 1) == [Reason.RISK_AT_TRIGGER, Reason.RISK_AT_TRIGGER, Reason.BELOW_TRIGGER]
    (of_eve,) = await world.reading.decisions_at(EventPosition("3", 1, 3))
    assert of_eve.facts.user_id == "eve"


async def test_each_trace_of_a_record_finds_the_decision() -> None:
    world = World()
    await world.judge(Row(trace=1), Row(trace=2), Row(trace=2, user_id="bob"), Row(trace=3))
    for trace, users in ((1, {"ada"}), (2, {"ada", "bob"}), (3, {"ada"})):
        found = await world.reading.decisions_of_trace(trace.to_bytes(16, "big"), 20)
        assert {each.facts.user_id for each in found} == users
    assert await world.reading.decisions_of_trace((4).to_bytes(16, "big"), 20) == []


async def test_an_outcome_counts_before_the_decision() -> None:
    world = World(edited(cooldown="1m"))
    (made,) = (await world.judge(HELP)).made
    result = await world.judge(
        outcome(Outcome.DECLINED, made.intervention.id, "in_app", at_us=SOON), dataclasses.replace(HELP, at_us=SOON)
    )
    assert result.outcomes == [Outcome.DECLINED]
    # It does not wait any more; else the decision would be that something does.
    assert await reasons(world, 2) == [Reason.RISK_AT_TRIGGER]
    assert [each.outcome for each in (await world.last()).standing.offers] == [Outcome.DECLINED]
    assert [each.trace_id for each in world.observer.outcomes] == [(7).to_bytes(16, "big")]


async def test_a_purchase_counts_though_a_click_comes_after_it() -> None:
    world = World()
    (made,) = (await world.judge(HELP)).made
    await world.judge(outcome(Outcome.SHOWN, made.intervention.id, "in_app"))
    bought = Row(at_us=SOON, kind=EventKind.PURCHASE, bought=Purchase(9.5, "EUR"))
    await world.judge(bought, CLICK)
    user = await user_state_of(world)
    assert user.bought == {"EUR": 9.5}
    assert (user.offers[0].outcome, user.exposed is not None and user.exposed.is_converted) == (Outcome.CONVERTED, True)
    assert await reasons(world, 3) == [Reason.BELOW_TRIGGER]


@pytest.mark.parametrize(
    "kind", [each for each in EventKind if each not in {EventKind.INTERVENTION_OUTCOME, EventKind.SEGMENT_CHANGE}]
)
@pytest.mark.parametrize("place", [0, 1])
async def test_whatever_kind_of_event_is_the_goal_converts_wherever_it_stands(kind: EventKind, place: int) -> None:
    world = World(edited(conversion={"event": kind.name.lower(), "target": "it", "within": "24h"}))
    (made,) = (await world.judge(HELP)).made
    await world.judge(outcome(Outcome.SHOWN, made.intervention.id, "in_app"))
    goal = Row(at_us=SOON, kind=kind, target="it")
    await world.judge(*((goal, CLICK)[place], (CLICK, goal)[place]))
    user = await user_state_of(world)
    assert user.exposed is not None
    assert user.exposed.is_converted


async def test_no_bot_and_no_refund_converts() -> None:
    world = World()
    await world.judge(HELP)
    bought = Row(at_us=SOON, kind=EventKind.PURCHASE, bought=Purchase(9.5, "EUR"))
    back = dataclasses.replace(bought, bought=Purchase(9.5, "EUR", is_refund=True))
    await world.judge(dataclasses.replace(bought, is_bot=True), back, CLICK)
    user = await user_state_of(world)
    assert user.exposed is not None
    assert not user.exposed.is_converted


async def test_a_log_out_takes_back_what_waits_though_the_user_comes_again_in_the_record() -> None:
    world = World()
    (made,) = (await world.judge(HELP)).made
    await world.judge(Row(at_us=SOON, kind=EventKind.SESSION_END), CLICK)
    followed = await world.reading.intervention(made.intervention.id)
    assert (followed.outcome, followed.withdrawal) == (Outcome.WITHDRAWN, WithdrawalReason.SESSION_ENDED)
    assert (await world.reading.waiting("ada")).intervention is None


async def test_trouble_that_is_over_takes_back_what_waits_though_a_click_comes_after_it() -> None:
    world = World()
    (made,) = (await world.judge(HELP)).made
    await world.judge(Row(at_us=SOON, kind=EventKind.TASK_SUCCESS, is_settled=True), CLICK)
    decision = await world.last()
    assert decision.verdict.withdrawn is not None
    assert decision.verdict.withdrawn.offer_id == made.intervention.id
    assert decision.facts.kind == EventKind.CLICK


async def test_a_contact_is_known_though_a_click_comes_after_it() -> None:
    world = World()
    await world.judge(Row(kind=EventKind.IDENTIFY, contact=Contact("ada@example.org", "")), CLICK)
    assert any(b"ada@example.org" in blob for blob in world.state._values.values())


async def test_a_journey_that_ends_within_a_record_moves_and_arrives_within_another() -> None:
    world = World()
    (made,) = (await world.judge(Row(80.0, user_id="anon"))).made
    link = Row(at_us=SOON, user_id="anon", kind=EventKind.IDENTIFY, linked="ada", time_zone="")
    after = dataclasses.replace(CLICK, user_id="anon")
    result = await world.judge(link, after)
    assert list(result.transfers) == [0]
    assert (await world.reading.waiting("anon")).intervention is None
    await world.judge(arrival("ada", SOON, result.transfers[0]), CLICK)
    waiting = await world.reading.waiting("ada")
    assert waiting.intervention is not None
    assert waiting.intervention.id == made.intervention.id
    assert await reasons(world, 3) == [Reason.BELOW_TRIGGER]


ROWS = st.builds(
    Row,
    score=st.sampled_from([10.0, 55.0, 80.0, 95.0]),
    at_us=st.integers(0, 90).map(lambda minutes: NOON_ISH + minutes * MINUTE),
    user_id=st.sampled_from(["ada", "bob"]),
    trace=st.sampled_from([1, 2]),
    indicators=st.sampled_from([(), ("form_errors",)]),
    is_bot=st.booleans(),
    is_copy=st.sampled_from([False, False, True]),
    is_system=st.sampled_from([False, False, True]),
    is_settled=st.booleans(),
    age_us=st.sampled_from([0, 0, 6 * MINUTE]),
    kind=st.sampled_from([EventKind.PAGE_VIEW, EventKind.SESSION_END, EventKind.PURCHASE]),
)
RECORDS = st.lists(st.lists(ROWS, min_size=1, max_size=5), min_size=1, max_size=6)


def stored_blocks(world: World) -> dict[Reference, bytes]:
    return dict(world.ledger._blocks)


@given(records=RECORDS, cut=st.integers(1, 5))
async def test_however_the_stream_is_cut_the_decisions_are_the_same(records: list[list[Row]], cut: int) -> None:
    whole, parts = World(), World()
    await whole.deciding.decide(*judged(1, records))
    for start in range(0, len(records), cut):
        await parts.deciding.decide(*judged(1 + start, records[start : start + cut]))
    assert stored_blocks(whole) == stored_blocks(parts)


@given(records=RECORDS)
async def test_a_repeated_batch_is_decided_as_before(records: list[list[Row]]) -> None:
    world = World()
    first = await world.deciding.decide(*judged(1, records))
    before = stored_blocks(world), dict(world.state._values)
    again = await world.deciding.decide(*judged(1, records))
    assert (again.made, again.reasons) == (first.made, first.reasons)
    assert (stored_blocks(world), world.state._values) == before


@given(records=RECORDS)
async def test_every_event_of_a_record_is_covered_by_the_one_decision_on_its_user(records: list[list[Row]]) -> None:
    world = World()
    result = await world.deciding.decide(*judged(1, records))
    count = 0
    for number, record in enumerate(records, 1):
        ((at, policy, block),) = await world.reading.pages([Reference("3", number)])
        message = ledger_record(at, policy, block)
        covered = message.covered_rows or range(len(message.kinds))
        assert list(message.covered_event_indexes or message.event_indexes) == list(range(len(record)))
        assert set(covered) == set(range(len(message.kinds)))
        assert [block.user_ids[row] for row in covered] == [row.user_id for row in record]
        assert len(set(block.user_ids)) == len(block.user_ids)
        count += len(block.user_ids)
    assert result.reasons.total() == count  # type: ignore[attr-defined]


def test_a_page_of_the_version_before_covers_each_event_by_its_own_decision() -> None:
    block = ledger.decode(golden.BLOCK)
    assert [ledger.row_of(block, index) for index in (0, 1, 2)] == [0, 1, None]
    assert ledger.rows_of_trace(block, block.trace_ids[1]) == [0, 1]
    assert not block.covered_indexes


def test_the_version_before_reads_a_page_without_what_it_covers() -> None:
    block = ledger.decode(golden.BLOCK)
    newer = msgspec.structs.replace(block, covered_indexes=[0, 1, 2], covered_rows=[0, 1, 1], other_traces={1: (b"t",)})
    members = msgspec.msgpack.decode(ledger.encode(newer))
    assert ledger.encode(ledger.decode(ledger.encode(newer))) == ledger.encode(newer)
    fields = block.__struct_fields__
    at = fields.index("covered_indexes") - len(fields)
    assert members[at : at + 3] == [[0, 1, 2], [0, 1, 1], {1: [b"t"]}]
    assert members[:at] == msgspec.msgpack.decode(ledger.encode(block))[:at]


def of_two(*rows: Row) -> wire.DecideInterventionsRequest:
    """A record of three events of two users, as the dispatcher sends it."""
    made = request(1, *rows)
    made.decided_rows.extend([1, 2])
    made.decisions.extend([1, 0, 1])
    for name in ("user_ids", "event_ids", "pages", "time_zones", "assessments"):
        del getattr(made, name)[:1]
    return made


async def test_the_response_names_rows_and_decisions() -> None:
    made = of_two(Row(), Row(80.0, user_id="bob"), Row(85.0))
    rows = rows_of(made)
    assert [rows.user(row) for row in range(3)] == ["ada", "bob", "ada"]
    assert [rows.is_decided(row) for row in range(3)] == [False, True, True]
    world = World()
    result = await world.deciding.decide(Batch("events", "3", (1,)), rows)
    assert [(each.row, each.decision.facts.user_id) for each in result.made] == [(1, "bob"), (2, "ada")]


def _set(name: str, *numbers: int) -> object:
    def spoil(made: wire.DecideInterventionsRequest) -> None:
        getattr(made, name)[:] = numbers

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        _set("decided_rows", 2, 1),
        _set("decided_rows", 1, 3),
        _set("decided_rows", 1),
        _set("decided_rows"),
        _set("decisions"),
        _set("decisions", 1, 0),
        _set("decisions", 1, 0, 2),
        _set("decisions", 1, 1, 0),
        _set("record_indexes", 0, 0, 1),
    ],
)
def test_rows_and_decisions_that_do_not_belong_together_are_refused_as_of_another_version(spoil: object) -> None:
    made = of_two(Row(), Row(80.0, user_id="bob"), Row(85.0))
    made.position.sequences.append("2")
    rows_of(made)
    spoil(made)  # type: ignore[operator]
    with pytest.raises(InvalidArgument) as refused:
        rows_of(made)
    assert refused.value.reason == "INVALID_TYPE"
