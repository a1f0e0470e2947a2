"""Between ingest's words and the wire's."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, cast

import msgspec
from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import DecodeError
from journeymesh.common.v1 import error_reason_pb2, event_pb2, position_pb2
from journeymesh.ingest.v1 import ingest_pb2

from mesh.errors import InvalidArgument, VersionMismatch
from mesh.stream import BEGINNING, END, Record
from services.ingest.domain.event import FailedEvent, refused_event_id
from services.ingest.domain.tidying import ID_LENGTH, Note
from services.ingest.domain.validation import EARLIEST_TIME_US, FUTURE_US, Rejection, told_id
from services.ingest.ports import ShardStanding
from services.ingest.usecases import Receipt

_TYPE_PREFIX: Final = len("EVENT_TYPE_")
_PLATFORM_PREFIX: Final = len("PLATFORM_")
_UNSPECIFIED: Final = len("UNSPECIFIED")
_BATCH_BYTES: Final = 4 * 1024 * 1024
_LINKS_MOST: Final = 64
# What may be taken as properties, and what stands beside them.
_REFUSED_BYTES: Final = 40 * 1024
# A record of the most bytes holds fewer; a place in a record has two bytes.
_EVENTS_MOST: Final = 32_000
# Of a record on the stream.
_LAST_FORM: Final = 0
# In the year 2255: up to here times are exact as a number of JSON.
_LATEST_US: Final = 1 << 53
_TARGET_NAMES: Final = frozenset({"target", "feature", "element", "form", "field", "task", "topic"})
_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


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


def event_json(event: event_pb2.Event) -> bytes:
    """The event as a client would send it: what `POST /api/events/track` takes, so that it can be mended and sent.

    Without `sentAt`: it was sent long before it will be sent again.
    """
    members: dict[str, object] = {"eventId": event.event_id, "userId": event.user_id}
    optional = {"anonymousId": event.anonymous_id, "sessionId": event.session_id}
    members |= {name: value for name, value in optional.items() if value}
    if event.event_type:
        members["eventType"] = _enum(event_pb2.EventType.DESCRIPTOR, event.event_type, _TYPE_PREFIX)
    members["timestamp"] = _time(event.event_time_us)
    properties = _properties(event)
    if properties:
        members["properties"] = msgspec.Raw(properties)
    context: dict[str, object] = {
        "platform": _enum(event_pb2.Platform.DESCRIPTOR, event.platform, _PLATFORM_PREFIX) if event.platform else "",
        "deviceId": event.device_id,
        "timeZone": event.time_zone,
        "userAgent": event.user_agent,
        "correlationId": event.correlation_id,
        "automated": event.is_automated,
    }
    told = {name: value for name, value in context.items() if value}
    members["context"] = {**told, "active": False} if event.is_system else told
    return msgspec.json.encode(members)


def _properties(event: event_pb2.Event) -> bytes:
    """The properties as they were sent, with the typed members that were told by other names or none."""
    try:
        given = _decode_members(event.properties) if event.properties else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return event.properties  # no JSON: only the mesh's own callers can send it
    common: dict[str, object] = {
        "page": event.address or event.page,
        "target": event.target if not _TARGET_NAMES & given.keys() else "",
        "attempts": event.attempt_count,
        "errorCode": event.error_code,
        "isRefresh": event.is_refresh,
    }
    typed = {name: value for name, value in common.items() if value}
    which = event.WhichOneof("detail")
    for field, value in getattr(event, which).ListFields() if which else ():
        kind = field.enum_type
        typed[field.json_name] = (
            _enum(kind, value, len(kind.values_by_number[0].name) - _UNSPECIFIED) if kind else value
        )
    missing = {name: value for name, value in typed.items() if name not in given}
    return msgspec.json.encode(given | missing) if missing else event.properties


def _enum(descriptor: EnumDescriptor, value: int, prefix: int) -> str:
    known = descriptor.values_by_number.get(value)
    return known.name[prefix:].lower() if known else str(value)


def _time(time_us: int) -> object:
    try:
        return (_EPOCH + dt.timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return time_us


class Rows(NamedTuple):
    """The events of a batch that are applied, and where each stands; parallel lists."""

    events: list[event_pb2.Event]
    record_indexes: list[int]
    event_indexes: list[int]


class Decoded(NamedTuple):
    """A record with its events; without any, and with its payload, where it does not decode."""

    sequence: int
    events: Sequence[event_pb2.Event]
    broken: bytes | None = None
    users: frozenset[str] | None = None
    """Whose events count here; everybody's where none are named."""


def decoded(record: Record) -> Decoded:
    """A record with its events; broken where nothing of the mesh's own could have written it.

    Raises:
        VersionMismatch: it is of a form that only a newer version knows.
    """
    try:
        message = event_pb2.EventRecord.FromString(record.payload)
    except DecodeError:
        message = event_pb2.EventRecord()
    if message.form > _LAST_FORM:
        raise VersionMismatch("A record is of a form that only a newer version knows.")
    # A list: each event is asked for several times, and the message would make it anew each time.
    events = list(message.events)
    times_us = [event.received_time_us for event in events]
    if not 0 < len(events) <= _EVENTS_MOST or min(times_us) < 0 or max(times_us) > _LATEST_US:
        return Decoded(record.sequence, (), record.payload)
    return Decoded(record.sequence, events)


def origins(events: Iterable[event_pb2.Event]) -> list[tuple[bytes, bytes]]:
    """The recorded traces and spans that brought the events, each once, at most 64."""
    return list(dict.fromkeys((event.trace_id, event.span_id) for event in events if event.span_id))[:_LINKS_MOST]


def cut(records: Iterable[Decoded], max_events: int) -> Iterator[list[Decoded]]:
    """Batches of whole records: at most `max_events` and 4 MiB, but at least one record.

    An anonymous journey that ends in a batch does not go on in it: what moves is what stands there behind the batch.
    """
    batch: list[Decoded] = []
    ended: set[str] = set()
    events = size = 0
    for record in records:
        record_size = sum(event.ByteSize() for event in record.events)
        is_full = events + len(record.events) > max_events or size + record_size > _BATCH_BYTES
        if batch and (is_full or (ended and not ended.isdisjoint(event.user_id for event in record.events))):
            yield batch
            batch, events, size = [], 0, 0
            ended.clear()
        batch.append(record)
        events += len(record.events)
        size += record_size
        ended.update(event.user_id for event in record.events if event.linked_user_id)
    if batch:
        yield batch
