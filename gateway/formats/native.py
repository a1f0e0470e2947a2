"""Our own format: the body of `POST /api/events/track`, from JSON to events, one by one.

Here are syntax, types, sizes and what the contract cannot express. What each type of event needs, and which values are
in range, ingest decides. Every event is read strictly first; where that fails, its optional members are read leniently.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, cast

import msgspec
from journeymesh.common.v1.event_pb2 import Click, InterventionOutcome, Playback, Purchase

from gateway.formats import ids, schema
from gateway.formats.json import lenient
from gateway.formats.json.cutting import cut
from gateway.formats.json.lenient import LEFT_OUT, PAGINATION, Warn
from gateway.formats.json.mending import mended
from gateway.formats.json.refusal import DECODE_ERRORS, refusal, require_plain
from gateway.formats.schema import (
    ClickProperties,
    OutcomeProperties,
    PlaybackProperties,
    Properties,
    PurchaseProperties,
)
from gateway.formats.values import money, pages, purchases, times, wording
from mesh.errors import InvalidArgument

MAX_EVENT_BYTES: Final = 32 * 1024
MAX_EVENTS: Final = 500

_MAX_UINT32: Final = 2**32 - 1

_EVENT_TYPES: Final = schema.EVENT_TYPES
_IDENTIFY: Final = schema.EVENT_TYPES["identify"]
_INTERACTION: Final = schema.EVENT_TYPES["feature_interaction"]
_BACKEND: Final = schema.PLATFORMS["backend"]
_PAGE_VIEW: Final = schema.EVENT_TYPES["page_view"]
_PURCHASE: Final = schema.EVENT_TYPES["purchase"]
_ABSENT: Final = (b"", b"null")
_CLICK, _PLAYBACK, _OUTCOME, _PAID = (
    tuple(kind.DESCRIPTOR.fields_by_name) for kind in (Click, Playback, InterventionOutcome, Purchase)
)
# What a kind of event is nothing without; everything else is an addition.
_REQUIRED: Final = frozenset(("action", "outcome", "interventionId"))
_NO_PROPERTIES: Final = Properties()
_DETAILED: Final = frozenset(schema.PROPERTIES_OF) - {_PAGE_VIEW}


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]


class _AnyObject(msgspec.Struct):
    events: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_batch: Final = msgspec.json.Decoder(_Batch).decode
_decode_any: Final = msgspec.json.Decoder(_AnyObject).decode
_decode: Final = msgspec.json.Decoder(schema.ClientEvent).decode
_decode_leniently: Final = msgspec.json.Decoder(schema.MildEvent).decode
_decode_properties: Final = msgspec.json.Decoder(Properties).decode
_decode_properties_of: Final[dict[int, Callable[[bytes], Properties]]] = {
    event_type: msgspec.json.Decoder(kind).decode for event_type, kind in schema.PROPERTIES_OF.items()
}


class Stamp(NamedTuple):
    """What the gateway knows of every event of a request: Unix microseconds, 16 and 8 bytes (none: not recorded)."""

    received_us: int
    trace_id: bytes
    span_id: bytes


Read = Callable[[bytes | msgspec.Raw, Callable[..., object], Stamp, Callable[[], str], Warn], str]
"""Reads one event and gives it to the second argument, an `add` as that of `Rows`; returns its id."""


def split(body: bytes) -> Sequence[msgspec.Raw | bytes]:
    """The events of a body, each still to be read.

    Raises:
        InvalidArgument: the body is neither an event nor a batch; `EMPTY_BATCH`; `REQUEST_TOO_LARGE`, too many events.
    """
    events = _cut(body)
    if not events:
        raise InvalidArgument("EMPTY_BATCH", "`events` holds no event.")
    if len(events) > MAX_EVENTS:
        raise InvalidArgument("REQUEST_TOO_LARGE", f"A request may have {MAX_EVENTS} events.")
    return events


def read_event(
    raw: bytes | msgspec.Raw,
    add: Callable[..., object],
    stamp: Stamp,
    make_id: Callable[[], str],
    warn: Warn = lenient.unheard,
) -> str:
    """Reads one event and gives it to `add` as the members of an `Event`; returns its id.

    Raises:
        InvalidArgument: the JSON is none of an event; then nothing was added.
    """
    if len(raw) > MAX_EVENT_BYTES:
        raise InvalidArgument("EVENT_TOO_LARGE", f"An event may have {MAX_EVENT_BYTES // 1024} KiB.")
    try:
        event = _decode(raw)
    except DECODE_ERRORS as error:
        event = _read_leniently(raw, error, "$", warn)
    event_type = _EVENT_TYPES.get(event.event_type or "")
    if event_type is None:
        raise _unknown_event_type(event.event_type)
    written = bytes(event.properties)
    if len(written) < 5 and written in _ABSENT:
        written, properties = b"", _NO_PROPERTIES
    else:
        properties = read_properties(written, event_type, warn)
    return put(event, event_type, properties, written, add, stamp, make_id, warn)


def put(
    event: schema.ClientEvent,
    event_type: int,
    properties: Properties,
    written: bytes,
    add: Callable[..., object],
    stamp: Stamp,
    make_id: Callable[[], str],
    warn: Warn,
) -> str:
    """Gives an event that was read to `add`, its properties typed and as they are kept; returns its id.

    Raises:
        InvalidArgument: a word is none of those there are, or a member is missing; then nothing was added.
    """
    if event_type == _IDENTIFY and not event.user_id:
        raise InvalidArgument("MISSING_FIELD", "An identify needs `userId`.")
    event_id = event.event_id
    if not event_id:
        event_id = make_id()
    elif event_id.startswith(ids.CLOUD_EVENT):
        raise InvalidArgument("RESERVED_ID", f"An id that begins with `{ids.CLOUD_EVENT}` is that of a CloudEvent.")
    rare = _rare(event, properties, warn)
    if event_type in _DETAILED:
        rare.update(_detail(properties))
    target = (
        properties.target
        or properties.feature
        or properties.element
        or properties.form
        or properties.field
        or properties.task
        or properties.topic
    )
    if target and event_type == _INTERACTION and rare.get("platform") == _BACKEND and wording.is_of_system(target):
        rare["is_system"] = True
    add(
        event_id=event_id,
        user_id=event.user_id or event.anonymous_id,
        session_id=event.session_id,
        event_type=event_type,
        event_time_us=stamp.received_us if event.timestamp is None else times.microseconds(event.timestamp),
        page=properties.page,
        target=target,
        properties=written,
        received_time_us=stamp.received_us,
        trace_id=stamp.trace_id,
        span_id=stamp.span_id,
        rare=rare,
    )
    return event_id


def read_members(raw: bytes | msgspec.Raw, root: str, warn: Warn) -> schema.ClientEvent:
    """The members of an event, not yet its properties; `root` is where they stand.

    Raises:
        InvalidArgument: they are none.
    """
    try:
        return _decode(raw)
    except DECODE_ERRORS as error:
        return _read_leniently(raw, error, root, warn)


def _rare(event: schema.ClientEvent, properties: Properties, warn: Warn) -> dict[str, Any]:
    rare = {} if event.context is None else _context(event.context, warn)
    if event.anonymous_id:
        rare["anonymous_id"] = event.anonymous_id
    if event.sent_at:
        rare["sent_time_us"] = times.microseconds(event.sent_at)
    if properties.attempts:
        if 0 < properties.attempts <= _MAX_UINT32:
            rare["attempt_count"] = properties.attempts
        else:
            warn("attempts", f"It must be from 0 to {_MAX_UINT32}, and was left out.")
    if properties.error_code:
        rare["error_code"] = properties.error_code
    if properties.is_refresh:
        rare["is_refresh"] = True
    return rare


def _context(context: schema.Context, warn: Warn) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if context.platform:
        if context.platform in schema.PLATFORMS:
            told["platform"] = schema.PLATFORMS[context.platform]
        else:
            warn("context.platform", f"It must be one of {', '.join(schema.PLATFORMS)}, and was left out.")
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
    if context.active is False:
        told["is_system"] = True
    return told


def read_properties(written: bytes, event_type: int, warn: Warn) -> Properties:
    """The `properties` of an event, typed by its kind; those that are additions may be of another type.

    Raises:
        InvalidArgument: they are none.
    """
    require_plain(written)
    try:
        properties = _decode_properties_of.get(event_type, _decode_properties)(written)
    except DECODE_ERRORS as error:
        properties = _read_properties_leniently(written, event_type, error, warn)
    if event_type == _PURCHASE:
        _settle(properties, written, warn)
    page = properties.page
    if page and page.isdecimal():
        properties.page = None
        warn("page", PAGINATION)
    if event_type == _PAGE_VIEW:
        properties.page = pages.viewed(cast("schema.PageViewProperties", properties))
    return properties


def _read_properties_leniently(written: bytes, event_type: int, fault: Exception, warn: Warn) -> Properties:
    def tell(member: str, detail: str) -> None:
        # What a purchase says is told where it is read.
        if not (event_type == _PURCHASE and member in {"amount", "currency"}):
            warn(member, detail)

    try:
        if not isinstance(fault, msgspec.ValidationError):
            raise fault
        return lenient.read(written, schema.PROPERTIES_OF.get(event_type, Properties), _REQUIRED, tell)
    except DECODE_ERRORS as error:
        raise refusal(error, written, "$.properties") from None


def _settle(properties: Properties, written: bytes, warn: Warn) -> None:
    """Makes a purchase of what is told of it, in whatever form; one in ours stays as it is."""
    told = cast("PurchaseProperties", properties)
    is_code = told.currency is None or (len(told.currency) == 3 and told.currency.isupper())
    is_paid = told.amount is not None and 0 < told.amount <= money.AMOUNT_MOST and told.is_refund is None
    if not is_code or not is_paid or b"efund" in written:
        told.amount, told.currency, told.is_refund = purchases.purchase(
            lenient.members(written), purchases.OWN_NAMES, warn
        )


def _detail(properties: Properties) -> dict[str, Any]:
    match properties:
        case ClickProperties():
            click = _members(properties, _CLICK)
            return {"click": Click(**click)} if click else {}
        case PlaybackProperties():
            playback = _members(properties, _PLAYBACK)
            playback["action"] = _number(schema.ACTIONS, properties.action, "properties.action")
            return {"playback": Playback(**playback)}
        case OutcomeProperties():
            outcome = _members(properties, _OUTCOME)
            outcome["outcome"] = _number(schema.OUTCOMES, properties.outcome, "properties.outcome")
            return {"outcome": InterventionOutcome(**outcome)}
        case PurchaseProperties():
            return {"purchase": Purchase(**_members(properties, _PAID))}
    return {}


def _members(properties: Properties, names: tuple[str, ...]) -> dict[str, Any]:
    """The members that are told of a kind's message, which bear the same names."""
    return {name: value for name in names if (value := getattr(properties, name)) is not None}


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


def _read_leniently(raw: bytes | msgspec.Raw, fault: Exception, root: str, warn: Warn) -> schema.ClientEvent:
    """The members of an event that could not be read strictly; times may be written otherwise.

    Raises:
        InvalidArgument: they are none, or one that is no addition cannot be read.
    """
    try:
        if not isinstance(fault, msgspec.ValidationError):
            raise fault
        mild = _decode_leniently(raw)
        rest = lenient.read(raw, schema.Rest, frozenset(), warn)
        context = None if bytes(mild.context) in _ABSENT else _read_context_leniently(mild.context, warn)
    except DECODE_ERRORS as error:
        raise refusal(error, raw, root) from None
    told = {name: getattr(mild, name) for name in mild.__struct_fields__}
    told |= {"timestamp": times.with_zone(mild.timestamp, "timestamp"), "sent_at": _sent_at(mild.sent_at, warn)}
    return schema.ClientEvent(**told | {"context": context, "session_id": rest.session_id})


def _sent_at(told: object, warn: Warn) -> dt.datetime | None:
    try:
        return times.with_zone(told, "sentAt")
    except InvalidArgument:
        warn("sentAt", LEFT_OUT)
        return None


def _read_context_leniently(raw: msgspec.Raw, warn: Warn) -> schema.Context | None:
    try:
        context = lenient.read(raw, schema.Context, frozenset(), _inside(warn, "context."))
    except msgspec.ValidationError:
        warn("context", LEFT_OUT)
        return None
    lenient.tell_unknown(raw, schema.Context, warn, "context.")
    return context


def _inside(warn: Warn, prefix: str) -> Warn:
    return lambda member, detail: warn(prefix + member, detail)


def _cut(body: bytes) -> Sequence[msgspec.Raw | bytes]:
    try:
        return _decode_batch(body).events
    except msgspec.ValidationError:
        return _one_event(body)
    except DECODE_ERRORS:
        found = cut(body, b"events", MAX_EVENTS)
        is_batch = found is not None and (len(found.elements) > MAX_EVENTS or _is_batch(mended(found.around)))
        return found.elements if found is not None and is_batch else [body[:MAX_EVENT_BYTES]]


def _one_event(body: bytes) -> Sequence[bytes]:
    """JSON that is no batch: an event, if it is an object without `events`."""
    try:
        is_batch = _decode_any(body).events is not msgspec.UNSET
    except msgspec.ValidationError:
        return [body]
    except DECODE_ERRORS:
        return [body[:MAX_EVENT_BYTES]]
    if is_batch:
        raise _no_batch()
    return [body]


def _is_batch(around: bytes) -> bool:
    """Whether a body is a batch once its events were cut out.

    Raises:
        InvalidArgument: it would be one without what stands beside them.
    """
    try:
        _decode_batch(around)
    except msgspec.ValidationError:
        raise _no_batch() from None
    except DECODE_ERRORS:
        return False
    return True


def _no_batch() -> InvalidArgument:
    return InvalidArgument("INVALID_TYPE", "A batch is an object whose only member `events` is an array.")
