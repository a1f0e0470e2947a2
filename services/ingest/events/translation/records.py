"""Records of the stream: events as they are read from it."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Final

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from journeymesh.common.v1 import event_pb2, event_table_pb2
from journeymesh.intervention.v1 import intervention_pb2

from mesh.errors import VersionMismatch
from mesh.stream.port import Record
from records import table, wire
from records.table import Table
from services.ingest.events.domain.suppression import Suppression

# A record of the most bytes holds fewer; a place in a record has two bytes.
_EVENTS_MOST: Final = 32_000
_FORMAT_VERSION: Final = 1
NO_EVENTS: Final = Table(0, {})
# In the year 2255: until then times are exact as JSON numbers.
_LATEST_US: Final = 1 << 53


def covered(record: intervention_pb2.LedgerRecord) -> Sequence[int]:
    """The events of a record that led to decisions, by their index; ascending."""
    return record.covered_event_indexes or record.event_indexes


@dataclasses.dataclass(frozen=True)
class Rows:
    """The events of a batch that count, column by column, with the position of each."""

    table: Table
    record_indexes: Sequence[int]
    event_indexes: Sequence[int]

    @functools.cached_property
    def events(self) -> Sequence[event_pb2.Event]:
        """The events one by one, made on first use."""
        return self.table.events()


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A record with its events; a poison record has none, but its payload as `broken`."""

    sequence: int
    table: Table
    broken: bytes | None = None
    users: frozenset[str] | None = None
    """The users whose events count here; None for all."""
    events: Sequence[event_pb2.Event] = ()
    """The events as the previous version wrote them; empty if the record holds a table."""
    is_newer: bool = False
    """Whether a newer version has written more than the table holds."""
    held: event_table_pb2.EventTable | None = None
    """The table as it is on the stream, if the record holds one."""
    byte_count: int = 0

    def rows_that_count(self, rows: Sequence[int]) -> Sequence[int]:
        """Those of some rows whose users' events count here."""
        if self.users is None:
            return rows
        return [row for row in rows if self.table.user_id[row] in self.users]

    @functools.cached_property
    def message(self) -> event_table_pb2.EventTable:
        """The table as it is passed on, with what only a newer version understands."""
        return wire.encoded(self.table) if self.held is None else self.held


def decoded(record: Record) -> Decoded:
    """Decodes a record; it is broken if the mesh cannot have written it.

    Raises:
        VersionMismatch: only a newer version can read it.
    """
    try:
        held = event_table_pb2.StreamRecord.FromString(record.payload)
        if held.format_version > _FORMAT_VERSION:
            raise VersionMismatch("A record is of a form that only a newer version knows.")
        events = [*held.events]
        rows = wire.decoded(held.table) if held.HasField("table") else table.of_events(events)
    except (DecodeError, wire.UnreadableTableError):
        return Decoded(record.sequence, NO_EVENTS, record.payload)
    if (
        not 0 < len(rows) <= _EVENTS_MOST
        or min(rows.received_time_us) < 0
        or max(rows.received_time_us) > _LATEST_US
        or wire.says_too_much(held.table, rows)
    ):
        return Decoded(record.sequence, NO_EVENTS, record.payload)
    return Decoded(
        record.sequence,
        rows,
        events=events,
        is_newer=bool(UnknownFieldSet(held)) or bool(UnknownFieldSet(held.table)),
        held=None if events else held.table,
        byte_count=len(record.payload),
    )


def unsuppressed(record: Decoded, suppression: Suppression) -> Decoded:
    """The record without the events of suppressed people, and without those that lead a journey to one."""
    table = record.table
    erased = suppression.among(table.user_id)
    if table.has("linked_user_id"):
        linked = suppression.among(table.linked_user_id)
        erased |= {user for user, to in zip(table.user_id, table.linked_user_id, strict=True) if to in linked}
    return dataclasses.replace(record, users=frozenset(table.user_id) - erased) if erased else record


def counted(batch: Sequence[Decoded], rows: Sequence[Sequence[int]]) -> Rows:
    """The rows that count of each record's table, one below the other."""
    tables = [
        record.table if len(its) == len(record.table) else record.table.take(its)
        for record, its in zip(batch, rows, strict=True)
    ]
    return Rows(
        table.joined(tables),
        [record_index for record_index, its in enumerate(rows) for _ in its],
        [event_index for its in rows for event_index in its],
    )
