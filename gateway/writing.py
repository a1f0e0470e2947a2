"""One event from the contract's `Event` to the JSON a client would send, with what was stamped on it."""

import datetime as dt
from typing import Final

import msgspec
from journeymesh.common.v1.event_pb2 import Event, Outcome

from gateway import schema

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def write_event(event: Event) -> dict[str, object]:
    """The event as a client sends it, with what was stamped on it."""
    context = {
        "platform": _name(schema.PLATFORMS, event.platform),
        "deviceId": event.device_id,
        "timeZone": event.time_zone,
        "userAgent": event.user_agent,
        "correlationId": event.correlation_id,
        "automated": event.is_automated,
    }
    told = {name: value for name, value in context.items() if value}
    if event.is_system:
        told["active"] = False
    written = {
        "eventId": event.event_id,
        "userId": event.user_id,
        "anonymousId": event.anonymous_id,
        "sessionId": event.session_id,
        "eventType": _name(schema.EVENT_TYPES, event.event_type),
        "timestamp": _time(event.event_time_us),
        "clientTimestamp": _time(event.client_time_us) if event.client_time_us else "",
        "sentAt": _time(event.sent_time_us) if event.sent_time_us else "",
        "properties": msgspec.Raw(event.properties) if event.properties else _typed_properties(event),
        "context": told,
        "receivedTime": _time(event.received_time_us) if event.received_time_us else "",
        "sessionStart": _time(event.session_start_us) if event.session_start_us else "",
        "deviceClass": _name(schema.DEVICE_CLASSES, event.device_class),
        "botEvidence": event.bot_evidence,
        "linkedUserId": event.linked_user_id,
        "copiedEventId": event.copied_event_id,
    }
    return {**{name: value for name, value in written.items() if value != ""}, "isBot": event.is_bot}


def _typed_properties(event: Event) -> dict[str, object]:
    """What an event without the bytes of its properties still tells of them."""
    common: dict[str, object] = {
        "page": event.page,
        "target": event.target,
        "attempts": event.attempt_count,
        "errorCode": event.error_code,
        "isRefresh": event.is_refresh,
    }
    told = {name: value for name, value in common.items() if value}
    which = event.WhichOneof("detail")
    if which:
        told |= {field.json_name: value for field, value in getattr(event, which).ListFields()}
    if "action" in told:
        told["action"] = _name(schema.ACTIONS, event.playback.action)
    if "outcome" in told:
        told["outcome"] = schema.words(Outcome.DESCRIPTOR).get(event.outcome.outcome)
    return told


def _name(known: dict[str, int], number: int) -> str:
    return next((name for name, value in known.items() if value == number), "")


def _time(microseconds: int) -> str:
    time = _EPOCH + dt.timedelta(microseconds=microseconds)
    return time.isoformat().replace("+00:00", "Z")
