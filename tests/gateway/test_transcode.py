"""An event on its way from JSON to the contract and back."""

import datetime as dt
import json
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2

from gateway.accepting.rows import Rows
from gateway.formats import native, rendering, schema
from gateway.formats.ids import event_ids
from gateway.formats.json.lenient import ignore
from gateway.formats.native import EventSink
from mesh.errors import InvalidArgument
from records import wire

STAMP = native.Stamp(1_767_348_060_000_000, bytes(range(16)), bytes(range(8)))

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
times = st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC)).map(  # noqa: DTZ001 - bounds bear none
    lambda time: time.isoformat().replace("+00:00", "Z")
)
finite = st.floats(allow_nan=False, allow_infinity=False)
free = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


def members(kind: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """What JSON a type of properties takes, each member there or not."""
    by_name = {
        "attempts": st.integers(0, 2**32 - 1),
        "amount": st.floats(-1e12, 1e12),
        "currency": st.sampled_from(["EUR", "USD"]),
        "action": st.sampled_from(list(schema.ACTIONS)),
        "outcome": st.sampled_from(list(schema.OUTCOMES)),
        "lines": st.lists(
            st.fixed_dictionaries(
                {"productId": words}, optional={"name": words, "quantity": st.integers(1, 9), "price": st.floats(0, 99)}
            ),
            max_size=2,
        ),
    }
    by_type = {"str": words, "float": finite, "bool": st.booleans(), "Any": words | finite}

    def of(field: msgspec.structs.FieldInfo) -> st.SearchStrategy[Any]:
        typed = (strategy for name, strategy in by_type.items() if name in str(field.type))
        return by_name[field.encode_name] if field.encode_name in by_name else next(typed)

    return st.fixed_dictionaries({}, optional={each.encode_name: of(each) for each in msgspec.structs.fields(kind)})


def events() -> st.SearchStrategy[dict[str, Any]]:
    """Events as clients send them."""

    def of(event_type: str) -> st.SearchStrategy[dict[str, Any]]:
        kind = schema.PROPERTIES_OF.get(schema.EVENT_TYPES[event_type], schema.Properties)
        known = {field.encode_name for field in msgspec.structs.fields(kind)}
        extra = st.dictionaries(words.filter(lambda name: name not in known), free, max_size=3)
        return st.fixed_dictionaries(
            {
                "eventId": words,
                "userId": words,
                "eventType": st.just(event_type),
                "timestamp": times,
                "properties": st.builds(lambda a, b: {**a, **b}, members(kind), extra),
                "context": st.fixed_dictionaries(
                    {},
                    optional={
                        "platform": st.sampled_from(list(schema.PLATFORMS)),
                        "deviceId": words,
                        "timeZone": words,
                        "userAgent": words,
                        "correlationId": words,
                        "automated": st.just(True),
                        "active": st.just(False),
                    },
                ),
            },
            optional={"anonymousId": words, "sessionId": words, "sentAt": times},
        )

    return st.sampled_from(list(schema.EVENT_TYPES)).flatmap(of)


def read(raw: bytes) -> event_pb2.Event:
    """The event the gateway makes of it, over the wire."""
    rows = Rows()
    native.read_event(raw, EventSink(rows.add, STAMP, str, ignore))
    return wire.decoded(wire.encoded(rows.table())).event(0)


@given(events())
def test_events_are_read_back_as_sent(sent: dict[str, Any]) -> None:
    event = read(json.dumps(sent).encode())
    written = json.loads(msgspec.json.encode(rendering.write_event(event)))
    stamped = {name: written.pop(name) for name in ("receivedTime", "isBot")}
    assert written == sent
    assert stamped == {"receivedTime": "2026-01-02T10:01:00Z", "isBot": False}


def test_stamped_fields_are_returned_beside_the_event() -> None:
    event = event_pb2.Event(event_time_us=2_000_000, client_time_us=1_000_000, bot_evidence="rate", is_bot=True)
    event.linked_user_id, event.copied_event_id = "ada", "e-1"
    assert rendering.write_event(event) == {
        "timestamp": "1970-01-01T00:00:02Z",
        "clientTimestamp": "1970-01-01T00:00:01Z",
        "properties": {},
        "context": {},
        "botEvidence": "rate",
        "linkedUserId": "ada",
        "copiedEventId": "e-1",
        "isBot": True,
    }


def test_an_identification_needs_a_user_id() -> None:
    with pytest.raises(InvalidArgument, match="MISSING_FIELD"):
        read(b'{"eventType":"identify","anonymousId":"anon"}')
    event = read(b'{"eventType":"identify","anonymousId":"anon","userId":"ada"}')
    assert (event.user_id, event.anonymous_id) == ("ada", "anon")


@given(events())
def test_without_the_original_bytes_typed_properties_are_returned(sent: dict[str, Any]) -> None:
    event = read(json.dumps(sent).encode())
    assume(not event.page.isdecimal())  # as a path it names the page; as `page` it is pagination and ignored
    event.properties = b""
    again = read(msgspec.json.encode({k: v for k, v in rendering.write_event(event).items() if k not in STAMPED}))
    again.properties = b""
    if event.click == event_pb2.Click():  # it has no details
        event.ClearField("click")
    assert again == event


STAMPED = {"receivedTime", "sessionStart", "deviceClass", "isBot"}


@given(st.binary(max_size=60) | free.map(lambda value: json.dumps(value).encode()))
def test_an_invalid_event_is_refused_with_a_reason(body: bytes) -> None:
    rows = Rows()
    with pytest.raises(InvalidArgument) as refused:
        for raw in native.split(body):
            native.read_event(raw, EventSink(rows.add, STAMP, str, ignore))
    assert refused.value.reason in REASONS
    assert len(rows) == 0


REASONS = {"MALFORMED_JSON", "INVALID_TYPE", "UNKNOWN_FIELD", "MISSING_FIELD", "UNKNOWN_EVENT_TYPE", "EMPTY_BATCH"}


broken = st.sampled_from(["NaN", "{]", '{"a":tru}', "[" * 2000 + "]" * 2000, '"\\ud800"', "{'a':1}", ""])
whole = free.map(json.dumps).filter(lambda text: text != "")


@given(st.lists(whole | broken, min_size=2, max_size=6), st.sampled_from(["", " ", "\n\t"]))
def test_a_batch_is_cut_between_its_events_also_where_some_are_broken(pieces: list[str], space: str) -> None:
    body = f'{space}{{{space}"events"{space}:{space}[{(space + "," + space).join(pieces)}]{space}}}{space}'.encode()
    assert [bytes(cut).strip() for cut in native.split(body)] == [piece.strip().encode() for piece in pieces]


def test_cutting_takes_time_in_proportion_to_length() -> None:
    # Each opens a string that never ends; looking for its end again and again would take minutes.
    assert len(native.split(b'{"events":[' + b'\\"' * 250_000 + b"]}")) == 1
    assert len(native.split(b'{"events":[' + b'"\\' * 250_000 + b"]}")) == 1
    assert len(native.split(b'{"events":[' + b"[{" * 250_000 + b"]}")) == 1


@given(st.integers(0, 2**47 * 1000), st.integers(0, 2**40))
def test_ids_sort_by_time_and_by_order(now_us: int, later_us: int) -> None:
    ids, later = event_ids(now_us), event_ids(now_us + later_us + 1000)
    made = [next(ids) for _ in range(3)]
    assert made == sorted(set(made))
    assert made[-1] < next(later)
    assert all(uuid.UUID(each).version == 7 and uuid.UUID(each).variant == uuid.RFC_4122 for each in made)
