"""The ledger read record by record says what the ledger read decision by decision says."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.intervention.v1 import intervention_pb2 as wire
from journeymesh.intervention.v1.intervention_pb2_grpc import (
    InterventionServiceStub,
    add_InterventionServiceServicer_to_server,
)

from mesh.errors import InvalidArgument
from services.intervention.decision.domain.facts import EventPosition, Outcome
from services.intervention.decision.ports import Reference
from services.intervention.policy.domain.policy import EventKind
from services.intervention.translation.decisions import decision_message, ledger_record
from tests.intervention.builders import MINUTE, NOON_ISH, Row, World, outcome
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceAsyncStub

ROWS = st.builds(
    Row,
    score=st.sampled_from([10.0, 55.0, 80.0, 95.0]),
    at_us=st.integers(0, 90).map(lambda minutes: NOON_ISH + minutes * MINUTE),
    user_id=st.sampled_from(["ada", "bob"]),
    strong=st.sampled_from([0, 0, 5]),
    indicators=st.sampled_from([(), ("form_errors",), ("page_views", "form_errors")]),
    is_bot=st.booleans(),
    is_copy=st.sampled_from([False, False, True]),
    is_system=st.sampled_from([False, False, True]),
    is_settled=st.sampled_from([False, True]),
    age_us=st.sampled_from([0, 0, 6 * MINUTE]),
    kind=st.sampled_from([EventKind.PAGE_VIEW, EventKind.SESSION_END]),
)
OUTCOMES = st.sampled_from(list(Outcome)[1:]).map(lambda what: outcome(what, channel="email", user_id="ada"))


@pytest.fixture
async def served() -> AsyncIterator[tuple[World, "InterventionServiceAsyncStub"]]:
    world = World()
    servicer = world.servicer()
    async with serving(lambda server: add_InterventionServiceServicer_to_server(servicer, server)) as channel:
        yield world, InterventionServiceStub(channel)


@given(records=st.lists(st.lists(ROWS | OUTCOMES, min_size=1, max_size=4), min_size=1, max_size=6))
async def test_columns_and_whole_rows_say_what_each_decision_says(records: list[list[Row]]) -> None:
    world = World()
    await world.deliver(1, records)
    references = [Reference("3", 1 + number) for number in range(len(records))]
    for at, policy, block in await world.reading.pages(references):
        record = ledger_record(at, policy, block)
        whole = {each.row: each.decision for each in record.rows}
        assert list(whole) == sorted(whole)
        for row, index in enumerate(record.event_indexes):
            (decision,) = await world.reading.decisions_at(EventPosition(at.shard, at.sequence, index))
            shown = decision_message(decision)
            assert record.kinds[row] == shown.kind
            assert record.reasons[row] == shown.reasons[0]
            assert record.assessments[row] == shown.assessment
            assert (record.model_version, record.rules_version) == (shown.model_version, shown.rules_version)
            assert record.policy_version == shown.policy_version
            is_more = len(shown.reasons) > 1 or shown.candidates or shown.HasField("withdrawn")
            assert whole.get(row) == (shown if is_more else None)


async def test_records_come_in_the_order_asked_without_those_that_are_not_known(
    served: tuple[World, "InterventionServiceAsyncStub"],
) -> None:
    world, stub = served
    await world.deliver(7, [[Row()], [Row(score=80), Row(user_id="bob")], [Row()]])
    answer = await stub.ReadLedger(wire.ReadLedgerRequest(shard="3", sequences=["9", "4", "8"]))
    assert [record.sequence for record in answer.records] == ["9", "8"]
    assert [each.row for each in answer.records[1].rows] == [0]
    assert not (await stub.ReadLedger(wire.ReadLedgerRequest(shard="4", sequences=["9"]))).records
    assert not (await stub.ReadLedger(wire.ReadLedgerRequest(shard="3"))).records


@pytest.mark.parametrize("sequences", [["x"], ["-1"], [str(number) for number in range(201)]])
async def test_what_cannot_be_read_is_refused(
    served: tuple[World, "InterventionServiceAsyncStub"], sequences: list[str]
) -> None:
    with pytest.raises(InvalidArgument):
        await served[1].ReadLedger(wire.ReadLedgerRequest(shard="3", sequences=sequences))
