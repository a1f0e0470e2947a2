"""Our own format: the body of `POST /api/events/track`, from JSON to events, one by one.

Here are syntax, types, sizes and what the contract cannot express. What each type of event needs, and which values are
in range, ingest decides. Every event is read strictly first; where that fails, its optional members are read leniently.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import msgspec
from journeymesh.common.v1.event_pb2 import (
    Click,
    InterventionOutcome,
    OrderLine,
    Playback,
    Purchase,
    RecommendedProduct,
    SegmentChange,
)

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
    SegmentChangeProperties,
)
from gateway.formats.values import money, orders, pages, purchases, times, vocabulary
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
_SEGMENT_CHANGE: Final = schema.EVENT_TYPES["segment_change"]
_ABSENT: Final = (b"", b"null")
_CLICK, _PLAYBACK, _OUTCOME, _PAID, _SEGMENTED = (
    tuple(kind.DESCRIPTOR.fields_by_name) for kind in (Click, Playback, InterventionOutcome, Purchase, SegmentChange)
)
# What a type of event is meaningless without; everything else is optional.
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
_decode_leniently: Final = msgspec.json.Decoder(schema.LenientEvent).decode
_decode_properties: Final = msgspec.json.Decoder(Properties).decode
_decode_properties_of: Final[dict[int, Callable[[bytes], Properties]]] = {
    event_type: msgspec.json.Decoder(kind).decode for event_type, kind in schema.PROPERTIES_OF.items()
}


class Stamp(NamedTuple):
    """What all events of a request share: its receipt in Unix microseconds, its trace, its span (empty: unrecorded)."""

    received_us: int
    trace_id: bytes
    span_id: bytes


class EventSink(NamedTuple):
    """Where the events of a request go: `add` takes one as the members of an `Event`, as `Rows.add` does.

    Events without an id get one from `make_id`; `warn` reports what was cleaned or left out.
    """

    add: Callable[..., object]
    stamp: Stamp
    make_id: Callable[[], str]
    warn: Warn = lenient.ignore


Read = Callable[[bytes | msgspec.Raw, EventSink], str]
"""Reads one event into a sink; returns its id."""


def split(body: bytes) -> Sequence[msgspec.Raw | bytes]:
    """The events of a body, yet to be read.

    Raises:
        InvalidArgument: the body is neither an event nor a batch; `EMPTY_BATCH`; `REQUEST_TOO_LARGE`, too many events.
    """
    events = _cut(body)
    if not events:
        raise InvalidArgument("EMPTY_BATCH", "`events` holds no event.")
    if len(events) > MAX_EVENTS:
        raise InvalidArgument("REQUEST_TOO_LARGE", f"A request may have {MAX_EVENTS} events.")
    return events


def read_event(raw: bytes | msgspec.Raw, sink: EventSink) -> str:
    """Reads one event into a sink; returns its id.

    Raises:
        InvalidArgument: it is no event; then nothing was added.
    """
    if len(raw) > MAX_EVENT_BYTES:
        raise too_large()
    event = read_members(raw, "$", sink.warn)
    event_type = _EVENT_TYPES.get(event.event_type or "")
    if event_type is None:
        raise _unknown_event_type(event.event_type)
    written = bytes(event.properties)
    if len(written) < 5 and written in _ABSENT:
        written, properties = b"", _NO_PROPERTIES
    else:
        properties = read_properties(written, event_type, sink.warn)
    return emit(event, event_type, properties, written, sink)


def emit(event: schema.ClientEvent, event_type: int, properties: Properties, written: bytes, sink: EventSink) -> str:
    """Adds an event to a sink, with its properties both typed and as they are kept; returns its id.

    Raises:
        InvalidArgument: a word is unknown, or a member is missing; then nothing was added.
    """
    if event_type == _IDENTIFY and not event.user_id:
        raise InvalidArgument("MISSING_FIELD", "An identify needs `userId`.")
    event_id = event.event_id
    if not event_id:
        event_id = sink.make_id()
    elif event_id.startswith(ids.CLOUD_EVENT):
        raise InvalidArgument("RESERVED_ID", f"An id that begins with `{ids.CLOUD_EVENT}` is that of a CloudEvent.")
    rare = _rare(event, properties, sink.warn)
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
    if target and event_type == _INTERACTION and rare.get("platform") == _BACKEND and vocabulary.is_of_system(target):
        rare["is_system"] = True
    stamp = sink.stamp
    sink.add(
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


def too_large() -> InvalidArgument:
    """The error for an event of more than 32 KiB."""
    return InvalidArgument("EVENT_TOO_LARGE", f"An event may have {MAX_EVENT_BYTES // 1024} KiB.")


def read_members(raw: bytes | msgspec.Raw, root: str, warn: Warn) -> schema.ClientEvent:
    """The members of an event, but not its properties; `root` is their path, for errors.

    Raises:
        InvalidArgument: it is no event.
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
    members: dict[str, Any] = {}
    if context.platform:
        if context.platform in schema.PLATFORMS:
            members["platform"] = schema.PLATFORMS[context.platform]
        else:
            warn("context.platform", f"It must be one of {', '.join(schema.PLATFORMS)}, and was left out.")
    if context.time_zone:
        members["time_zone"] = context.time_zone
    if context.device_id:
        members["device_id"] = context.device_id
    if context.user_agent:
        members["user_agent"] = context.user_agent
    if context.correlation_id:
        members["correlation_id"] = context.correlation_id
    if context.automated:
        members["is_automated"] = True
    if context.active is False:
        members["is_system"] = True
    return members


def read_properties(written: bytes, event_type: int, warn: Warn) -> Properties:
    """The `properties` of an event, typed by its event type; optional ones of another type are left out.

    Raises:
        InvalidArgument: they are no properties.
    """
    require_plain(written)
    try:
        properties = _decode_properties_of.get(event_type, _decode_properties)(written)
    except DECODE_ERRORS as error:
        properties = _read_properties_leniently(written, event_type, error, warn)
    if event_type == _PURCHASE:
        _read_purchase(properties, written, warn)
    elif event_type == _SEGMENT_CHANGE:
        change = cast("SegmentChangeProperties", properties)
        change.products = orders.recommended(lenient.members(written), warn)
    page = properties.page
    if page and page.isdecimal():
        properties.page = None
        warn("page", PAGINATION)
    if event_type == _PAGE_VIEW:
        properties.page = pages.page_of_view(cast("schema.PageViewProperties", properties))
    return properties


def _read_properties_leniently(written: bytes, event_type: int, fault: Exception, warn: Warn) -> Properties:
    def warn_unless_paid(member: str, detail: str) -> None:
        # The amount and currency of a purchase are read, and warned of, in `_read_purchase`.
        if not (event_type == _PURCHASE and member in {"amount", "currency"}):
            warn(member, detail)

    try:
        if not isinstance(fault, msgspec.ValidationError):
            raise fault
        return lenient.read(written, schema.PROPERTIES_OF.get(event_type, Properties), _REQUIRED, warn_unless_paid)
    except DECODE_ERRORS as error:
        raise refusal(error, written, "$.properties") from None


def _read_purchase(properties: Properties, written: bytes, warn: Warn) -> None:
    """Reads the order, and amount and currency, in whichever form they are written; our amounts need no reading."""
    paid = cast("PurchaseProperties", properties)
    is_code = paid.currency is None or (len(paid.currency) == 3 and paid.currency.isupper())
    is_paid = paid.amount is not None and 0 < paid.amount <= money.AMOUNT_MOST and paid.is_refund is None
    members = lenient.members(written)
    if not is_code or not is_paid or b"efund" in written:
        paid.amount, paid.currency, paid.is_refund = purchases.purchase(members, purchases.OWN_NAMES, warn)
    put_order(paid, members, warn)


def put_order(paid: PurchaseProperties, members: Mapping[str, msgspec.Raw], warn: Warn) -> None:
    """Reads the order of a purchase: its id and lines."""
    paid.order_id, paid.lines = orders.order_id(members), orders.lines(members, warn)


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
            paid = _members(properties, _PAID)
            paid["lines"] = [OrderLine(**line._asdict()) for line in paid.get("lines", ())]
            return {"purchase": Purchase(**paid)}
        case SegmentChangeProperties():
            change = _members(properties, _SEGMENTED)
            change["products"] = [RecommendedProduct(**each._asdict()) for each in change.get("products", ())]
            return {"segment_change": SegmentChange(**change)}
    return {}


def _members(properties: Properties, names: tuple[str, ...]) -> dict[str, Any]:
    """The members of the same name in an event's detail."""
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
    """The members of an event that could not be read strictly; times may be in other notations.

    Raises:
        InvalidArgument: it is no event, or a member that is not optional cannot be read.
    """
    try:
        if not isinstance(fault, msgspec.ValidationError):
            raise fault
        event = _decode_leniently(raw)
        rest = lenient.read(raw, schema.Rest, frozenset(), warn)
        context = None if bytes(event.context) in _ABSENT else _read_context_leniently(event.context, warn)
    except DECODE_ERRORS as error:
        raise refusal(error, raw, root) from None
    members = msgspec.structs.asdict(event)
    members |= {"timestamp": times.with_zone(event.timestamp, "timestamp"), "sent_at": _sent_at(event.sent_at, warn)}
    return schema.ClientEvent(**members | {"context": context, "session_id": rest.session_id})


def _sent_at(value: object, warn: Warn) -> dt.datetime | None:
    try:
        return times.with_zone(value, "sentAt")
    except InvalidArgument:
        warn("sentAt", LEFT_OUT)
        return None


def _read_context_leniently(raw: msgspec.Raw, warn: Warn) -> schema.Context | None:
    try:
        context = lenient.read(raw, schema.Context, frozenset(), _inside(warn, "context."))
    except msgspec.ValidationError:
        warn("context", LEFT_OUT)
        return None
    lenient.warn_of_unknown(raw, schema.Context, warn, "context.")
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
    """JSON that is no batch: an event, unless it has `events`."""
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
    """Whether a body without its events is a batch.

    Raises:
        InvalidArgument: it has members besides `events`.
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
