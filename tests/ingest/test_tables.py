"""Requests that tell their events as tables."""

from typing import Any

import pytest
from journeymesh.common.v1 import error_reason_pb2, event_table_pb2
from journeymesh.ingest.v1 import ingest_pb2

from mesh.errors import InvalidArgument
from records import wire
from records.table import of_events
from tests.builders import NOW_US, event
from tests.ingest.harness import ACCEPTED, DUPLICATE, REJECTED, Harness, running


async def accept(
    harness: Harness, *tables: event_table_pb2.EventTable, **members: Any
) -> ingest_pb2.AcceptEventsResponse:
    return await harness.stub.AcceptEvents(ingest_pb2.AcceptEventsRequest(tables=tables, **members))


async def test_tables_are_taken_row_by_row_table_by_table() -> None:
    async with running() as harness:
        first = wire.encoded(of_events([event("1"), event("2", page="")]))
        second = wire.encoded(of_events([event("1"), event("3", target="a\x00b", trace_id=b"")]))
        answer = await accept(harness, first, second, events=[event("0", "bob")])
        assert answer.verdicts == [ACCEPTED, ACCEPTED, REJECTED, DUPLICATE, ACCEPTED]
        assert [(one.event_index, one.reason) for one in answer.rejections] == [
            (2, error_reason_pb2.ERROR_REASON_MISSING_FIELD)
        ]
        assert [(one.event_index, one.member) for one in answer.warnings] == [(4, "target")]
        await harness.dispatch()
        assert sorted(harness.applied()) == ["0", "1", "3"]
        assert (await harness.receipt("3")).received_time.ToMicroseconds() == NOW_US


async def test_a_request_without_events_is_no_error() -> None:
    async with running() as harness:
        assert (await accept(harness)).verdicts == []
        assert (await accept(harness, event_table_pb2.EventTable())).verdicts == []


async def test_a_table_that_cannot_be_read_is_refused_and_nothing_of_the_request_is_taken() -> None:
    broken = wire.encoded(of_events([event("1"), event("2")]))
    broken.user_id.cells.append(7)
    async with running() as harness:
        with pytest.raises(InvalidArgument, match="MALFORMED_MESSAGE"):
            await accept(harness, wire.encoded(of_events([event("3")])), broken)
        assert await harness.seen.find(["1", "2", "3"], NOW_US) == [None] * 3


@pytest.mark.parametrize(
    "table",
    [
        wire.encoded(of_events([event(str(number)) for number in range(5_001)])),
        wire.encoded(of_events([event(str(number), page="p" * 20_000) for number in range(4_000)])),
    ],
    ids=["rows", "a word in all of them"],
)
async def test_a_table_that_says_too_much_is_refused(table: event_table_pb2.EventTable) -> None:
    async with running() as harness:
        with pytest.raises(InvalidArgument, match="REQUEST_TOO_LARGE"):
            await accept(harness, table)


async def test_a_word_in_very_many_rows_is_fine() -> None:
    async with running() as harness:
        many = [event(str(number), f"u{number % 20}", user_agent="p" * 500) for number in range(4_000)]
        many[7].page = "/" + "p" * 30_000
        assert set((await accept(harness, wire.encoded(of_events(many)))).verdicts) == {ACCEPTED}
