"""Events column by column: `records`."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2, event_table_pb2

from records import table, wire
from records.table import Table
from records.wire import UnreadableTableError

_WORDS = st.sampled_from(["", "a", "/p", "ä"])
_CELLS: dict[type[object], st.SearchStrategy[Any]] = {
    str: _WORDS,
    bytes: st.sampled_from([b"", b"x" * 16, b"{}"]),
    bool: st.booleans(),
    int: st.integers(0, 3),
}
_TIMES = st.sampled_from([0, 1, 1_700_000_000_000_000, 1_700_000_000_000_001, -5])
_DETAILS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.builds(lambda x: {"click": event_pb2.Click(x=x)}, st.floats(0, 9)),
    st.builds(lambda word: {"playback": event_pb2.Playback(video_id=word)}, _WORDS),
    st.builds(lambda word: {"outcome": event_pb2.InterventionOutcome(channel=word)}, _WORDS),
    st.builds(lambda amount: {"purchase": event_pb2.Purchase(amount=amount)}, st.floats(0, 9)),
)


@st.composite
def an_event(draw: st.DrawFn) -> event_pb2.Event:
    members = {
        name: draw(_TIMES if name.endswith("_us") else _CELLS[type(empty)])
        for name, empty in table.COLUMNS.items()
        if draw(st.booleans())
    }
    if draw(st.booleans()):
        members["carried"] = event_pb2.Carried(purchase_count=draw(st.integers(0, 2)))
    return event_pb2.Event(**members, **draw(_DETAILS))


some_events = st.lists(an_event(), min_size=1, max_size=6)


def test_every_member_of_an_event_has_its_place() -> None:
    apart = {"click", "playback", "outcome", "purchase", "segment_change", "carried"}
    assert set(event_pb2.Event.DESCRIPTOR.fields_by_name) == {*table.COLUMNS, *apart}
    assert set(table.COLUMNS) | apart <= set(event_table_pb2.EventTable.DESCRIPTOR.fields_by_name)
    assert set(table.COLUMNS) == set(Table.__annotations__)


@given(some_events)
def test_events_come_back_as_they_were(events: list[event_pb2.Event]) -> None:
    message = wire.encoded(table.of_events(events)).SerializeToString()
    assert wire.decoded(event_table_pb2.EventTable.FromString(message)).events() == events


@given(some_events, st.data())
def test_rows_are_taken_in_the_order_given(events: list[event_pb2.Event], data: st.DataObject) -> None:
    rows = data.draw(st.permutations(range(len(events))))[: data.draw(st.integers(1, len(events)))]
    taken = table.of_events(events).take(rows)
    assert taken.events() == [events[row] for row in rows]
    assert wire.decoded(wire.encoded(taken)).events() == taken.events()


@given(st.lists(some_events, min_size=1, max_size=3))
def test_tables_are_joined_one_below_the_other(parts: list[list[event_pb2.Event]]) -> None:
    joined = table.joined([table.of_events(events) for events in parts])
    assert joined.events() == [event for events in parts for event in events]


@given(some_events, an_event(), st.data())
def test_an_event_is_put_in_the_place_of_another(
    events: list[event_pb2.Event], other: event_pb2.Event, data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, len(events) - 1))
    changed = table.of_events(events)
    changed.put(row, other)
    assert changed.events() == [*events[:row], other, *events[row + 1 :]]


def test_times_may_lie_as_far_apart_as_can_be() -> None:
    events = [event_pb2.Event(event_time_us=each) for each in (-(2**63), 0, 2**63 - 1)]
    assert wire.decoded(wire.encoded(table.of_events(events))).events() == events


def test_a_column_that_nobody_tells_is_empty() -> None:
    made = table.of_events([event_pb2.Event(event_id="a"), event_pb2.Event(event_id="b")])
    assert not made.has("page")
    assert made.page == ["", ""]
    made.page[1] = "/p"
    assert made.event(1).page == "/p"


@pytest.mark.parametrize(
    "made",
    [
        {"row_count": 2, "event_id": ["a"]},
        {"row_count": 1},
        {"row_count": 1, "event_id": ["a"], "page": {"cells": [0]}},
        {"row_count": 1, "event_id": ["a"], "page": {"words": ["x"], "cells": [1]}},
        {"row_count": 1, "event_id": ["a"], "page": {}},
        {"row_count": 2, "event_id": ["a", "b"], "page": {"words": ["x"], "cells": [0]}},
        {"row_count": 2, "event_id": ["a", "b"], "received_time_us": {"offsets_us": [1]}},
        {"row_count": 1, "event_id": ["a"], "is_bot": [1]},
        {"row_count": 1, "event_id": ["a"], "click": [{}]},
        {"row_count": 1, "event_id": ["a"], "click": [{}], "click_rows": [1]},
        {"row_count": 1, "event_id": ["a"], "carried": [{}], "carried_rows": [0, 0]},
    ],
)
def test_what_is_no_table_is_told(made: dict[str, Any]) -> None:
    with pytest.raises(UnreadableTableError):
        wire.decoded(event_table_pb2.EventTable(**made))
