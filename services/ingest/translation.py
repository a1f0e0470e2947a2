"""Between ingest's words and the wire's."""

import datetime as dt
from typing import Final

import msgspec
from google.protobuf.descriptor import EnumDescriptor
from journeymesh.common.v1 import error_reason_pb2, event_pb2
from journeymesh.ingest.v1 import ingest_pb2

from services.ingest.domain.event import FailedEvent

_TYPE_PREFIX: Final = len("EVENT_TYPE_")
_PLATFORM_PREFIX: Final = len("PLATFORM_")
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
