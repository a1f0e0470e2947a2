"""A batch read column by column: the same as event by event, and refused for the same."""

from typing import Any, cast

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2, event_table_pb2, position_pb2
from journeymesh.features.v1 import features_pb2

from mesh.clock import LATEST_US
from mesh.errors import InvalidArgument
from mesh.observability.metrics import Metrics
from mesh.state.memory import MemoryState
from records import table, wire
from services.features.servicer import FeaturesServicer
from services.features.translation.kept import kept_of
from services.features.translation.rows import events_of, rows_of
from services.features.usecases import Features
from tests.builders import NOW_US, event
from tests.features.row_way import event_of, whole

_WORDS = st.sampled_from(["", "a", "/p?q=1", "ä", "漢" * 150, "x" * 400, "y" * 1200])
_NUMBERS = st.sampled_from([0.0, 1.5, -3.0, 1e300])
_KINDS = st.sampled_from([number for number in event_pb2.EventType.values() if number])
_MEMBERS: dict[type[object], st.SearchStrategy[Any]] = {
    str: _WORDS,
    bytes: st.sampled_from([b"", b"x" * 16, b"{}", b" " * 900, b" " * 20_000]),
    bool: st.booleans(),
    int: st.integers(0, 3),
}
_TIMES = st.sampled_from([0, 1, 127, 128, 16_383, 16_384, NOW_US, NOW_US + 1, LATEST_US])
_AMOUNTS = st.builds(
    lambda amount, currency: event_pb2.Money(amount=amount, currency=currency), _NUMBERS, st.just("EUR")
)
_DETAILS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.builds(
        lambda **cells: {"click": event_pb2.Click(**{name: cell for name, cell in cells.items() if cell is not None})},
        x=st.none() | _NUMBERS,
        y=st.none() | _NUMBERS,
        effect_observed=st.none() | st.booleans(),
        error_observed=st.booleans(),
        value_changed=st.none() | st.booleans(),
        role=st.sampled_from(["", "spinbutton"]),
    ),
    st.builds(lambda word: {"playback": event_pb2.Playback(video_id=word)}, _WORDS),
    st.just({"outcome": event_pb2.InterventionOutcome()}),
    st.builds(
        lambda amount, currency, is_refund: {
            "purchase": event_pb2.Purchase(amount=amount, currency=currency, is_refund=is_refund)
        },
        _NUMBERS,
        st.sampled_from(["", "EUR"]),
        st.booleans(),
    ),
)


@st.composite
def an_event(draw: st.DrawFn) -> event_pb2.Event:
    members: dict[str, Any] = {
        name: draw(_TIMES if name.endswith("_us") else _MEMBERS[type(empty)])
        for name, empty in table.COLUMNS.items()
        if draw(st.booleans())
    }
    members |= {"event_type": draw(_KINDS), "user_id": draw(st.sampled_from(["ada", "bob"])), "time_zone": ""}
    members["event_id"] = draw(st.sampled_from(["", "e1", "jm:e2", "ü" * 200]))
    if draw(st.booleans()):
        amounts = draw(st.lists(_AMOUNTS, max_size=1))
        members["carried"] = event_pb2.Carried(purchase_count=draw(st.integers(0, 2)), purchase_amounts=amounts)
    return event_pb2.Event(**members, **draw(_DETAILS))


some_events = st.lists(an_event(), min_size=1, max_size=6)


def _request(*batches: list[event_pb2.Event], **members: Any) -> features_pb2.ApplyEventsRequest:
    tables = [event_table_pb2.TableRows(table=wire.encoded(table.of_events(events))) for events in batches]
    position = position_pb2.BatchPosition(stream="events", shard="0", sequences=["1"])
    return features_pb2.ApplyEventsRequest(position=position, tables=tables, **members)


@given(some_events)
def test_events_are_what_they_are_one_by_one(events: list[event_pb2.Event]) -> None:
    assert events_of(table.of_events(events)) == [*map(event_of, events)]


@given(some_events)
@example([event("e", properties=b" " * size, trace_id=b"", span_id=b"") for size in range(960, 1000)])
@example([event_pb2.Event(event_id=str(n), received_time_us=n - 2, sent_time_us=-(1 << 63) + n) for n in range(4)])
def test_what_is_kept_of_events_is_what_is_kept_of_each(events: list[event_pb2.Event]) -> None:
    assert [*map(event_pb2.Event.FromString, kept_of(table.of_events(events)))] == [*map(whole, events)]


@given(st.lists(some_events, min_size=1, max_size=3))
def test_a_batch_of_tables_is_that_of_its_events(batches: list[list[event_pb2.Event]]) -> None:
    events = [each for batch in batches for each in batch]
    read = rows_of(_request(*batches, brings_arrivals=True))
    one_by_one = rows_of(features_pb2.ApplyEventsRequest(events=events, brings_arrivals=True))
    assert read.events == one_by_one.events
    assert read.user_ids == one_by_one.user_ids == [each.user_id for each in events]
    assert [*map(event_pb2.Event.FromString, read.kept)] == [*map(event_pb2.Event.FromString, one_by_one.kept)]


@given(some_events)
def test_a_link_moves_nothing_where_the_sender_brings_nothing(events: list[event_pb2.Event]) -> None:
    moved, stayed = (rows_of(_request(events, brings_arrivals=brings)).events for brings in (True, False))
    assert not any(each.is_link for each in stayed)
    assert stayed == [msgspec.structs.replace(each, is_link=False) for each in moved]


@given(some_events, st.data())
def test_only_the_rows_that_are_meant_are_read(events: list[event_pb2.Event], data: st.DataObject) -> None:
    rows = sorted(data.draw(st.sets(st.integers(0, len(events) - 1), min_size=1)))
    request = _request(events)
    request.tables[0].rows.extend(rows)
    assert rows_of(request) == rows_of(_request([events[row] for row in rows]))


async def test_the_answer_and_what_is_kept_are_the_same_for_both_forms() -> None:
    events = [
        event(f"e{n}", "ada" if n % 3 else "bob", kind, page=f"/{n % 4}") for n, kind in enumerate(["click"] * 30)
    ]
    answers = []
    for request in (_request(events[:12], events[12:]), _request()):
        if not request.tables:
            request.events.extend(events)
        servicer = FeaturesServicer(Features(MemoryState()), Metrics())
        applied = await servicer.ApplyEvents(request, cast("Any", None))
        recent = features_pb2.BatchListRecentEventsRequest(user_ids=["ada", "bob"])
        answers.append((applied, await servicer.BatchListRecentEvents(recent, cast("Any", None))))
    assert answers[0] == answers[1]
    assert [len(user.events) for user in answers[0][1].users] == [20, 10]


_FINE = event()


@pytest.mark.parametrize(
    ("reason", "members"),
    [
        ("INVALID_IDENTIFIER", {"user_id": ""}),
        ("INVALID_IDENTIFIER", {"user_id": "u" * 129}),
        ("INVALID_IDENTIFIER", {"event_id": "e" * 257}),
        ("INVALID_IDENTIFIER", {"time_zone": "z" * 129}),
        ("VALUE_OUT_OF_RANGE", {"event_type": 0}),
        ("VALUE_OUT_OF_RANGE", {"event_type": -1}),
        ("VALUE_OUT_OF_RANGE", {"event_time_us": -1}),
        ("VALUE_OUT_OF_RANGE", {"event_time_us": LATEST_US + 1}),
        ("VALUE_OUT_OF_RANGE", {"event_type": 3, "click": event_pb2.Click(x=float("inf"))}),
        ("VALUE_OUT_OF_RANGE", {"event_type": 14, "purchase": event_pb2.Purchase(amount=float("nan"))}),
        ("VALUE_OUT_OF_RANGE", {"event_type": 14, "purchase": event_pb2.Purchase(currency="EURO")}),
        (
            "VALUE_OUT_OF_RANGE",
            {"event_type": 18, "carried": event_pb2.Carried(purchase_amounts=[event_pb2.Money(currency="EURO")])},
        ),
    ],
)
def test_one_event_that_cannot_be_refuses_the_batch(reason: str, members: dict[str, Any]) -> None:
    given: dict[str, Any] = {"event_id": "e", "user_id": "ada", "event_type": 1, "event_time_us": NOW_US, **members}
    with pytest.raises(InvalidArgument) as refused:
        rows_of(_request([_FINE], [_FINE, event_pb2.Event(**given), _FINE]))
    assert refused.value.reason == reason


@pytest.mark.parametrize("rows", [[1, 0], [0, 0], [2]])
def test_rows_ascend_and_are_those_of_the_table(rows: list[int]) -> None:
    request = _request([_FINE, _FINE])
    request.tables[0].rows.extend(rows)
    with pytest.raises(InvalidArgument) as refused:
        rows_of(request)
    assert refused.value.reason == "MALFORMED_MESSAGE"


def test_a_table_whose_columns_differ_in_length_is_refused() -> None:
    request = _request([_FINE, _FINE])
    request.tables[0].table.event_id.append("e-3")
    with pytest.raises(InvalidArgument) as refused:
        rows_of(request)
    assert refused.value.reason == "MALFORMED_MESSAGE"


def test_an_engagement_is_of_a_row_of_the_batch() -> None:
    request = _request([_FINE], [_FINE], engagements=[features_pb2.EngagementUpdate(row=1, score=5.0)])
    assert rows_of(request).engagements == {1: 5.0}
    request.engagements.add(row=2)
    with pytest.raises(InvalidArgument) as refused:
        rows_of(request)
    assert refused.value.reason == "VALUE_OUT_OF_RANGE"
