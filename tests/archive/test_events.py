"""Events come back from the archive as they were."""

import datetime as dt
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2

from mesh.errors import VersionMismatch
from records import wire
from services.ingest.archive.adapters import decision_rows, event_rows
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.adapters.tables import fitted, grouped, written
from services.ingest.archive.adapters.values import Words
from services.ingest.archive.domain import layout
from services.ingest.archive.domain.layout import ArchiveFile, Plan
from services.ingest.archive.ports import EventRows
from tests.archive.rows import EventRow, records, row_by_row
from tests.builders import NOW_US, event

_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.CPPTYPE_STRING: st.text(max_size=12),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, (1 << 32) - 1),
    # Values that this version has no name for too.
    FieldDescriptor.CPPTYPE_ENUM: st.integers(0, 19) | st.sampled_from([-1, 1 << 30]),
}
_BYTES = {
    "properties": st.binary(max_size=8)
    | st.dictionaries(st.text(), st.floats(allow_nan=False)).map(
        lambda value: json.dumps(value, ensure_ascii=False).encode()
    ),
    "trace_id": st.binary(max_size=16),
    "span_id": st.binary(max_size=8),
    "standing": st.binary(max_size=8),
}


@st.composite
def messages(draw: st.DrawFn, kind: type[Message]) -> Message:
    """Any message of a kind: every member its descriptor has may be there or not."""
    made = kind()
    known: list[FieldDescriptor] = [*cast("Sequence[FieldDescriptor]", kind.DESCRIPTOR.fields)]
    fields = draw(st.lists(st.sampled_from(known), unique_by=lambda field: field.number))
    for field in fields:
        if field.message_type is not None and field.is_repeated:
            of_one = getattr(made, field.name).add
            of_one().CopyFrom(draw(messages(type(of_one()))))
        elif field.message_type is not None:
            inner = type(getattr(made, field.name))
            getattr(made, field.name).CopyFrom(draw(messages(inner)))
            getattr(made, field.name).SetInParent()
        else:
            setattr(made, field.name, draw(_BYTES[field.name] if field.name in _BYTES else _SCALARS[field.cpp_type]))
    return made


def in_a_file(rows: pa.RecordBatch) -> bytes:
    """What a file with these rows says."""
    schema = event_rows.SCHEMA
    groups = [fitted(written(each, ()), schema) for each in grouped([rows], 3)]
    into = io.BytesIO()
    pq.write_table(pa.concat_tables(groups or [schema.empty_table()]), into)
    return into.getvalue()


def written_and_read(records: Sequence[EventRows]) -> list[event_rows.Archived]:
    packed = event_rows.batch("3", records)
    packed.validate(full=True)
    into = io.BytesIO(in_a_file(packed))
    return [each for batch in pq.ParquetFile(into).iter_batches(2) for each in event_rows.archived(batch)]


@given(
    events=st.lists(messages(event_pb2.Event), max_size=5), indexes=st.sets(st.integers(0, 6)), one_by_one=st.booleans()
)
def test_columns_tell_what_the_rows_do(events: list[event_pb2.Event], indexes: set[int], one_by_one: bool) -> None:  # noqa: FBT001 - drawn
    rows = [EventRow(7, index, each, index % 2 == 1) for index, each in zip(sorted(indexes), events, strict=False)]
    rows += [EventRow(8, index, each) for index, each in enumerate(events)]
    recorded = records(rows, one_by_one=one_by_one)
    if not one_by_one:
        recorded = [each._replace(table=wire.decoded(wire.encoded(each.table))) for each in recorded]
    assert in_a_file(event_rows.batch("3", recorded)) == in_a_file(row_by_row("3", rows))


@given(events=st.lists(messages(event_pb2.Event), max_size=5))
def test_every_event_comes_back_as_it_was(events: list[event_pb2.Event]) -> None:
    rows = [EventRow(7 + number, number, each, number % 2 == 1) for number, each in enumerate(events)]
    read = written_and_read(records(rows))
    assert [each[:3] for each in read] == [("3", row.sequence, row.event_index) for row in rows]
    assert [each.is_set_aside for each in read] == [row.is_set_aside for row in rows]
    # As bytes: a number that is none is not equal to itself.
    assert [each.event.SerializeToString(deterministic=True) for each in read] == [
        each.SerializeToString(deterministic=True) for each in events
    ]


def test_every_member_of_an_event_has_a_column() -> None:
    names = {field.name.removesuffix("_us") for field in event_pb2.Event.DESCRIPTOR.fields}
    of_the_archive = {"shard", "sequence", "event_index", "is_set_aside", "raw"}
    # Once a login, and intervention's alone to read; and who reported an outcome, which ingest alone asks.
    in_raw_alone = {"carried", "is_own"}
    assert set(event_rows.SCHEMA.names) == (names | of_the_archive) - in_raw_alone
    for detail in (event_pb2.Click, event_pb2.Playback, event_pb2.InterventionOutcome, event_pb2.Purchase):
        (column,) = [field for field in event_pb2.Event.DESCRIPTOR.fields if field.message_type == detail.DESCRIPTOR]
        columns = {field.name for field in event_rows.SCHEMA.field(column.name).type}
        assert columns == set(detail.DESCRIPTOR.fields_by_name)


def test_what_a_newer_version_has_added_is_not_lost() -> None:
    newer = event(kind="click", click={"x": 3.0})
    newer.MergeFromString(b"\xc2\x3e\x05hello")  # field 1000
    inside = event(kind="click")
    inside.click.MergeFromString(b"\xc2\x3e\x05hello")
    within = event(kind="purchase", purchase={"lines": [{"product_id": "p"}]})
    within.purchase.lines[0].MergeFromString(b"\xc2\x3e\x05hello")
    among = event(kind="segment_change", segment_change={"segment": "s", "products": [{"product_id": "p"}]})
    among.segment_change.products[0].MergeFromString(b"\xc2\x3e\x05hello")
    plain = event(kind="click", click={"x": 3.0})
    events = (newer, inside, within, among, plain)
    rows = records([EventRow(1, index, each) for index, each in enumerate(events)], one_by_one=True)
    assert [each.event for each in written_and_read(rows)] == [*events]
    raws = event_rows.batch("3", rows).column("raw").to_pylist()
    assert [raw is None for raw in raws] == [False, False, False, False, True]


def test_purchases_of_older_files_are_joined_with_orders_of_newer_ones() -> None:
    bought = event(kind="purchase", purchase={"amount": 5, "currency": "EUR"})
    order = event("e-2", kind="purchase", purchase={"order_id": "o-1", "lines": [{"product_id": "p", "quantity": 2}]})
    older, newer = (event_rows.batch("3", records([EventRow(1, 0, each)])) for each in (bought, order))
    place = older.schema.get_field_index("purchase")
    amounts = older.column("purchase")
    past = pa.StructArray.from_arrays(
        [amounts.field(name) for name in ("amount", "currency", "is_refund")], ["amount", "currency", "is_refund"]
    )
    older = older.set_column(place, "purchase", past)
    into = io.BytesIO()
    groups = [fitted(written(each, ()), event_rows.SCHEMA) for each in grouped([older, newer], 1)]
    pq.write_table(pa.concat_tables(groups), into)
    read = [each.event for batch in pq.ParquetFile(into).iter_batches() for each in event_rows.archived(batch)]
    assert read == [bought, order]


def test_columns_say_what_a_reader_expects() -> None:
    played = event(
        kind="video_playback",
        sent_time_us=NOW_US + 1,
        properties=b'{"a": "\xc3\xbc"}',
        platform=event_pb2.PLATFORM_WEB,
        playback={"video_id": "v", "action": event_pb2.PLAYBACK_ACTION_SEEK, "position_seconds": 1.5},
    )
    row = event_rows.batch("3", records([EventRow(7, 2, played)]))
    (recorded,) = fitted(written(pa.Table.from_batches([row]), ()), event_rows.SCHEMA).to_pylist()
    at = dt.datetime(2026, 1, 2, 10, tzinfo=dt.UTC)
    assert recorded["event_time"] == recorded["received_time"] == at
    assert recorded["sent_time"] == at + dt.timedelta(microseconds=1)
    assert (recorded["client_time"], recorded["anonymous_id"], recorded["click"], recorded["raw"]) == (None,) * 4
    assert (recorded["event_type"], recorded["platform"], recorded["device_class"]) == ("video_playback", "web", None)
    assert recorded["properties"] == '{"a": "ü"}'
    assert recorded["trace_id"] == "000102030405060708090a0b0c0d0e0f"
    assert (recorded["playback"]["action"], recorded["playback"]["position_seconds"]) == ("seek", 1.5)
    assert math.isclose(recorded["playback"]["watched_seconds"], 0.0)


async def test_words_are_categories_and_the_schema_is_named(tmp_path: Path) -> None:
    files = ParquetArchive(f"file://{tmp_path}")
    rows = records([EventRow(7, index, event(f"e-{index}")) for index in range(3)])
    hour = layout.hour_of(NOW_US)
    await files.write("3", Plan(-1, 7), {hour}, [await files.pack("3", rows, [])])
    table = pq.read_table(tmp_path / ArchiveFile(layout.EVENTS, hour, "3", 0, 7).path, partitioning=None)
    assert table.schema.metadata[b"journeymesh.schema"] == b"events/v1"
    assert pa.types.is_dictionary(table.schema.field("event_type").type)
    assert table.column("event_id").to_pylist() == ["e-0", "e-1", "e-2"]


def test_the_document_tells_of_every_column() -> None:
    text = (Path(__file__).parents[2] / "docs" / "archive.md").read_text(encoding="utf-8")
    of_events, of_decisions = text.split("## Columns of events")[1].split("## Columns of decisions")
    for schema, recorded in ((event_rows.SCHEMA, of_events), (decision_rows.SCHEMA, of_decisions)):
        assert [name for name in schema.names if f"`{name}`" not in recorded] == []


def test_a_word_of_a_newer_version_is_told_as_that() -> None:
    words = Words(event_pb2.EventType.DESCRIPTOR, "EVENT_TYPE_")
    assert [words.number(each) for each in (None, "click", "99", "-3")] == [0, event_pb2.EVENT_TYPE_CLICK, 99, -3]
    with pytest.raises(VersionMismatch):
        words.number("of_tomorrow")
