"""Between ingest's words and the wire's."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
from google.protobuf.descriptor import EnumDescriptor
from journeymesh.common.v1 import error_reason_pb2, event_pb2, position_pb2
from journeymesh.ingest.v1 import ingest_pb2
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.scoring.v1 import scoring_pb2

from services.ingest.domain.event import FailedEvent

_TYPE_PREFIX: Final = len("EVENT_TYPE_")
_PLATFORM_PREFIX: Final = len("PLATFORM_")
_BATCH_BYTES: Final = 4 * 1024 * 1024
_LINKS_MOST: Final = 64
_OUTCOME: Final = event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def reason_name(reason: int) -> str:
    """The reason's stable name; a number this version does not know is `UNSPECIFIED`."""
    if reason not in error_reason_pb2.ErrorReason.values():
        return "UNSPECIFIED"
    return error_reason_pb2.ErrorReason.Name(reason).removeprefix("ERROR_REASON_")  # type: ignore[arg-type]


def failed_event_message(failed: FailedEvent) -> ingest_pb2.FailedEvent:
    """A failed event for the wire."""
    message = ingest_pb2.FailedEvent(
        id=failed.id,
        reason=error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{failed.reason}"),
        detail=failed.detail,
        event_id=failed.event_id,
        user_id=failed.user_id,
        payload=failed.payload.decode(errors="replace"),
        trace_id=failed.trace_id.hex(),
        stage=failed.stage,
    )
    message.failed_time.FromMicroseconds(failed.failed_time_us)
    return message


def event_json(event: event_pb2.Event) -> bytes:
    """The event as a client would send it: what `POST /api/events/track` takes, so that it can be mended and sent."""
    members: dict[str, object] = {"eventId": event.event_id, "userId": event.user_id}
    optional = {"anonymousId": event.anonymous_id, "sessionId": event.session_id}
    members |= {name: value for name, value in optional.items() if value}
    if event.event_type:
        members["eventType"] = _enum(event_pb2.EventType.DESCRIPTOR, event.event_type, _TYPE_PREFIX)
    members["timestamp"] = _time(event.event_time_us)
    if event.sent_time_us:
        members["sentAt"] = _time(event.sent_time_us)
    if event.properties:
        members["properties"] = msgspec.Raw(event.properties)
    context = {
        "platform": _enum(event_pb2.Platform.DESCRIPTOR, event.platform, _PLATFORM_PREFIX) if event.platform else "",
        "deviceId": event.device_id,
        "timeZone": event.time_zone,
        "userAgent": event.user_agent,
        "correlationId": event.correlation_id,
    }
    members["context"] = {name: value for name, value in context.items() if value}
    return msgspec.json.encode(members)


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
    """A record with its events."""

    sequence: int
    events: Sequence[event_pb2.Event]


def origins(events: Iterable[event_pb2.Event]) -> list[tuple[bytes, bytes]]:
    """The traces and spans that brought the events, each once, at most 64."""
    return list(dict.fromkeys((event.trace_id, event.span_id) for event in events))[:_LINKS_MOST]


def decide_request(
    position: position_pb2.BatchPosition, rows: Rows, assessed: scoring_pb2.AssessUsersResponse
) -> intervention_pb2.DecideInterventionsRequest:
    """What intervention is asked about a batch once it is assessed."""
    events = rows.events
    return intervention_pb2.DecideInterventionsRequest(
        position=position,
        record_indexes=rows.record_indexes,
        event_indexes=rows.event_indexes,
        user_ids=[event.user_id for event in events],
        event_ids=[event.event_id for event in events],
        received_times_us=[event.received_time_us for event in events],
        trace_ids=[event.trace_id for event in events],
        span_ids=[event.span_id for event in events],
        pages=[event.page for event in events],
        assessments=assessed.assessments,
        model_version=assessed.model_version,
        rules_version=assessed.rules_version,
        outcomes=[
            intervention_pb2.OutcomeRow(row=row, outcome=event.outcome)
            for row, event in enumerate(events)
            if event.event_type == _OUTCOME
        ],
        time_zones=[event.time_zone for event in events],
        bot_rows=[row for row, event in enumerate(events) if event.is_bot],
    )


def cut(records: Sequence[Decoded], max_events: int) -> Iterator[list[Decoded]]:
    """Batches of whole records: at most `max_events` and 4 MiB, but at least one record."""
    batch: list[Decoded] = []
    events = size = 0
    for record in records:
        record_size = sum(event.ByteSize() for event in record.events)
        if batch and (events + len(record.events) > max_events or size + record_size > _BATCH_BYTES):
            yield batch
            batch, events, size = [], 0, 0
        batch.append(record)
        events += len(record.events)
        size += record_size
    if batch:
        yield batch
