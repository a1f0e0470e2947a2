"""Maps a Segment message to the type of event it becomes, and its properties to our names."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from journeymesh.common.v1 import event_pb2

from gateway.formats import native, schema
from gateway.formats.json.lenient import Warn, ignore
from gateway.formats.schema import (
    OutcomeProperties,
    PlaybackProperties,
    Properties,
    PurchaseProperties,
    SegmentChangeProperties,
)
from gateway.formats.segment import names, values, video
from gateway.formats.segment.context import MessageContext
from gateway.formats.segment.message import Message
from gateway.formats.values import orders, pages, purchases
from mesh.errors import InvalidArgument

_INTERACTION: Final = event_pb2.EVENT_TYPE_FEATURE_INTERACTION
_PAGE_VIEW: Final = event_pb2.EVENT_TYPE_PAGE_VIEW
_IDENTIFY: Final = event_pb2.EVENT_TYPE_IDENTIFY
_PURCHASE: Final = event_pb2.EVENT_TYPE_PURCHASE
_CLICK: Final = event_pb2.EVENT_TYPE_CLICK
_SUCCESS: Final = event_pb2.EVENT_TYPE_TASK_SUCCESS
_REPORTED_BEFORE: Final = "The request told this order before; it counts once, and this was taken as a success."
_NO_PAGE: Final = "Neither a name nor an address tells the page; it was taken as an interaction."


Orders = dict[tuple[str, str], str | None]
"""The id of the message that reported an order, by user and order, within one request."""


class ParsedMessage(NamedTuple):
    """A message with all it is mapped by.

    That is its context, its properties or traits as written and by member, whose it is, when it was made in Unix
    seconds of the client's clock, and what was played and bought in its request so far.
    """

    message: Message
    context: MessageContext
    written: bytes
    members: Mapping[str, msgspec.Raw]
    user_id: str
    at: float
    playheads: video.Playheads
    orders: Orders
    warn: Warn


class MappedMessage(NamedTuple):
    """The type of event, its typed properties, members to keep besides, and whether a system made it."""

    event_type: int
    properties: Properties
    kept: dict[str, Any]
    is_system: bool = False


def map_message(parsed: ParsedMessage) -> MappedMessage:
    """Maps a message to an event.

    Raises:
        InvalidArgument: a `track` has no name, or a purchase an amount that cannot be parsed.
    """
    return _CALLS[parsed.message.type or ""](parsed)


def _tracked(parsed: ParsedMessage) -> MappedMessage:
    event = parsed.message.event
    if not event:
        raise InvalidArgument("MISSING_FIELD", "A track needs `event`.")
    by_name = names.meaning(event)
    if by_name.is_own:
        return _own(parsed, by_name.event_type, event)
    properties: dict[str, Any] = {"page": _page(parsed)}
    event_type = by_name.event_type
    if by_name.action:
        playback = video.playback(parsed.members, by_name, parsed.user_id, parsed.at, parsed.playheads)
        if playback:
            return _mapped(event_type, properties | playback, {"event": event})
        event_type = _INTERACTION
    what = by_name.target
    if event_type == _PURCHASE:
        is_paid = not by_name.needs_amount or purchases.has_amount(parsed.members, purchases.SHOP_NAMES)
        paid = _paid(parsed, is_refund=by_name.is_refund) if is_paid else {}
        if not paid or _is_reported_before(parsed, is_refund=paid["isRefund"]):
            event_type, what = _SUCCESS, values.name(parsed.members, "target", "task") or what
        else:
            properties |= paid
    if event_type == _CLICK:
        what = values.name(parsed.members, "product_id", "promotion_id", "name")
    properties |= {"target": what or event, "errorCode": by_name.error_code}
    mapped = _mapped(event_type, properties, {"event": event}, is_system=by_name.is_system)
    if isinstance(mapped.properties, PurchaseProperties):
        native.put_order(mapped.properties, parsed.members, parsed.warn)
    return mapped


def _own(parsed: ParsedMessage, event_type: int, event: str) -> MappedMessage:
    """An event named like one of our types; if it lacks what that type needs, the name is a coincidence."""
    try:
        warn = parsed.warn if event_type == _PURCHASE else ignore
        properties = native.read_properties(parsed.written, event_type, warn)
    except InvalidArgument as error:
        if error.reason == "UNREADABLE_AMOUNT" and purchases.has_amount(parsed.members, purchases.OWN_NAMES):
            raise
        return _custom(parsed, event)
    more = {"event": event}
    if isinstance(properties, PurchaseProperties) and _is_reported_before(parsed, is_refund=bool(properties.is_refund)):
        return _mapped(_SUCCESS, {"page": properties.page or _page(parsed), "target": properties.target or event}, more)
    if not properties.page:
        properties.page = more["page"] = _page(parsed)
    if not _is_complete(event_type, properties):
        return _custom(parsed, event)
    return MappedMessage(event_type, properties, more)


def _is_complete(event_type: int, properties: Properties) -> bool:
    match properties:
        case PlaybackProperties():
            return bool(properties.video_id) and properties.action in schema.ACTIONS
        case OutcomeProperties():
            is_named = properties.intervention_id or properties.channel
            return bool(is_named) and properties.outcome in schema.OUTCOMES
        case SegmentChangeProperties():
            return bool(properties.segment or properties.previous_segment)
    return event_type != _PAGE_VIEW or bool(properties.page)


def _custom(parsed: ParsedMessage, event: str) -> MappedMessage:
    return _mapped(_INTERACTION, {"page": _page(parsed), "target": event}, {"event": event})


def _viewed(parsed: ParsedMessage) -> MappedMessage:
    """A page, by its address or else its name; a screen, by its name or else its address.

    Names distinguish pages of one address: the browser client leaves out what follows a hash.
    """
    call = parsed.message.type or ""
    name, category = values.text(parsed.message.name), values.text(parsed.message.category)
    name = name or values.name(parsed.members, "name")
    address = _own_page(parsed) or pages.named(_address(parsed), category, name)
    found = ((name or address) if call == "screen" else (address or name)) or category
    kept = {"name": name, "category": category}
    if not found:
        parsed.warn("page", _NO_PAGE)
        return _mapped(_INTERACTION, {"target": call}, kept)
    view = _mapped(_PAGE_VIEW, {"page": found}, kept)
    titles = values.texts(parsed.members, *pages.TITLES)
    view.properties.page = pages.marked(found, category, name, *titles.values())
    return view


def _identified(parsed: ParsedMessage) -> MappedMessage:
    # Without a user nobody is identified, but the traits are kept.
    return _mapped(_IDENTIFY, {}) if parsed.message.user_id else _mapped(_INTERACTION, {"target": "identify"})


def _grouped(parsed: ParsedMessage) -> MappedMessage:
    return _mapped(_INTERACTION, {"target": "group"}, {"groupId": parsed.message.group_id})


def _aliased(_parsed: ParsedMessage) -> MappedMessage:
    return _mapped(_IDENTIFY, {})


_CALLS: Final[dict[str, Callable[[ParsedMessage], MappedMessage]]] = {
    "track": _tracked,
    "page": _viewed,
    "screen": _viewed,
    "identify": _identified,
    "group": _grouped,
    "alias": _aliased,
}


def _mapped(
    event_type: int, properties: dict[str, Any], kept: Mapping[str, Any] | None = None, *, is_system: bool = False
) -> MappedMessage:
    typed = msgspec.convert(properties, schema.PROPERTIES_OF.get(event_type, Properties))
    return MappedMessage(event_type, typed, {**properties, **kept} if kept else properties, is_system)


def _page(parsed: ParsedMessage) -> str:
    """The page a message other than a page view was made on."""
    found = pages.address(values.texts(parsed.members, "url", "page_location", "path"))
    return _own_page(parsed) or pages.fuller(parsed.context.page, found)


def _address(parsed: ParsedMessage) -> str:
    """The address of the page in a page view."""
    return pages.fuller(pages.address(values.texts(parsed.members, *pages.MEMBERS)), parsed.context.page)


def _own_page(parsed: ParsedMessage) -> str:
    """The page as the properties name it; a number is a page of a list, not a name."""
    if "page" not in parsed.members:
        return ""
    named = values.texts(parsed.members, "page").get("page", "")
    return "" if named.strip().isdecimal() else named


def _paid(parsed: ParsedMessage, *, is_refund: bool) -> dict[str, Any]:
    paid = purchases.purchase(parsed.members, purchases.SHOP_NAMES, parsed.warn, is_refund=is_refund)
    return {"amount": paid.amount, "currency": paid.currency, "isRefund": paid.is_refund}


def _is_reported_before(parsed: ParsedMessage, *, is_refund: bool) -> bool:
    """Whether the request has already reported this order of the user under another name; warns if so."""
    order_id = orders.order_id(parsed.members)
    if not order_id or is_refund:
        return False
    key, message_id = (parsed.user_id, order_id), parsed.message.message_id
    if key not in parsed.orders:
        parsed.orders[key] = message_id
        return False
    if message_id and parsed.orders[key] == message_id:
        return False  # a copy
    parsed.warn("", _REPORTED_BEFORE)
    return True
