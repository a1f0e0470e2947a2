"""Between ingest's words and the messages of its API."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from journeymesh.common.v1 import error_reason_pb2, event_pb2, event_table_pb2, position_pb2
from journeymesh.ingest.v1 import ingest_pb2

from mesh.errors import InvalidArgument
from mesh.stream.port import BEGINNING, END
from records import table, wire
from records.table import Table
from records.tenants import beside, plain
from services.ingest.accept.domain.acceptance import TRACE_ID_BYTES
from services.ingest.accept.domain.tidying import ID_LENGTH, Note
from services.ingest.accept.domain.validation import (
    EARLIEST_TIME_US,
    EVENT_ID_LENGTH,
    FUTURE_US,
    Rejection,
    findable_id,
)
from services.ingest.accept.ports import ShardStanding
from services.ingest.accept.usecases import Receipt
from services.ingest.events.domain.event import FailedEvent, refused_event_id
from services.ingest.events.translation.event_json import event_json

# The largest properties that are accepted, and the other members.
_REFUSED_BYTES: Final = 40 * 1024
_EVENTS_MOST: Final = 5_000
_UNREADABLE_MOST: Final = 1_000
_UNREADABLE_BYTES: Final = 4 * 1024 * 1024
_PAYLOAD_BYTES: Final = 32 * 1024
_DETAIL_LENGTH: Final = 1_000
# The gateway joins requests up to half of it.
_REQUEST_BYTES: Final = 8 * 1024 * 1024


def accepted_table(request: ingest_pb2.AcceptEventsRequest) -> Table:
    """The events of a request as one table; the previous version of the gateway sends them one by one.

    Raises:
        InvalidArgument: `MALFORMED_MESSAGE`, a table cannot be read; `REQUEST_TOO_LARGE`, there are too many events, or
            they are too large.
    """
    event_count = len(request.events) + sum(each.row_count for each in request.tables)
    if event_count > _EVENTS_MOST or request.ByteSize() > _REQUEST_BYTES:
        most = f"{_EVENTS_MOST} events and {_REQUEST_BYTES // 1024 // 1024} MiB"
        raise InvalidArgument("REQUEST_TOO_LARGE", f"A request holds at most {most}.")
    try:
        tables = [_read(message) for message in request.tables]
    except wire.UnreadableTableError:
        raise InvalidArgument("MALFORMED_MESSAGE", "A table of events cannot be read.") from None
    if request.events:
        tables.insert(0, table.of_events(request.events))
    return table.joined(tables) if tables else Table(0, {})


def _read(message: event_table_pb2.EventTable) -> Table:
    read = wire.decoded(message)
    if wire.says_too_much(message, read):
        raise InvalidArgument("REQUEST_TOO_LARGE", "The events of a table hold at most 64 MiB.")
    return read


def reason_name(reason: int) -> str:
    """The reason's stable name; a number this version does not know is `UNSPECIFIED`."""
    if reason not in error_reason_pb2.ErrorReason.values():
        return "UNSPECIFIED"
    return error_reason_pb2.ErrorReason.Name(reason).removeprefix("ERROR_REASON_")  # type: ignore[arg-type]


def _reason(name: str) -> error_reason_pb2.ErrorReason.ValueType:
    """The reason of a name; unspecified for one that only a newer version knows."""
    known = error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name.get(f"ERROR_REASON_{name}")
    return cast("error_reason_pb2.ErrorReason.ValueType", known.number if known else 0)


def failed_event_message(failed: FailedEvent, payload_bytes: int = 0) -> ingest_pb2.FailedEvent:
    """A failed event for the wire, with at most so many bytes of its payload; 0 for all."""
    payload = _beginning(failed.payload, payload_bytes) if payload_bytes else failed.payload
    message = ingest_pb2.FailedEvent(
        id=failed.id,
        reason=_reason(failed.reason),
        detail=failed.detail,
        event_id=failed.event_id,
        user_id=failed.user_id,
        payload=payload.decode(errors="replace"),
        is_payload_cut=len(payload) < len(failed.payload),
        trace_id=failed.trace_id.hex(),
        stage=failed.stage,
        is_kept_whole=bool(failed.record),
    )
    message.failed_time.FromMicroseconds(failed.failed_time_us)
    return message


def _beginning(payload: bytes, most: int) -> bytes:
    """The first `most` bytes of a UTF-8 text, without cutting a character."""
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


def require_few(unreadable: Sequence[ingest_pb2.UnreadableEvent]) -> None:
    """Returns if what could not be read may be kept: it costs the store as much as what could.

    Raises:
        InvalidArgument: `REQUEST_TOO_LARGE`.
    """
    are_few = len(unreadable) <= _UNREADABLE_MOST and sum(one.ByteSize() for one in unreadable) <= _UNREADABLE_BYTES
    if not are_few or not all(map(_is_short, unreadable)):
        raise InvalidArgument(
            "REQUEST_TOO_LARGE",
            f"A request holds at most {_UNREADABLE_MOST} unreadable events of {_PAYLOAD_BYTES // 1024} KiB.",
        )


def _is_short(one: ingest_pb2.UnreadableEvent) -> bool:
    return (
        len(one.payload) <= _PAYLOAD_BYTES
        and len(one.detail) <= _DETAIL_LENGTH
        and len(plain(one.event_id)) <= EVENT_ID_LENGTH
        and len(plain(one.user_id)) <= ID_LENGTH
        and len(one.trace_id) in {0, TRACE_ID_BYTES}
    )


def unreadable(one: ingest_pb2.UnreadableEvent, payload: bytes, now_us: int) -> FailedEvent:
    """What the gateway could not read, as a failed event with a masked payload.

    An impossible time of receipt counts as now.
    """
    received_us, event_id = one.received_time_us, findable_id(one.event_id)
    return FailedEvent(
        refused_event_id(event_id, payload),
        reason_name(one.reason),
        one.detail,
        received_us if EARLIEST_TIME_US <= received_us <= now_us + FUTURE_US else now_us,
        event_id,
        one.user_id,
        payload,
        one.trace_id,
        "gateway",
    )


def refused(event: event_pb2.Event, rejection: Rejection, now_us: int) -> FailedEvent:
    """What ingest refused, as a failed event; ids that are too long are left out, too large a payload is cut."""
    payload, event_id = event_json(event)[:_REFUSED_BYTES], findable_id(event.event_id)
    return FailedEvent(
        refused_event_id(event_id, payload),
        rejection.reason,
        rejection.detail,
        now_us,
        event_id,
        event.user_id if len(plain(event.user_id)) <= ID_LENGTH else beside(event.user_id, ""),
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


def receipt_message(event_id: str, known: Receipt) -> ingest_pb2.Receipt:
    """A receipt for the wire."""
    receipt = ingest_pb2.Receipt(event_id=event_id, duplicate_count=known.duplicate_count)
    if known.seen is not None:
        position = known.seen.position
        receipt.state = ingest_pb2.RECEIPT_STATE_APPLIED if known.is_applied else ingest_pb2.RECEIPT_STATE_BUFFERED
        receipt.received_time.FromMicroseconds(known.seen.received_time_us)
        receipt.trace_id = known.seen.trace_id.hex()
        receipt.position.CopyFrom(
            position_pb2.EventPosition(
                shard=position.shard, sequence=str(position.sequence), event_index=position.event_index
            )
        )
    if known.applied_time_us is not None:
        receipt.applied_time.FromMicroseconds(known.applied_time_us)
    if known.failed is not None:
        receipt.state = ingest_pb2.RECEIPT_STATE_FAILED
        receipt.failed_event_id = known.failed.id
        receipt.reason = _reason(known.failed.reason)
        receipt.trace_id = known.failed.trace_id.hex()
        if known.seen is None:
            receipt.received_time.FromMicroseconds(known.failed.failed_time_us)
    return receipt


def standing_message(of_shard: ShardStanding) -> ingest_pb2.ShardStanding:
    """How far a consumer has come, for the wire."""
    standing = of_shard.standing
    return ingest_pb2.ShardStanding(
        reader=of_shard.consumer,
        shard=of_shard.shard,
        owner=standing.owner,
        lease_epoch=standing.epoch,
        checkpoint="" if standing.checkpoint in {BEGINNING, END} else str(standing.checkpoint),
        is_ended=standing.checkpoint == END,
        lag_seconds=standing.lag_seconds,
        trouble=standing.trouble,
    )
