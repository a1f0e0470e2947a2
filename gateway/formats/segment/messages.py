"""One message of a Segment client, from its JSON to the contract's `Event`.

A message becomes an event as `POST /api/events/track` takes it: the properties stay whole, and what is known of them
stands beside them under our names, so that a failed event can be sent again like any other. Members that are not read
are ignored, unlike in our own events: clients of many versions send them.
"""

import dataclasses
import datetime as dt
from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.formats import native, schema
from gateway.formats.json import lenient
from gateway.formats.json.lenient import LEFT_OUT, Warn
from gateway.formats.json.refusal import DECODE_ERRORS, refusal, require_plain
from gateway.formats.json.splicing import with_members
from gateway.formats.segment import meant, told, video
from gateway.formats.segment.meant import Beat, Read
from gateway.formats.segment.message import TYPES, Message, decode
from gateway.formats.segment.told import Place
from mesh.errors import InvalidArgument

# A message that came alone has its type from the path; it does not count.
_MAX_BYTES: Final = native.MAX_EVENT_BYTES + len(',"type":"identify"')
_NOTHING: Final = b"{}"


@dataclasses.dataclass(frozen=True)
class Reader:
    """Reads the messages of one request: when it was sent, where, and what was played and bought in it."""

    sent_at: dt.datetime | None = None
    place: Place | None = None
    viewings: video.Viewings = dataclasses.field(default_factory=dict)
    orders: meant.Orders = dataclasses.field(default_factory=dict)

    def read(
        self,
        raw: bytes | msgspec.Raw,
        add: Callable[..., object],
        stamp: native.Stamp,
        make_id: Callable[[], str],
        warn: Warn,
    ) -> str:
        """Reads one message and gives it to `add` as the members of an `Event`; returns its id.

        Raises:
            InvalidArgument: it is no message; then nothing was added.
        """
        if len(raw) > _MAX_BYTES:
            raise InvalidArgument("EVENT_TOO_LARGE", f"An event may have {native.MAX_EVENT_BYTES // 1024} KiB.")
        try:
            message = decode(raw)
        except DECODE_ERRORS as error:
            raise refusal(error, raw, "$") from None
        if message.type not in TYPES:
            raise _unknown_type(message.type)
        user_id, anonymous_id = message.user_id, message.anonymous_id
        if message.type == "alias":
            anonymous_id = message.previous_id
            if not user_id or not anonymous_id:
                raise InvalidArgument("MISSING_FIELD", "An alias needs `previousId` and `userId`.")
        place = self._place(message, anonymous_id, warn)
        sent_at = told.time_if_any(message.sent_at) or self.sent_at
        timestamp = _timestamp(message, is_sent=sent_at is not None)
        beat = Beat(user_id or anonymous_id or "", timestamp, stamp.received_us, self.viewings, self.orders)
        read = _whole(message, place, beat, warn)
        meaning = meant.meaning(read)
        context = place.context
        if meaning.is_system:
            context = msgspec.structs.replace(context, active=False)
        event = schema.ClientEvent(
            event_id=message.message_id,
            user_id=user_id,
            anonymous_id=anonymous_id,
            timestamp=timestamp,
            sent_at=sent_at,
            context=context,
        )
        written = _kept(read, meaning.kept)
        return native.put(event, meaning.event_type, meaning.properties, written, add, stamp, make_id, warn)

    def _place(self, message: Message, anonymous_id: str | None, warn: Warn) -> Place:
        try:
            place = told.place(bytes(message.context))
        except msgspec.ValidationError:
            place = Place()
            warn("context", LEFT_OUT)
        except DECODE_ERRORS as error:
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


def _whole(message: Message, place: Place, beat: Beat, warn: Warn) -> Read:
    """The message with its properties or traits, each of their members still to be read."""
    is_of_user = message.type in {"identify", "group"}
    written = bytes(message.traits if is_of_user else message.properties)
    if told.is_empty(written):
        written = _NOTHING
    require_plain(written)
    name = "traits" if is_of_user else "properties"
    try:
        members = lenient.members(written)
    except DECODE_ERRORS as error:
        why = refusal(error, written, f"$.{name}")
        if why.reason != "INVALID_TYPE":
            raise why from None
        warn(name, LEFT_OUT)
        written, members = _NOTHING, {}
    return Read(message, place, written, members, beat, warn)


def _kept(read: Read, more: dict[str, Any]) -> bytes:
    """The properties as they were sent, and behind them what else is known, where its name is free."""
    more = {name: value for name, value in more.items() if value and name not in read.members}
    written = with_members(read.written, more)
    if len(written) > native.MAX_EVENT_BYTES:
        written = read.written
    return b"" if written == _NOTHING else written


def _timestamp(message: Message, *, is_sent: bool) -> dt.datetime | None:
    """When it happened by the client's clock. What passed through Segment has that in `originalTimestamp`."""
    original = told.time_if_any(message.original_timestamp)
    return original if original is not None and is_sent else told.time(message.timestamp) or original


def _unknown_type(word: str | None) -> InvalidArgument:
    if not word:
        return InvalidArgument("MISSING_FIELD", "A message needs `type`.")
    return InvalidArgument("UNKNOWN_EVENT_TYPE", f"`type` must be one of {', '.join(TYPES)}.")
