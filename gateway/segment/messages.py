"""One message of a Segment client, from its JSON to the contract's `Event`.

A message becomes an event as `POST /api/events/track` takes it: the properties stay whole, and what is known of them
stands beside them under our names, so that a failed event can be sent again like any other. Members that are not read
are ignored, unlike in our own events: clients of many versions send them.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
from journeymesh.common.v1 import event_pb2

from gateway import schema, transcode
from gateway.refusal import refusal
from gateway.segment import names, told, video
from gateway.segment.told import Place
from gateway.splicing import with_members
from mesh.errors import InvalidArgument

TYPES: Final = ("track", "page", "screen", "identify", "group", "alias")

# A message that came alone has its type from the path; it does not count.
_MAX_BYTES: Final = transcode.MAX_EVENT_BYTES + len(',"type":"identify"')
_TARGET_LENGTH: Final = 256
_NOTHING: Final = b"{}"

_INTERACTION: Final = event_pb2.EVENT_TYPE_FEATURE_INTERACTION
_PAGE_VIEW: Final = event_pb2.EVENT_TYPE_PAGE_VIEW
_IDENTIFY: Final = event_pb2.EVENT_TYPE_IDENTIFY
_PURCHASE: Final = event_pb2.EVENT_TYPE_PURCHASE

Id = str | int | float | None


class Message(msgspec.Struct, rename="camel"):
    """The members of a message that are read."""

    type: str | None = None
    message_id: Id = None
    user_id: Id = None
    anonymous_id: Id = None
    previous_id: Id = None
    group_id: Id = None
    event: str | None = None
    name: Any = None
    category: Any = None
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None
    properties: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    traits: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    context: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class _Meant(NamedTuple):
    """What a message means: the kind, our properties of it, and members that must not get lost."""

    event_type: int
    properties: dict[str, Any]
    kept: dict[str, Any]


class _Read(NamedTuple):
    """A message with what it is read by: its place, its properties or traits, and their members."""

    message: Message
    place: Place
    written: bytes
    members: dict[str, msgspec.Raw]


class _Beat(NamedTuple):
    """Whose message it is and when it was made, by the client's clock; Unix microseconds where that is not told."""

    user_id: str
    timestamp: dt.datetime | None
    received_us: int


_decode: Final = msgspec.json.Decoder(Message).decode


@dataclasses.dataclass(frozen=True)
class Reader:
    """Reads the messages of one request: when it was sent, where, and what its players did so far."""

    sent_at: dt.datetime | None = None
    place: Place | None = None
    viewings: video.Viewings = dataclasses.field(default_factory=dict)

    def read(
        self,
        raw: bytes | msgspec.Raw,
        add: Callable[..., object],
        stamp: transcode.Stamp,
        make_id: Callable[[], str],
    ) -> str:
        """Reads one message and gives it to `add` as the members of an `Event`; returns its id.

        Raises:
            InvalidArgument: it is no message; then nothing was added.
        """
        if len(raw) > _MAX_BYTES:
            raise InvalidArgument("EVENT_TOO_LARGE", f"An event may have {transcode.MAX_EVENT_BYTES // 1024} KiB.")
        try:
            message = _decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise refusal(error, raw, "$") from None
        if message.type not in TYPES:
            raise _unknown_type(message.type)
        user_id, anonymous_id = told.text(message.user_id), told.text(message.anonymous_id)
        if message.type == "alias":
            anonymous_id = _previous_id(message)
        place = self._place(message, anonymous_id)
        sent_at = told.time_if_any(message.sent_at) or self.sent_at
        timestamp = _timestamp(message, is_sent=sent_at is not None)
        event = schema.ClientEvent(
            event_id=told.text(message.message_id),
            user_id=user_id,
            anonymous_id=anonymous_id,
            timestamp=timestamp,
            sent_at=sent_at,
            context=place.context,
        )
        beat = _Beat(user_id or anonymous_id, timestamp, stamp.received_us)
        event_type, properties, written = self._properties(message, place, beat)
        return transcode.put(event, event_type, properties, written, add, stamp, make_id)

    def _place(self, message: Message, anonymous_id: str) -> Place:
        try:
            place = told.place(bytes(message.context))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise refusal(error, message.context, "$.context") from None
        if self.place is not None:
            place = told.beneath(place, self.place)
        context = place.context
        is_screen = message.type == "screen" and context.platform != "mobile"
        if is_screen or (anonymous_id and not context.device_id and message.type != "alias"):
            context = msgspec.structs.replace(
                context,
                device_id=context.device_id or anonymous_id or None,
                platform="mobile" if is_screen else context.platform,
            )
            return Place(place.page, context)
        return place

    def _properties(self, message: Message, place: Place, beat: _Beat) -> tuple[int, schema.Properties, bytes]:
        """The kind, its typed properties, and the properties as they are kept."""
        is_of_user = message.type in {"identify", "group"}
        written = bytes(message.traits if is_of_user else message.properties)
        if written in {b"", b"null"}:
            written = _NOTHING
        transcode.require_plain(written)
        try:
            members = told.members(written)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise refusal(error, written, "$.traits" if is_of_user else "$.properties") from None
        read = _Read(message, place, written, members)
        if message.type == "track":
            meaning = names.meaning(message.event or "")
            if meaning.is_own:
                return _own(read, meaning.event_type)
            meant = self._tracked(read, meaning, beat)
        else:
            meant = _CALLS[message.type or ""](read)
        kind = schema.PROPERTIES_OF.get(meant.event_type, schema.Properties)
        return meant.event_type, msgspec.convert(meant.properties, kind), _kept(read, meant.properties | meant.kept)

    def _tracked(self, read: _Read, meaning: names.Meaning, beat: _Beat) -> _Meant:
        event = read.message.event
        if not event:
            raise InvalidArgument("MISSING_FIELD", "A track needs `event`.")
        kept = {"event": event}
        event_type = meaning.event_type
        properties: dict[str, Any] = {"page": _page(read)}
        if meaning.action:
            at = beat.timestamp.timestamp() if beat.timestamp else beat.received_us / 1e6
            playback = video.playback(video.decode(read.written), meaning, beat.user_id, at, self.viewings)
            if playback:
                return _Meant(event_type, properties | playback, kept)
            event_type = _INTERACTION
        if event_type == _PURCHASE:
            properties |= _amount(read.members, meaning.amount_sign)
        what = meaning.target
        if event_type == event_pb2.EVENT_TYPE_CLICK:
            what = told.text(told.value(read.members, "product_id", "promotion_id", "name"))
        properties["target"] = told.line(what or event, _TARGET_LENGTH)
        if meaning.error_code:
            properties["errorCode"] = meaning.error_code
        return _Meant(event_type, properties, kept)


def _viewed(read: _Read) -> _Meant:
    """A page, by its path, else by its name; a screen, by its name, else by its path."""
    name, category = told.text(read.message.name), told.text(read.message.category)
    name = name or told.text(told.value(read.members, "name"))
    of_path = _page(read, "path", "url")
    found = (name or of_path) if read.message.type == "screen" else (of_path or name)
    kept = {"name": name, "category": category}
    return _Meant(_PAGE_VIEW, {"page": told.path(found or category)}, {key: one for key, one in kept.items() if one})


def _identified(read: _Read) -> _Meant:
    # Without a user nobody is identified; the traits are kept all the same.
    is_known = bool(told.text(read.message.user_id))
    return _Meant(_IDENTIFY, {}, {}) if is_known else _Meant(_INTERACTION, {"target": "identify"}, {})


def _grouped(read: _Read) -> _Meant:
    group_id = told.text(read.message.group_id)
    return _Meant(_INTERACTION, {"target": "group"}, {"groupId": group_id} if group_id else {})


def _aliased(_read: _Read) -> _Meant:
    return _Meant(_IDENTIFY, {}, {})


_CALLS: Final[dict[str, Callable[[_Read], _Meant]]] = {
    "page": _viewed,
    "screen": _viewed,
    "identify": _identified,
    "group": _grouped,
    "alias": _aliased,
}


def _own(read: _Read, event_type: int) -> tuple[int, schema.Properties, bytes]:
    """A kind of ours by its name: its properties are those of `track`, and refused as those are."""
    properties = transcode.read_properties(read.written, event_type)
    more = {"event": read.message.event}
    if not properties.page:
        properties.page = _page(read)
        more["page"] = properties.page
    return event_type, properties, _kept(read, more)


def _kept(read: _Read, more: dict[str, Any]) -> bytes:
    """The properties as they were sent, and behind them what else is known, where its name is free."""
    more = {name: value for name, value in more.items() if value and name not in read.members}
    written = with_members(read.written, more)
    if len(written) > transcode.MAX_EVENT_BYTES:
        written = read.written
    return b"" if written == _NOTHING else written


def _page(read: _Read, *names_of_path: str) -> str:
    told_here = told.path(told.value(read.members, "page", *names_of_path))
    return told_here or read.place.page or told.path(told.value(read.members, "path", "url"))


def _amount(members: dict[str, msgspec.Raw], sign: int) -> dict[str, Any]:
    amount = told.number(told.value(members, "revenue", "total", "value", "amount")) or 0.0
    currency = told.text(told.value(members, "currency"))
    return {"amount": sign * abs(amount) if sign < 0 else amount, "currency": currency if len(currency) == 3 else ""}


def _previous_id(message: Message) -> str:
    previous_id = told.text(message.previous_id)
    if not previous_id or not told.text(message.user_id):
        raise InvalidArgument("MISSING_FIELD", "An alias needs `previousId` and `userId`.")
    return previous_id


def _timestamp(message: Message, *, is_sent: bool) -> dt.datetime | None:
    """When it happened by the client's clock. What passed through Segment has that in `originalTimestamp`."""
    original = told.time_if_any(message.original_timestamp)
    return original if original is not None and is_sent else told.time(message.timestamp) or original


def _unknown_type(word: str | None) -> InvalidArgument:
    if not word:
        return InvalidArgument("MISSING_FIELD", "A message needs `type`.")
    return InvalidArgument("UNKNOWN_EVENT_TYPE", f"`type` must be one of {', '.join(TYPES)}.")
