"""Rows keep all members of events, alone and joined, in the order of the requests."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2

from gateway.accepting.rows import Rows, joined
from gateway.formats import native
from gateway.formats.json.lenient import ignore
from gateway.formats.native import EventSink
from records import wire
from tests.gateway.test_transcode import STAMP, events


@given(st.lists(st.lists(events(), max_size=5), max_size=4))
def test_rows_are_the_events_of_before(requests: list[list[dict[str, Any]]]) -> None:
    expected = event_pb2.EventRecord()

    def by_row(rare: dict[str, Any] | None = None, **members: Any) -> None:
        expected.events.add(**members, **(rare or {}))

    parts = []
    for request in requests:
        rows = Rows()
        for event in request:
            raw = json.dumps(event).encode()
            native.read_event(raw, EventSink(rows.add, STAMP, str, ignore))
            native.read_event(raw, EventSink(by_row, STAMP, str, ignore))
        assert len(rows) == len(request)
        parts.append(rows)
    table = joined(parts).table()
    assert table.events() == list(expected.events)
    assert wire.decoded(wire.encoded(table)).events() == list(expected.events)


def test_what_no_event_has_is_not_a_column() -> None:
    rows = Rows()
    native.read_event(b'{"eventId":"e","eventType":"error","userId":"ada"}', EventSink(rows.add, STAMP, str, ignore))
    message = wire.encoded(rows.table())
    assert {field.name for field, _ in message.ListFields()} == {
        "row_count",
        "event_id",
        "user_id",
        "event_type",
        "event_time_us",
        "received_time_us",
        "trace_id",
        "span_id",
    }
