"""One event, from the JSON a client sends to the contract's `Event` and back.

Here are syntax, types, sizes and what the contract cannot hold. What a kind of event needs, and which ranges hold,
ingest decides.
"""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
from google.protobuf.message import Message
from journeymesh.common.v1.event_pb2 import Click, Event, InterventionOutcome, Playback, Purchase

from gateway import schema
from gateway.refusal import MAX_DEPTH, refusal, too_deep
from gateway.schema import ClickProperties, OutcomeProperties, PlaybackProperties, Properties, PurchaseProperties
from mesh.errors import InvalidArgument

MAX_EVENT_BYTES: Final = 32 * 1024

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MAX_UINT32: Final = 2**32 - 1

_EVENT_TYPES: Final = schema.EVENT_TYPES
_IDENTIFY: Final = schema.EVENT_TYPES["identify"]
_ABSENT: Final = (b"", b"null")
_NO_PROPERTIES: Final = Properties()

_decode: Final = msgspec.json.Decoder(schema.ClientEvent).decode
_decode_properties: Final = msgspec.json.Decoder(Properties).decode
_decode_properties_of: Final[dict[int, Callable[[bytes], Properties]]] = {
    event_type: msgspec.json.Decoder(kind).decode for event_type, kind in schema.PROPERTIES_OF.items()
}
_STRINGS_AND_BRACKETS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


class Stamp(NamedTuple):
    """What the gateway knows of every event of a request: Unix microseconds, 16 and 8 bytes (none: not recorded)."""

    received_us: int
    trace_id: bytes
    span_id: bytes


Read = Callable[[bytes | msgspec.Raw, Callable[..., object], Stamp, Callable[[], str]], str]
"""Reads one event and gives it to the second argument as the members of an `Event`; returns its id."""


def read_event(raw: bytes | msgspec.Raw, add: Callable[..., object], stamp: Stamp, make_id: Callable[[], str]) -> str:
    """Reads one event and gives it to `add` as the members of an `Event`; returns its id.

    Raises:
        InvalidArgument: the JSON is none of an event; then nothing was added.
    """
    if len(raw) > MAX_EVENT_BYTES:
        raise InvalidArgument("EVENT_TOO_LARGE", f"An event may have {MAX_EVENT_BYTES // 1024} KiB.")
    try:
        event = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal(error, raw, "$") from None
    event_type = _EVENT_TYPES.get(event.event_type or "")
    if event_type is None:
        raise _unknown_event_type(event.event_type)
    written = bytes(event.properties)
    if written in _ABSENT:
        written, properties = b"", _NO_PROPERTIES
    else:
        properties = read_properties(written, event_type)
    return put(event, event_type, properties, written, add, stamp, make_id)


def put(
    event: schema.ClientEvent,
    event_type: int,
    properties: Properties,
    written: bytes,
    add: Callable[..., object],
    stamp: Stamp,
    make_id: Callable[[], str],
) -> str:
    """Gives an event that was read to `add`, its properties typed and as they are kept; returns its id.

    Raises:
        InvalidArgument: a word is none of those there are, or a member is missing; then nothing was added.
    """
    if event_type == _IDENTIFY and not event.user_id:
        raise InvalidArgument("MISSING_FIELD", "An identify needs `userId`.")
    event_id = event.event_id or make_id()
    # Every member given costs a tenth of a microsecond, so those that are mostly absent are given only if present.
    rare = _rare(event, properties)
    if event_type in _decode_properties_of:
        rare.update(_detail(properties))
    add(
        event_id=event_id,
        user_id=event.user_id or event.anonymous_id,
        session_id=event.session_id,
        event_type=event_type,
        event_time_us=stamp.received_us if event.timestamp is None else _microseconds(event.timestamp),
        page=properties.page,
        target=(
            properties.target
            or properties.feature
            or properties.element
            or properties.form
            or properties.field
            or properties.task
            or properties.topic
        ),
        properties=written,
        received_time_us=stamp.received_us,
        trace_id=stamp.trace_id,
        span_id=stamp.span_id,
        **rare,
    )
    return event_id


def _rare(event: schema.ClientEvent, properties: Properties) -> dict[str, Any]:
    rare = {} if event.context is None else _context(event.context)
    if event.anonymous_id:
        rare["anonymous_id"] = event.anonymous_id
    if event.sent_at:
        rare["sent_time_us"] = _microseconds(event.sent_at)
    if properties.attempts:
        rare["attempt_count"] = _attempts(properties.attempts)
    if properties.error_code:
        rare["error_code"] = properties.error_code
    if properties.is_refresh:
        rare["is_refresh"] = True
    return rare


def _context(context: schema.Context) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if context.platform:
        told["platform"] = _number(schema.PLATFORMS, context.platform, "context.platform")
    if context.time_zone:
        told["time_zone"] = context.time_zone
    if context.device_id:
        told["device_id"] = context.device_id
    if context.user_agent:
        told["user_agent"] = context.user_agent
    if context.correlation_id:
        told["correlation_id"] = context.correlation_id
    if context.automated:
        told["is_automated"] = True
    return told


def _attempts(attempts: int) -> int:
    if not 0 < attempts <= _MAX_UINT32:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`attempts` must be from 0 to {_MAX_UINT32}.")
    return attempts


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
        "context": {name: value for name, value in context.items() if value},
        "receivedTime": _time(event.received_time_us) if event.received_time_us else "",
        "sessionStart": _time(event.session_start_us) if event.session_start_us else "",
        "deviceClass": _name(schema.DEVICE_CLASSES, event.device_class),
        "botEvidence": event.bot_evidence,
        "linkedUserId": event.linked_user_id,
        "copiedEventId": event.copied_event_id,
    }
    return {**{name: value for name, value in written.items() if value != ""}, "isBot": event.is_bot}


def read_properties(written: bytes, event_type: int) -> Properties:
    """The `properties` of an event, typed by its kind.

    Raises:
        InvalidArgument: they are none.
    """
    require_plain(written)
    try:
        return _decode_properties_of.get(event_type, _decode_properties)(written)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal(error, written, "$.properties") from None


def require_plain(written: bytes) -> None:
    """Returns if the object does not nest too deep and is UTF-8 also where a decoder skips it.

    Raises:
        InvalidArgument: `INVALID_TYPE` or `MALFORMED_JSON`.
    """
    # Counting brackets is cheap; only where there are many is it worth telling depth from breadth.
    if written.count(b"{") + written.count(b"[") > MAX_DEPTH and _depth(written) > MAX_DEPTH:
        raise too_deep()
    if not written.isascii():
        try:
            written.decode()
        except UnicodeDecodeError as error:
            raise refusal(error, written, "$.properties") from None


def _detail(properties: Properties) -> dict[str, Any]:
    match properties:
        case ClickProperties():
            click = _members(properties, Click)
            is_told = any(value is not None for value in click.values())
            return {"click": Click(**click)} if is_told else {}
        case PlaybackProperties():
            playback = _members(properties, Playback)
            playback["action"] = _number(schema.ACTIONS, properties.action, "properties.action")
            return {"playback": Playback(**playback)}
        case OutcomeProperties():
            outcome = _members(properties, InterventionOutcome)
            outcome["outcome"] = _number(schema.OUTCOMES, properties.outcome, "properties.outcome")
            return {"outcome": InterventionOutcome(**outcome)}
        case PurchaseProperties():
            return {"purchase": Purchase(**_members(properties, Purchase))}
    return {}


def _members(properties: Properties, kind: type[Message]) -> dict[str, Any]:
    """The members of a kind's message, which bear the same names; None where absent."""
    return {name: getattr(properties, name) for name in kind.DESCRIPTOR.fields_by_name}


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
        told["outcome"] = _name(schema.OUTCOMES, event.outcome.outcome)
    return told


def _number(known: dict[str, int], word: str | None, member: str) -> int | None:
    if not word:
        return None
    number = known.get(word)
    if number is None:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`{member}` must be one of {', '.join(known)}.")
    return number


def _unknown_event_type(word: str | None) -> InvalidArgument:
    if not word:
        return InvalidArgument("MISSING_FIELD", "An event needs `eventType`.")
    return InvalidArgument("UNKNOWN_EVENT_TYPE", f"`eventType` must be one of {', '.join(_EVENT_TYPES)}.")


def _name(known: dict[str, int], number: int) -> str:
    return next((name for name, value in known.items() if value == number), "")


def _microseconds(time: dt.datetime) -> int:
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _time(microseconds: int) -> str:
    time = _EPOCH + dt.timedelta(microseconds=microseconds)
    return time.isoformat().replace("+00:00", "Z")


def _depth(written: bytes) -> int:
    depth = deepest = 0
    for match in _STRINGS_AND_BRACKETS.finditer(written):
        token = match[0]
        if token in (b"{", b"["):
            depth += 1
            deepest = max(deepest, depth)
        elif token in (b"}", b"]"):
            depth -= 1
    return deepest
