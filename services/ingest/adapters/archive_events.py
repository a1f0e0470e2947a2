"""Events as columns of the archive, and back; docs/archive.md tells what each column means.

Members that may be left out are null where they were. What the columns cannot tell, because a newer version has
written it or because it moves with a login (`carried`), stands in `raw`, so that every event comes back as it was.
"""

import itertools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import pyarrow as pa
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from journeymesh.common.v1 import event_pb2

from records.table import DETAILS, Table, joined
from services.ingest.adapters.archive_values import Words, array, text_type, time_type, utf8
from services.ingest.domain.archive import number_text
from services.ingest.ports import EventRows

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
_COUNT: Final = "attempt_count"

# Columns of the archive and the table's: such as every event has, such as may be null, and such as are told in words.
_ALWAYS: Final = {name: name for name in (*_REQUIRED, _COUNT)} | {name: f"{name}_us" for name in _KNOWN_TIMES}
_NULLABLE: Final = {name: name for name in _OPTIONAL} | {name: f"{name}_us" for name in _OPTIONAL_TIMES}
_IN_WORDS: Final[Mapping[str, Callable[[Any], str | None]]] = {
    **{name: words.word for name, words in _WORDS.items()},
    **dict.fromkeys(_IDS, lambda of: of.hex() or None),
}

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
        pa.field(_COUNT, pa.uint32(), nullable=False),
        *(pa.field(name, text_type) for name in _IDS),
        pa.field("properties", text_type),
        *(pa.field(name, kind) for name, kind in _DETAILS.items()),
        pa.field("raw", pa.binary()),
    ]
)
"""As rows are packed; what is written has words as dictionaries."""

DICTIONARIES: Final = ("shard", *_WORDS)
"""Columns of few different values."""

UNIQUE: Final = ("event_id", "properties")
"""Columns whose values differ from row to row."""


class Archived(NamedTuple):
    """An event of the archive and where it stood on the stream."""

    shard: str
    sequence: int
    event_index: int
    event: event_pb2.Event
    is_set_aside: bool


def batch(shard: str, records: Sequence[EventRows]) -> pa.RecordBatch:
    """The rows as columns, in the order of the schema; those that no row tells are left out."""
    whole = joined([_counted(record) for record in records])
    lengths = [len(record.rows) for record in records]
    columns: dict[str, pa.Array | list[Any]] = {
        "shard": pa.repeat(pa.scalar(shard, text_type), len(whole)),
        "sequence": _repeated([number_text(record.sequence, record.sequence) for record in records], lengths),
        "event_index": [row for record in records for row in record.rows],
        "is_set_aside": [row in record.set_aside for record in records for row in record.rows],
    }
    columns |= {name: getattr(whole, member) for name, member in _ALWAYS.items()}
    columns |= {name: whole.columns[name] for name in _FLAGS if whole.has(name)}
    columns |= {name: _or_none(whole.columns[member]) for name, member in _NULLABLE.items() if whole.has(member)}
    columns |= {name: _mapped(word, whole.columns[name]) for name, word in _IN_WORDS.items() if whole.has(name)}
    columns |= _properties(whole)
    columns |= _details(whole)
    columns |= _raw(records, whole, columns)
    fields = [field for field in SCHEMA if field.name in columns]
    return pa.record_batch([array(columns[field.name], field.type) for field in fields], schema=pa.schema(fields))


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


def _counted(record: EventRows) -> Table:
    return record.table if len(record.rows) == len(record.table) else record.table.take(record.rows)


def _repeated(texts: Sequence[str], lengths: Sequence[int]) -> pa.Array:
    """Each text as often as told."""
    places = [*itertools.chain.from_iterable(map(itertools.repeat, range(len(texts)), lengths))]
    return pa.array(texts, text_type).take(pa.array(places, pa.int32()))


def _or_none(cells: list[Any]) -> list[Any]:
    # Most members are told by all events of a batch, or by none.
    return cells if all(cells) else [cell or None for cell in cells]


def _mapped(value_of: Callable[[Any], Any], cells: list[Any]) -> list[Any]:
    """What each cell means, found out once for all that are alike."""
    values = {cell: value_of(cell) for cell in set(cells)}
    return [*map(values.__getitem__, cells)]


def _properties(whole: Table) -> dict[str, pa.Array]:
    if not whole.has("properties"):
        return {}
    cells = whole.properties
    try:
        return {"properties": pa.array(_or_none(cells), pa.binary()).cast(text_type)}
    except pa.ArrowInvalid:  # some are no text
        return {"properties": pa.array([*map(utf8, cells)], text_type)}


def _details(whole: Table) -> dict[str, pa.Array]:
    """The members that few events have: only those are looked at, and the others' nulls are filled in at once."""
    by_name: dict[str, dict[int, Message]] = {}
    for row, detail in whole.details.items():
        by_name.setdefault(DETAILS[type(detail)], {})[row] = detail
    return {name: _detail(_DETAILS[name], its, len(whole)) for name, its in by_name.items()}


def _detail(kind: pa.StructType, messages: Mapping[int, Message], count: int) -> pa.Array:
    told = [*messages.values()]
    members = [pa.array(_member(field.name, told), field.type) for field in kind]
    places: list[int | None] = [None] * count
    for place, row in enumerate(messages):
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


def _raw(
    records: Sequence[EventRows], whole: Table, columns: Mapping[str, pa.Array | list[Any]]
) -> dict[str, list[bytes | None]]:
    """The events, as bytes, of which the columns do not tell all: nearly none."""
    untold = {*whole.carried} | {row for row, detail in whole.details.items() if UnknownFieldSet(detail)}
    if whole.has("is_own"):
        untold.update(itertools.compress(range(len(whole)), whole.is_own))
    texts = columns.get("properties")
    if isinstance(texts, pa.Array) and texts.null_count > whole.properties.count(b""):
        untold.update(row for row, text in enumerate(texts.to_pylist()) if text is None and whole.properties[row])
    raw = {row: whole.event(row) for row in untold} | _newer(records)
    if not raw:
        return {}
    cells: list[bytes | None] = [None] * len(whole)
    for row, event in raw.items():
        cells[row] = event.SerializeToString(deterministic=True)
    return {"raw": cells}


def _newer(records: Sequence[EventRows]) -> dict[int, event_pb2.Event]:
    """The events that tell what no column does, as they came one by one; by row."""
    if not any(record.told for record in records):
        return {}
    told = (record.told[row] if record.told else None for record in records for row in record.rows)
    events = cast("Iterator[event_pb2.Event | None]", told)
    return {row: event for row, event in enumerate(events) if event is not None and UnknownFieldSet(event)}


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
