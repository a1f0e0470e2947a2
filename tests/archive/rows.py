"""Events row by row, as tests tell them, and how they became columns when they were messages."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import pyarrow as pa
from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from journeymesh.common.v1 import event_pb2

from records.table import of_events
from services.ingest.archive.adapters.event_rows import SCHEMA
from services.ingest.archive.adapters.values import Words, array, utf8
from services.ingest.archive.domain.layout import number_text
from services.ingest.archive.ports import EventRows
from services.ingest.events.domain.event import Event


class EventRow(NamedTuple):
    """An event that counts, and where it stands."""

    sequence: int
    event_index: int
    event: event_pb2.Event
    is_set_aside: bool = False


def records(rows: Sequence[EventRow], *, one_by_one: bool = False) -> list[EventRows]:
    """The rows by record, among others that do not count; each record as a table, or its events one by one."""
    runs: list[list[EventRow]] = []
    for row in rows:
        if runs and runs[-1][-1].sequence == row.sequence and runs[-1][-1].event_index < row.event_index:
            runs[-1].append(row)
        else:
            runs.append([row])
    return [_record(run, one_by_one=one_by_one) for run in runs]


def _record(run: Sequence[EventRow], *, one_by_one: bool) -> EventRows:
    counted = {row.event_index: row.event for row in run}
    bought = event_pb2.Purchase(amount=1.0)
    other = event_pb2.Event(event_id="other", page="/other", properties=b"\xff", purchase=bought, is_own=True)
    events = [counted.get(index, other) for index in range(max(counted) + 1)]
    aside = [row.event_index for row in run if row.is_set_aside]
    as_events = cast("Sequence[Event]", events if one_by_one else ())
    return EventRows(run[0].sequence, of_events(events), [*counted], aside, as_events)


def row_by_row(shard: str, rows: Sequence[EventRow]) -> pa.RecordBatch:
    """The rows as columns, each cell of its own."""
    events = [row.event for row in rows]
    columns: dict[str, Any] = {
        "shard": [shard] * len(rows),
        "sequence": [number_text(row.sequence, row.sequence) for row in rows],
        "event_index": [row.event_index for row in rows],
        "is_set_aside": [row.is_set_aside for row in rows],
        "properties": [utf8(event.properties) for event in events],
    }
    for field in SCHEMA:
        if field.name in columns or field.name == "raw":
            continue
        if pa.types.is_struct(field.type):
            columns[field.name] = [_detail(field, event) for event in events]
            continue
        member = f"{field.name}_us" if pa.types.is_timestamp(field.type) else field.name
        columns[field.name] = [_cell(field, member, event) for event in events]
    columns["raw"] = [_raw(event) for event in events]
    return pa.record_batch([array(columns[field.name], field.type) for field in SCHEMA], schema=SCHEMA)


def _cell(field: pa.Field, member: str, message: Message) -> Any:
    value = getattr(message, member)
    kind = message.DESCRIPTOR.fields_by_name[member]
    if kind.enum_type is not None:
        enum = cast("EnumDescriptor", kind.enum_type)
        return Words(enum, enum.values_by_number[0].name.removesuffix("UNSPECIFIED")).word(value)
    if isinstance(value, bytes):
        value = value.hex()
    return value or None if field.nullable and not kind.has_presence else value


def _detail(field: pa.Field, event: event_pb2.Event) -> dict[str, Any] | None:
    if event.WhichOneof("detail") != field.name:
        return None
    detail = getattr(event, field.name)
    return {member.name: _member(member, detail) for member in field.type}


def _member(member: pa.Field, detail: Message) -> Any:
    kind = detail.DESCRIPTOR.fields_by_name[member.name]
    if kind.enum_type is not None:
        return _cell(member, member.name, detail)
    if kind.has_presence and not detail.HasField(member.name):
        return None
    if kind.is_repeated:
        lines = getattr(detail, member.name)
        return [{each.name: getattr(line, each.name) for each in member.type.value_type} for line in lines]
    return getattr(detail, member.name)


def _raw(event: event_pb2.Event) -> bytes | None:
    which = event.WhichOneof("detail")
    is_newer = bool(UnknownFieldSet(event)) or bool(which and UnknownFieldSet(getattr(event, which)))
    is_no_text = bool(event.properties) and utf8(event.properties) is None
    if is_newer or is_no_text or event.is_own or event.HasField("carried"):
        return event.SerializeToString(deterministic=True)
    return None
