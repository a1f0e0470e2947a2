"""Events as columns of the archive, and back; docs/archive.md tells what each column means.

Members that may be left out are null where they were. What the columns cannot tell, because a newer version has
written it or because it moves with a login (`carried`), stands in `raw`, so that every event comes back as it was.
"""

import operator
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, cast

import pyarrow as pa
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from journeymesh.common.v1 import event_pb2

from services.ingest.adapters.archive_values import Words, array, text_type, time_type, utf8
from services.ingest.domain.archive import EventRow

_KINDS: Final = Words(event_pb2.EventType.DESCRIPTOR, "EVENT_TYPE_")
_PLATFORMS: Final = Words(event_pb2.Platform.DESCRIPTOR, "PLATFORM_")
_DEVICES: Final = Words(event_pb2.DeviceClass.DESCRIPTOR, "DEVICE_CLASS_")
_ACTIONS: Final = Words(event_pb2.PlaybackAction.DESCRIPTOR, "PLAYBACK_ACTION_")
_OUTCOMES: Final = Words(event_pb2.Outcome.DESCRIPTOR, "OUTCOME_")

_WORDS: Final = {"event_type": _KINDS, "platform": _PLATFORMS, "device_class": _DEVICES}
_REQUIRED: Final = ("event_id", "user_id")
_OPTIONAL: Final = (
    "anonymous_id",
    "session_id",
    "page",
    "address",
    "target",
    "error_code",
    "device_id",
    "time_zone",
    "correlation_id",
    "user_agent",
    "bot_evidence",
    "linked_user_id",
    "copied_event_id",
)
_FLAGS: Final = ("is_refresh", "is_automated", "is_bot", "is_system")
_KNOWN_TIMES: Final = ("event_time", "received_time")
_OPTIONAL_TIMES: Final = ("sent_time", "client_time", "session_start")
_IDS: Final = ("trace_id", "span_id")

_DETAILS: Final = {
    "click": pa.struct(
        [
            ("x", pa.float64()),
            ("y", pa.float64()),
            ("effect_observed", pa.bool_()),
            ("error_observed", pa.bool_()),
            ("selection_changed", pa.bool_()),
            ("value_changed", pa.bool_()),
            ("role", text_type),
        ]
    ),
    "playback": pa.struct(
        [
            ("video_id", text_type),
            ("viewing_id", text_type),
            ("action", text_type),
            ("position_seconds", pa.float64()),
            ("watched_seconds", pa.float64()),
            ("duration_seconds", pa.float64()),
            ("playback_rate", pa.float64()),
            ("seek_from_seconds", pa.float64()),
            ("content_type", text_type),
            ("topic", text_type),
            ("is_watched_guessed", pa.bool_()),
        ]
    ),
    "outcome": pa.struct([("intervention_id", text_type), ("outcome", text_type), ("channel", text_type)]),
    "purchase": pa.struct([("amount", pa.float64()), ("currency", text_type), ("is_refund", pa.bool_())]),
}
_DETAIL_WORDS: Final = {"action": _ACTIONS, "outcome": _OUTCOMES}

SCHEMA: Final = pa.schema(
    [
        pa.field("shard", text_type, nullable=False),
        pa.field("sequence", text_type, nullable=False),
        pa.field("event_index", pa.uint32(), nullable=False),
        pa.field("is_set_aside", pa.bool_(), nullable=False),
        *(pa.field(name, text_type, nullable=False) for name in _REQUIRED),
        *(pa.field(name, time_type, nullable=False) for name in _KNOWN_TIMES),
        *(pa.field(name, text_type) for name in _WORDS),
        *(pa.field(name, text_type) for name in _OPTIONAL),
        *(pa.field(name, time_type) for name in _OPTIONAL_TIMES),
        *(pa.field(name, pa.bool_(), nullable=False) for name in _FLAGS),
        pa.field("attempt_count", pa.uint32(), nullable=False),
        *(pa.field(name, text_type) for name in _IDS),
        pa.field("properties", text_type),
        *(pa.field(name, kind) for name, kind in _DETAILS.items()),
        pa.field("raw", pa.binary()),
    ]
)
"""As rows are packed; what is written has words as dictionaries."""

DICTIONARIES: Final = ("shard", *_WORDS)
"""Columns of few different values."""


class Archived(NamedTuple):
    """An event of the archive and where it stood on the stream."""

    shard: str
    sequence: int
    event_index: int
    event: event_pb2.Event
    is_set_aside: bool


def batch(shard: str, sequence_texts: Sequence[str], rows: Sequence[EventRow]) -> pa.RecordBatch:
    """The rows as columns, in the order of the schema."""
    events = [cast("event_pb2.Event", row.event) for row in rows]
    columns: dict[str, Any] = {
        "shard": pa.repeat(pa.scalar(shard, text_type), len(rows)),
        "sequence": sequence_texts,
        "event_index": [row.event_index for row in rows],
        "is_set_aside": [row.is_set_aside for row in rows],
    }
    columns |= {name: [*map(operator.attrgetter(name), events)] for name in (*_REQUIRED, *_FLAGS, "attempt_count")}
    columns |= {name: [*map(operator.attrgetter(f"{name}_us"), events)] for name in _KNOWN_TIMES}
    columns |= {name: _or_none(f"{name}_us", events) for name in _OPTIONAL_TIMES}
    columns |= {name: [*map(words.word, map(operator.attrgetter(name), events))] for name, words in _WORDS.items()}
    columns |= {name: _or_none(name, events) for name in _OPTIONAL}
    columns |= {name: [each.hex() or None for each in map(operator.attrgetter(name), events)] for name in _IDS}
    columns["properties"] = [utf8(event.properties) for event in events]
    details = [event.WhichOneof("detail") for event in events]
    columns |= {name: _detail(name, events, details) for name in _DETAILS}
    columns["raw"] = _raw(events, details, columns["properties"])
    return pa.record_batch([array(columns[field.name], field.type) for field in SCHEMA], schema=SCHEMA)


def archived(columns: pa.RecordBatch) -> Iterator[Archived]:
    """The events of rows as they are read."""
    # A column that an older version had not is left out; one of a newer version stands in `raw` as well.
    values = {name: _values(columns, name) for name in SCHEMA.names if name in columns.schema.names}
    shards, sequences = values.pop("shard"), values.pop("sequence")
    indexes, aside, raws = values.pop("event_index"), values.pop("is_set_aside"), values.pop("raw")
    names = [f"{name}_us" if name in (*_KNOWN_TIMES, *_OPTIONAL_TIMES) else name for name in values]
    told = zip(*values.values(), strict=True)
    for shard, sequence, index, is_set_aside, raw, row in zip(
        shards, sequences, indexes, aside, raws, told, strict=True
    ):
        if raw is not None:
            event = event_pb2.Event.FromString(raw)
        else:
            members = {name: value for name, value in zip(names, row, strict=True) if value is not None}
            event = event_pb2.Event(**members)
        yield Archived(shard, int(sequence), index, event, is_set_aside)


def _or_none(name: str, events: Sequence[event_pb2.Event]) -> Any:  # noqa: ANN401 - a list, or an array of nulls
    values = [*map(operator.attrgetter(name), events)]
    # Most members are told by all events of a batch, or by none.
    if all(values):
        return values
    if not any(values):
        return pa.nulls(len(values), SCHEMA.field(name.removesuffix("_us")).type)
    return [value or None for value in values]


def _detail(name: str, events: Sequence[event_pb2.Event], details: Sequence[str | None]) -> pa.Array:
    """A member that few events have: only those are looked at, and the others' nulls are filled in at once."""
    kind = _DETAILS[name]
    rows = [row for row, detail in enumerate(details) if detail == name]
    if not rows:
        return pa.nulls(len(events), kind)
    messages = [getattr(events[row], name) for row in rows]
    members = [pa.array(_member(field.name, messages), field.type) for field in kind]
    places: list[int | None] = [None] * len(events)
    for place, row in enumerate(rows):
        places[row] = place
    return pa.StructArray.from_arrays(members, fields=list(kind)).take(pa.array(places, pa.int32()))


def _member(name: str, messages: Sequence[Message]) -> list[Any]:
    field = messages[0].DESCRIPTOR.fields_by_name[name]
    values = [*map(operator.attrgetter(name), messages)]
    if field.enum_type is not None:
        return [*map(_DETAIL_WORDS[name].word, values)]
    if field.has_presence:
        is_told = [message.HasField(name) for message in messages]
        return [value if told else None for value, told in zip(values, is_told, strict=True)]
    return values


def _raw(events: Sequence[event_pb2.Event], details: Sequence[str | None], texts: Sequence[str | None]) -> list[Any]:
    """The events, as bytes, of which the columns do not tell all: nearly none."""
    raw: list[bytes | None] = [None] * len(events)
    untold = [
        row for row, event in enumerate(events) if UnknownFieldSet(event) or event.is_own or event.HasField("carried")
    ]
    untold += [row for row, name in enumerate(details) if name and UnknownFieldSet(getattr(events[row], name))]
    untold += [row for row, text in enumerate(texts) if text is None and events[row].properties]
    for row in untold:
        raw[row] = events[row].SerializeToString(deterministic=True)
    return raw


def _values(columns: pa.RecordBatch, name: str) -> list[Any]:
    column = columns.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    values: list[Any] = column.to_pylist()
    if name in _WORDS:
        return [*map(_WORDS[name].number, values)]
    if name in _IDS:
        return [None if value is None else bytes.fromhex(value) for value in values]
    if name == "properties":
        return [None if value is None else value.encode() for value in values]
    if name in _DETAILS:
        return [None if value is None else _told(value) for value in values]
    return values


def _told(members: dict[str, Any]) -> dict[str, Any]:
    """The members of a detail for its message; those that are null were left out."""
    return {
        name: _DETAIL_WORDS[name].number(value) if name in _DETAIL_WORDS else value
        for name, value in members.items()
        if value is not None or name in _DETAIL_WORDS
    }
