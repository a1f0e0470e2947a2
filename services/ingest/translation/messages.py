"""Between ingest's words and the wire's."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, cast

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from journeymesh.common.v1 import error_reason_pb2, event_pb2, event_table_pb2, position_pb2
from journeymesh.ingest.v1 import ingest_pb2
from journeymesh.intervention.v1 import intervention_pb2

from mesh.errors import InvalidArgument, VersionMismatch
from mesh.stream import BEGINNING, END, Record
from records import table, wire
from records.table import Table
from services.ingest.domain.event import FailedEvent, refused_event_id
from services.ingest.domain.tidying import ID_LENGTH, Note
from services.ingest.domain.validation import EARLIEST_TIME_US, FUTURE_US, Rejection, told_id
from services.ingest.ports import ShardStanding
from services.ingest.translation.payload import event_json
from services.ingest.usecases import Receipt

_BATCH_BYTES: Final = 4 * 1024 * 1024
_LINKS_MOST: Final = 64
# What may be taken as properties, and what stands beside them.
_REFUSED_BYTES: Final = 40 * 1024
# A record of the most bytes holds fewer; a place in a record has two bytes.
_EVENTS_MOST: Final = 32_000
_FORMAT_VERSION: Final = 1
NO_EVENTS: Final = Table(0, {})
# In the year 2255: up to here times are exact as a number of JSON.
_LATEST_US: Final = 1 << 53


def reason_name(reason: int) -> str:
    """The reason's stable name; a number this version does not know is `UNSPECIFIED`."""
    if reason not in error_reason_pb2.ErrorReason.values():
        return "UNSPECIFIED"
    return error_reason_pb2.ErrorReason.Name(reason).removeprefix("ERROR_REASON_")  # type: ignore[arg-type]


def _reason(name: str) -> error_reason_pb2.ErrorReason.ValueType:
    """The reason of a name; one that a newer version kept is unspecified."""
    known = error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name.get(f"ERROR_REASON_{name}")
    return cast("error_reason_pb2.ErrorReason.ValueType", known.number if known else 0)


def failed_event_message(failed: FailedEvent, payload_bytes: int = 0) -> ingest_pb2.FailedEvent:
    """A failed event for the wire, with at most so many bytes of its payload; 0 for all."""
    told = _beginning(failed.payload, payload_bytes) if payload_bytes else failed.payload
    message = ingest_pb2.FailedEvent(
        id=failed.id,
        reason=_reason(failed.reason),
        detail=failed.detail,
        event_id=failed.event_id,
        user_id=failed.user_id,
        payload=told.decode(errors="replace"),
        is_payload_cut=len(told) < len(failed.payload),
        trace_id=failed.trace_id.hex(),
        stage=failed.stage,
        is_kept_whole=bool(failed.record),
    )
    message.failed_time.FromMicroseconds(failed.failed_time_us)
    return message


def _beginning(payload: bytes, most: int) -> bytes:
    """The beginning of a text in UTF-8, without a character that would be cut."""
    for end in range(min(most, len(payload)), max(0, most - 4), -1):
        if end == len(payload) or payload[end] & 0xC0 != 0x80:
            return payload[:end]
    return payload[:most]


def whole(failed: FailedEvent) -> event_pb2.Event:
    """A failed event as it was when it was accepted.

    Raises:
        InvalidArgument: `MISSING_FIELD`, it is not kept whole.
    """
    if not failed.record:
        raise InvalidArgument("MISSING_FIELD", "The event is not kept whole: `event` is missing.")
    return event_pb2.Event.FromString(failed.record)


def unreadable(one: ingest_pb2.UnreadableEvent, now_us: int) -> FailedEvent:
    """What the gateway could not read, as a failed event. A time of receipt that cannot be counts as now."""
    received_us, event_id = one.received_time_us, told_id(one.event_id)
    return FailedEvent(
        refused_event_id(event_id, one.payload),
        reason_name(one.reason),
        one.detail,
        received_us if EARLIEST_TIME_US <= received_us <= now_us + FUTURE_US else now_us,
        event_id,
        one.user_id,
        one.payload,
        one.trace_id,
        "gateway",
    )


def refused(event: event_pb2.Event, rejection: Rejection, now_us: int) -> FailedEvent:
    """What ingest refused, as a failed event; ids longer than any may be are left out, what is larger is cut."""
    payload, event_id = event_json(event)[:_REFUSED_BYTES], told_id(event.event_id)
    return FailedEvent(
        refused_event_id(event_id, payload),
        rejection.reason,
        rejection.detail,
        now_us,
        event_id,
        event.user_id if len(event.user_id) <= ID_LENGTH else "",
        payload,
        event.trace_id,
        "ingest",
    )


def rejection_message(index: int, rejection: Rejection) -> ingest_pb2.Rejection:
    """Why an event was refused, for the wire."""
    return ingest_pb2.Rejection(event_index=index, reason=_reason(rejection.reason), detail=rejection.detail)


def warning_messages(notes: Mapping[int, Sequence[Note]]) -> Iterator[ingest_pb2.Warning]:
    """What was cleaned or left out of events, for the wire, ascending by index."""
    for index in sorted(notes):
        for note in notes[index]:
            yield ingest_pb2.Warning(event_index=index, member=note.member, detail=note.detail)


def receipt_message(event_id: str, told: Receipt) -> ingest_pb2.Receipt:
    """A receipt for the wire."""
    receipt = ingest_pb2.Receipt(event_id=event_id, duplicate_count=told.duplicate_count)
    if told.seen is not None:
        place = told.seen.place
        receipt.state = ingest_pb2.RECEIPT_STATE_APPLIED if told.is_applied else ingest_pb2.RECEIPT_STATE_BUFFERED
        receipt.received_time.FromMicroseconds(told.seen.received_time_us)
        receipt.trace_id = told.seen.trace_id.hex()
        receipt.position.CopyFrom(
            position_pb2.EventPosition(shard=place.shard, sequence=str(place.sequence), event_index=place.event_index)
        )
    if told.applied_time_us is not None:
        receipt.applied_time.FromMicroseconds(told.applied_time_us)
    if told.failed is not None:
        receipt.state = ingest_pb2.RECEIPT_STATE_FAILED
        receipt.failed_event_id = told.failed.id
        receipt.reason = _reason(told.failed.reason)
        receipt.trace_id = told.failed.trace_id.hex()
        if told.seen is None:
            receipt.received_time.FromMicroseconds(told.failed.failed_time_us)
    return receipt


def standing_message(told: ShardStanding) -> ingest_pb2.ShardStanding:
    """How far a reader has come, for the wire."""
    standing = told.standing
    return ingest_pb2.ShardStanding(
        reader=told.reader,
        shard=told.shard,
        owner=standing.owner,
        lease_epoch=standing.epoch,
        checkpoint="" if standing.checkpoint in {BEGINNING, END} else str(standing.checkpoint),
        is_ended=standing.checkpoint == END,
        lag_seconds=standing.lag_seconds,
        trouble=standing.trouble,
    )


def covered(record: intervention_pb2.LedgerRecord) -> Sequence[int]:
    """The events of a record that led to decisions, by their index; ascending."""
    return record.covered_event_indexes or record.event_indexes


@dataclasses.dataclass(frozen=True)
class Rows:
    """The events of a batch that are applied, column by column, and where each stands."""

    table: Table
    record_indexes: Sequence[int]
    event_indexes: Sequence[int]

    @functools.cached_property
    def events(self) -> Sequence[event_pb2.Event]:
        """The events one by one, made when they are first asked for."""
        return self.table.events()


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A record with its events; without any, and with its payload, where it does not decode."""

    sequence: int
    table: Table
    broken: bytes | None = None
    users: frozenset[str] | None = None
    """Whose events count here; everybody's where none are named."""
    told: Sequence[event_pb2.Event] = ()
    """The events as the version before wrote them; none where it was a table."""
    is_newer: bool = False
    """Whether a newer version has written more than the table tells."""
    held: event_table_pb2.EventTable | None = None
    """The table as it stands on the stream, where it does."""
    byte_count: int = 0

    @functools.cached_property
    def message(self) -> event_table_pb2.EventTable:
        """The table as it is handed on, with what only a newer version understands."""
        return wire.encoded(self.table) if self.held is None else self.held


def decoded(record: Record) -> Decoded:
    """A record with its events; broken where nothing of the mesh's own could have written it.

    Raises:
        VersionMismatch: it is of a form that only a newer version knows.
    """
    try:
        held = event_table_pb2.StreamRecord.FromString(record.payload)
        if held.format_version > _FORMAT_VERSION:
            raise VersionMismatch("A record is of a form that only a newer version knows.")
        told = [*held.events]
        rows = wire.decoded(held.table) if held.HasField("table") else table.of_events(told)
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
        told=told,
        is_newer=bool(UnknownFieldSet(held)) or bool(UnknownFieldSet(held.table)),
        held=None if told else held.table,
        byte_count=len(record.payload),
    )


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


def origins(told: Table) -> list[tuple[bytes, bytes]]:
    """The recorded traces and spans that brought the events, each once, at most 64."""
    if not told.has("span_id"):
        return []
    pairs = dict.fromkeys(zip(told.trace_id, told.span_id, strict=True))
    return [(trace_id, span_id) for trace_id, span_id in pairs if span_id][:_LINKS_MOST]


def cut(records: Iterable[Decoded], max_events: int) -> Iterator[list[Decoded]]:
    """Batches of whole records: at most `max_events` and 4 MiB, but at least one record.

    An anonymous journey that ends in a batch does not go on in it: what moves is what stands there behind the batch.

    Raises:
        VersionMismatch: a record is of a form that only a newer version knows; what stands before it is told first.
    """
    batch: list[Decoded] = []
    ended: set[str] = set()
    events = size = 0
    try:
        for record in records:
            told = record.table
            is_full = events + len(told) > max_events or size + record.byte_count > _BATCH_BYTES
            if batch and (is_full or (ended and not ended.isdisjoint(told.user_id))):
                yield batch
                batch, events, size = [], 0, 0
                ended.clear()
            batch.append(record)
            events += len(told)
            size += record.byte_count
            if told.has("linked_user_id"):
                ended.update(user for user, linked in zip(told.user_id, told.linked_user_id, strict=True) if linked)
    except VersionMismatch:
        yield from filter(None, [batch])
        raise
    yield from filter(None, [batch])
