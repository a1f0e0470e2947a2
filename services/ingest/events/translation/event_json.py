"""Events as JSON, as a client sends them."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

import msgspec
from google.protobuf.descriptor import EnumDescriptor
from journeymesh.common.v1 import event_pb2

from records.tenants import plain

_TYPE_PREFIX: Final = len("EVENT_TYPE_")
_PLATFORM_PREFIX: Final = len("PLATFORM_")
_UNSPECIFIED: Final = len("UNSPECIFIED")
_TARGET_NAMES: Final = frozenset({"target", "feature", "element", "form", "field", "task", "topic"})
_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def event_json(event: event_pb2.Event) -> bytes:
    """The event as a client would send it: what `POST /api/events/track` takes, so that it can be mended and sent.

    Without `sentAt`: it was sent long before it will be sent again. Without its tenant: that follows from who sends it.
    """
    members: dict[str, object] = {"eventId": plain(event.event_id), "userId": plain(event.user_id)}
    optional = {"anonymousId": plain(event.anonymous_id), "sessionId": event.session_id}
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
    members_sent = {name: value for name, value in context.items() if value}
    members["context"] = {**members_sent, "active": False} if event.is_system else members_sent
    return msgspec.json.encode(members)


def _properties(event: event_pb2.Event) -> bytes:
    """The properties as they were sent, with the typed members that clients sent under other names or not at all."""
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
            _enum(kind, value, len(kind.values_by_number[0].name) - _UNSPECIFIED) if kind else _plain_value(value)
        )
    missing = {name: value for name, value in typed.items() if name not in given}
    return msgspec.json.encode(given | missing) if missing else event.properties


def _plain_value(value: object) -> object:
    if isinstance(value, Sequence) and not isinstance(value, str):  # the lines of an order
        return [{field.json_name: each for field, each in line.ListFields()} for line in value]
    return plain(value) if isinstance(value, str) else value


def _enum(descriptor: EnumDescriptor, value: int, prefix: int) -> str:
    known = descriptor.values_by_number.get(value)
    return known.name[prefix:].lower() if known else str(value)


def _time(time_us: int) -> object:
    try:
        return (_EPOCH + dt.timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return time_us
