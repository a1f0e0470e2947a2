"""What a Segment message means: the kind of event it becomes, and its properties under our names."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from journeymesh.common.v1 import event_pb2

from gateway.formats import native, schema
from gateway.formats.json.lenient import Warn, unheard
from gateway.formats.schema import OutcomeProperties, PlaybackProperties, Properties, PurchaseProperties
from gateway.formats.segment import names, told, video
from gateway.formats.segment.message import Message
from gateway.formats.segment.told import Place
from gateway.formats.values import pages, purchases
from mesh.errors import InvalidArgument

_INTERACTION: Final = event_pb2.EVENT_TYPE_FEATURE_INTERACTION
_PAGE_VIEW: Final = event_pb2.EVENT_TYPE_PAGE_VIEW
_IDENTIFY: Final = event_pb2.EVENT_TYPE_IDENTIFY
_PURCHASE: Final = event_pb2.EVENT_TYPE_PURCHASE
_CLICK: Final = event_pb2.EVENT_TYPE_CLICK
_SUCCESS: Final = event_pb2.EVENT_TYPE_TASK_SUCCESS
_TOLD_BEFORE: Final = "The request told this order before; it counts once, and this was taken as a success."
_NO_PAGE: Final = "Neither a name nor an address tells the page; it was taken as an interaction."


Orders = dict[tuple[str, str], str | None]
"""The id of the message that told an order, by user and order, of one request."""


class Beat(NamedTuple):
    """Whose message it is, when it was made and came, and what was played and bought in its request so far."""

    user_id: str
    timestamp: dt.datetime | None
    received_us: int
    viewings: video.Viewings
    orders: Orders

    @property
    def at(self) -> float:
        """When it was made, in Unix seconds of the client's clock."""
        return self.timestamp.timestamp() if self.timestamp else self.received_us / 1e6


class Read(NamedTuple):
    """A message with what it is read by: its place, its properties or traits, and their members."""

    message: Message
    place: Place
    written: bytes
    members: Mapping[str, msgspec.Raw]
    beat: Beat
    warn: Warn


class Meant(NamedTuple):
    """The kind of event, its typed properties, members that must not get lost, and whether a system did it."""

    event_type: int
    properties: Properties
    kept: dict[str, Any]
    is_system: bool = False


def meaning(read: Read) -> Meant:
    """What a message means.

    Raises:
        InvalidArgument: a `track` has no name, or a purchase an amount that cannot be read.
    """
    return _CALLS[read.message.type or ""](read)


def _tracked(read: Read) -> Meant:
    event = read.message.event
    if not event:
        raise InvalidArgument("MISSING_FIELD", "A track needs `event`.")
    by_name = names.meaning(event)
    if by_name.is_own:
        return _own(read, by_name.event_type, event)
    properties: dict[str, Any] = {"page": _page(read)}
    event_type = by_name.event_type
    if by_name.action:
        beat = read.beat
        playback = video.playback(read.members, by_name, beat.user_id, beat.at, beat.viewings)
        if playback:
            return _meant(event_type, properties | playback, {"event": event})
        event_type = _INTERACTION
    what = by_name.target
    if event_type == _PURCHASE:
        is_paid = not by_name.needs_amount or purchases.is_told(read.members, purchases.SHOP_NAMES)
        paid = _paid(read, is_refund=by_name.is_refund) if is_paid else {}
        if not paid or _is_told_before(read, is_refund=paid["isRefund"]):
            event_type, what = _SUCCESS, told.name(read.members, "target", "task") or what
        else:
            properties |= paid
    if event_type == _CLICK:
        what = told.name(read.members, "product_id", "promotion_id", "name")
    properties |= {"target": what or event, "errorCode": by_name.error_code}
    return _meant(event_type, properties, {"event": event}, is_system=by_name.is_system)


def _own(read: Read, event_type: int, event: str) -> Meant:
    """A kind of ours by its name. Where what it needs is not there, somebody else's event bears that name."""
    try:
        warn = read.warn if event_type == _PURCHASE else unheard
        properties = native.read_properties(read.written, event_type, warn)
    except InvalidArgument as error:
        if error.reason == "UNREADABLE_AMOUNT" and purchases.is_told(read.members, purchases.OWN_NAMES):
            raise
        return _custom(read, event)
    more = {"event": event}
    if isinstance(properties, PurchaseProperties) and _is_told_before(read, is_refund=bool(properties.is_refund)):
        return _meant(_SUCCESS, {"page": properties.page or _page(read), "target": properties.target or event}, more)
    if not properties.page:
        properties.page = more["page"] = _page(read)
    return Meant(event_type, properties, more) if _is_whole(event_type, properties) else _custom(read, event)


def _is_whole(event_type: int, properties: Properties) -> bool:
    match properties:
        case PlaybackProperties():
            return bool(properties.video_id) and properties.action in schema.ACTIONS
        case OutcomeProperties():
            is_named = properties.intervention_id or properties.channel
            return bool(is_named) and properties.outcome in schema.OUTCOMES
    return event_type != _PAGE_VIEW or bool(properties.page)


def _custom(read: Read, event: str) -> Meant:
    return _meant(_INTERACTION, {"page": _page(read), "target": event}, {"event": event})


def _viewed(read: Read) -> Meant:
    """A page, by its address, else by its name; a screen, by its name, else by its address.

    Names tell pages apart that have one address: browsers' client leaves out what stands behind a hash.
    """
    call = read.message.type or ""
    name, category = told.text(read.message.name), told.text(read.message.category)
    name = name or told.name(read.members, "name")
    address = _own_page(read) or pages.named(_address(read), category, name)
    found = ((name or address) if call == "screen" else (address or name)) or category
    kept = {"name": name, "category": category}
    if not found:
        read.warn("page", _NO_PAGE)
        return _meant(_INTERACTION, {"target": call}, kept)
    meant = _meant(_PAGE_VIEW, {"page": found}, kept)
    titles = told.texts(read.members, *pages.TITLES)
    meant.properties.page = pages.marked(found, category, name, *titles.values())
    return meant


def _identified(read: Read) -> Meant:
    # Without a user nobody is identified; the traits are kept all the same.
    return _meant(_IDENTIFY, {}) if read.message.user_id else _meant(_INTERACTION, {"target": "identify"})


def _grouped(read: Read) -> Meant:
    return _meant(_INTERACTION, {"target": "group"}, {"groupId": read.message.group_id})


def _aliased(_read: Read) -> Meant:
    return _meant(_IDENTIFY, {})


_CALLS: Final[dict[str, Callable[[Read], Meant]]] = {
    "track": _tracked,
    "page": _viewed,
    "screen": _viewed,
    "identify": _identified,
    "group": _grouped,
    "alias": _aliased,
}


def _meant(
    event_type: int, properties: dict[str, Any], kept: Mapping[str, Any] | None = None, *, is_system: bool = False
) -> Meant:
    typed = msgspec.convert(properties, schema.PROPERTIES_OF.get(event_type, Properties))
    return Meant(event_type, typed, {**properties, **kept} if kept else properties, is_system)


def _page(read: Read) -> str:
    """The page a message of any other call was made on."""
    found = pages.address(told.texts(read.members, "url", "page_location", "path"))
    return _own_page(read) or pages.fuller(read.place.page, found)


def _address(read: Read) -> str:
    """The address of a page that a call of its own tells."""
    return pages.fuller(pages.address(told.texts(read.members, *pages.MEMBERS)), read.place.page)


def _own_page(read: Read) -> str:
    """The page as the properties call it; a number is that of a page of many, and no name."""
    if "page" not in read.members:
        return ""
    named = told.texts(read.members, "page").get("page", "")
    return "" if named.strip().isdecimal() else named


def _paid(read: Read, *, is_refund: bool) -> dict[str, Any]:
    paid = purchases.purchase(read.members, purchases.SHOP_NAMES, read.warn, is_refund=is_refund)
    return {"amount": paid.amount, "currency": paid.currency, "isRefund": paid.is_refund}


def _is_told_before(read: Read, *, is_refund: bool) -> bool:
    """Whether the request has told this order of the user's under another name; if so it is warned of."""
    order_id = purchases.order_id(read.members)
    if not order_id or is_refund:
        return False
    key, message_id = (read.beat.user_id, order_id), read.message.message_id
    if key not in read.beat.orders:
        read.beat.orders[key] = message_id
        return False
    if message_id and read.beat.orders[key] == message_id:
        return False  # a copy
    read.warn("", _TOLD_BEFORE)
    return True
