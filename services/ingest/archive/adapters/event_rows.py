"""Events as columns of the archive, and back; docs/archive.md says what each column means.

Optional members that were left out are null. What the columns cannot hold, because a newer version has
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

from records.table import COLUMNS, DETAILS, Table
from services.ingest.archive.adapters.values import Words, array, runs, text_type, time_type, utf8, words_of
from services.ingest.archive.domain.layout import number_text
from services.ingest.archive.ports import EventRows

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

# Of each column that every event has, the table's.
_ALWAYS: Final = {"event_id": "event_id", _COUNT: _COUNT} | {name: f"{name}_us" for name in _KNOWN_TIMES}
# Of each column of few values, what the table's are in the archive.
_IN_WORDS: Final[Mapping[str, Callable[[Any], str | None]]] = {
    "user_id": str,
    **{name: words.word for name, words in _WORDS.items()},
    **dict.fromkeys(_OPTIONAL, lambda text: text or None),
    **dict.fromkeys(_IDS, lambda of: of.hex() or None),
}

_LINE: Final = pa.struct(
    [
        ("product_id", text_type),
        ("name", text_type),
        ("category", text_type),
        ("quantity", pa.uint32()),
        ("price", pa.float64()),
    ]
)
_PRODUCT: Final = pa.struct([("product_id", text_type), ("name", text_type), ("reason", text_type)])
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
    "purchase": pa.struct(
        [
            ("amount", pa.float64()),
            ("currency", text_type),
            ("is_refund", pa.bool_()),
            ("order_id", text_type),
            ("lines", pa.list_(_LINE)),
        ]
    ),
    "segment_change": pa.struct(
        [
            ("segment", text_type),
            ("previous_segment", text_type),
            ("group", text_type),
            ("previous_group", text_type),
            ("products", pa.list_(_PRODUCT)),
        ]
    ),
}
_ITEMS: Final[Mapping[str, Sequence[str]]] = {
    "lines": [each.name for each in _LINE],
    "products": [each.name for each in _PRODUCT],
}
"""Of each member of a detail that is a list, the members of its items."""
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
"""As rows are read; what is written has some words as dictionaries, and what is packed most."""

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
    """The rows as columns, in the order of the schema; those that no row sets are left out, words are dictionaries."""
    tables = [_counted(record) for record in records]
    lengths = [*map(len, tables)]
    names = {"user_id"}.union(*(table.columns for table in tables))
    columns: dict[str, pa.Array | list[Any]] = {
        "shard": runs([shard], [sum(lengths)]),
        "sequence": runs([number_text(record.sequence, record.sequence) for record in records], lengths),
        "event_index": [row for record in records for row in record.rows],
        "is_set_aside": [row in record.failed for record in records for row in record.rows],
    }
    columns |= {name: _cells(tables, member) for name, member in _ALWAYS.items()}
    columns |= {name: _cells(tables, name) for name in _FLAGS if name in names}
    columns |= {name: _times(tables, f"{name}_us") for name in _OPTIONAL_TIMES if f"{name}_us" in names}
    columns |= {
        name: words_of([table.columns.get(name) for table in tables], lengths, COLUMNS[name], word)
        for name, word in _IN_WORDS.items()
        if name in names
    }
    if "properties" in names:
        columns["properties"] = _properties(_cells(tables, "properties"))
    columns |= _details(tables)
    columns |= _raw(records, tables)
    return pa.record_batch(
        {field.name: array(columns[field.name], field.type) for field in SCHEMA if field.name in columns}
    )


def archived(columns: pa.RecordBatch) -> Iterator[Archived]:
    """The events of rows as they are read."""
    # A column that an older version had not is left out; one of a newer version stands in `raw` as well.
    values = {name: _values(columns, name) for name in SCHEMA.names if name in columns.schema.names}
    shards, sequences = values.pop("shard"), values.pop("sequence")
    indexes, aside, raws = values.pop("event_index"), values.pop("is_set_aside"), values.pop("raw")
    names = [f"{name}_us" if name in (*_KNOWN_TIMES, *_OPTIONAL_TIMES) else name for name in values]
    cells = zip(*values.values(), strict=True)
    for shard, sequence, index, is_set_aside, raw, row in zip(
        shards, sequences, indexes, aside, raws, cells, strict=True
    ):
        if raw is not None:
            event = event_pb2.Event.FromString(raw)
        else:
            members = {name: value for name, value in zip(names, row, strict=True) if value is not None}
            event = event_pb2.Event(**members)
        yield Archived(shard, int(sequence), index, event, is_set_aside)


def _counted(record: EventRows) -> Table:
    return record.table if len(record.rows) == len(record.table) else record.table.take(record.rows)


def _cells(tables: Sequence[Table], name: str) -> list[Any]:
    """A column of all tables."""
    columns = [table.columns.get(name) or itertools.repeat(COLUMNS[name], len(table)) for table in tables]
    return [*itertools.chain.from_iterable(columns)]


def _times(tables: Sequence[Table], name: str) -> list[int | None]:
    return [time_us or None for time_us in _cells(tables, name)]


def _properties(cells: list[bytes]) -> pa.Array:
    try:
        return pa.array(cells if all(cells) else [cell or None for cell in cells], pa.binary()).cast(text_type)
    except pa.ArrowInvalid:  # some are no text
        return pa.array([*map(utf8, cells)], text_type)


def _details(tables: Sequence[Table]) -> dict[str, pa.Array]:
    """The members that few events have: only those are looked at, and the others' nulls are filled in at once."""
    by_name: dict[str, dict[int, Message]] = {}
    start = 0
    for table in tables:
        for row, detail in table.details.items():
            by_name.setdefault(DETAILS[type(detail)], {})[start + row] = detail
        start += len(table)
    return {name: _detail(_DETAILS[name], its, start) for name, its in by_name.items()}


def _detail(kind: pa.StructType, messages: Mapping[int, Message], count: int) -> pa.Array:
    present = [*messages.values()]
    members = [pa.array(_member(field.name, present), field.type) for field in kind]
    places: list[int | None] = [None] * count
    for place, row in enumerate(messages):
        places[row] = place
    return pa.StructArray.from_arrays(members, fields=list(kind)).take(pa.array(places, pa.int32()))


def _member(name: str, messages: Sequence[Message]) -> list[Any]:
    field = messages[0].DESCRIPTOR.fields_by_name[name]
    values = [*map(operator.attrgetter(name), messages)]
    if field.enum_type is not None:
        return [*map(_DETAIL_WORDS[name].word, values)]
    if name in _ITEMS:
        return [[{each: getattr(item, each) for each in _ITEMS[name]} for item in items] for items in values]
    if field.has_presence:
        is_set = [message.HasField(name) for message in messages]
        return [value if is_one_set else None for value, is_one_set in zip(values, is_set, strict=True)]
    return values


def _raw(records: Sequence[EventRows], tables: Sequence[Table]) -> dict[str, list[bytes | None]]:
    """The events, as bytes, that the columns cannot hold in full: nearly none."""
    raw: dict[int, bytes] = {}
    start = 0
    for record, table in zip(records, tables, strict=True):
        for row, event in (_untold(table) | _newer(record)).items():
            raw[start + row] = event.SerializeToString(deterministic=True)
        start += len(table)
    return {"raw": [*map(raw.get, range(start))]} if raw else {}


def _untold(table: Table) -> dict[int, event_pb2.Event]:
    rows = {*table.carried} | {row for row, detail in table.details.items() if _is_newer(detail)}
    if table.has("is_own"):
        rows.update(itertools.compress(range(len(table)), table.is_own))
    if table.has("properties"):
        rows.update(row for row, text in enumerate(table.properties) if text and not text.isascii() and not utf8(text))
    return {row: table.event(row) for row in rows}


def _is_newer(detail: Message) -> bool:
    lists = (value for field, value in detail.ListFields() if field.name in _ITEMS)
    return bool(UnknownFieldSet(detail)) or any(map(UnknownFieldSet, itertools.chain.from_iterable(lists)))


def _newer(record: EventRows) -> dict[int, event_pb2.Event]:
    """The events with members that no column has, as they were read one by one; by row."""
    if not record.events:
        return {}
    events = cast("Iterator[event_pb2.Event]", map(record.events.__getitem__, record.rows))
    return {row: event for row, event in enumerate(events) if UnknownFieldSet(event)}


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
        return [None if value is None else _set_members(value) for value in values]
    return values


def _set_members(members: dict[str, Any]) -> dict[str, Any]:
    """The members of a detail for its message; those that are null were left out."""
    return {
        name: _DETAIL_WORDS[name].number(value) if name in _DETAIL_WORDS else value
        for name, value in members.items()
        if value is not None or name in _DETAIL_WORDS
    }
