"""Reads one message of a Segment client, from its JSON to the contract's `Event`.

A message becomes an event as `POST /api/events/track` takes it. Its properties are kept whole; what we recognise in
them is added under our names, so that a failed message can be replayed like any other event. Unlike in our own format,
members that we do not know are ignored: clients of many versions send them.
"""

import dataclasses
import datetime as dt
from typing import Any, Final

import msgspec

from gateway.formats import native, schema
from gateway.formats.json import lenient
from gateway.formats.json.lenient import LEFT_OUT, Warn
from gateway.formats.json.refusal import DECODE_ERRORS, refusal, require_plain
from gateway.formats.json.splicing import with_members
from gateway.formats.native import EventSink
from gateway.formats.segment import context, mapping, values, video
from gateway.formats.segment.context import MessageContext
from gateway.formats.segment.mapping import ParsedMessage
from gateway.formats.segment.message import TYPES, Message, decode
from mesh.errors import InvalidArgument

# A message that came alone gets its type from the path; those bytes do not count.
_MAX_BYTES: Final = native.MAX_EVENT_BYTES + len(',"type":"identify"')
_NOTHING: Final = b"{}"
_OF_EVENTS: Final = ("track", "page", "screen")


@dataclasses.dataclass(frozen=True)
class Reader:
    """Reads the messages of one request, and remembers what was played and bought in it so far."""

    sent_at: dt.datetime | None = None
    context: MessageContext | None = None
    playheads: video.Playheads = dataclasses.field(default_factory=dict)
    orders: mapping.Orders = dataclasses.field(default_factory=dict)

    def read(self, raw: bytes | msgspec.Raw, sink: EventSink) -> str:
        """Reads one message into a sink; returns the event's id.

        Raises:
            InvalidArgument: it is no message; then nothing was added.
        """
        if len(raw) > _MAX_BYTES:
            raise native.too_large()
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
        made = self._context(message, anonymous_id, sink.warn)
        sent_at = values.time_if_any(message.sent_at) or self.sent_at
        timestamp = _timestamp(message, is_sent=sent_at is not None)
        written, members = _members(message, sink.warn)
        parsed = ParsedMessage(
            message,
            made,
            written,
            members,
            user_id or anonymous_id or "",
            timestamp.timestamp() if timestamp else sink.stamp.received_us / 1e6,
            self.playheads,
            self.orders,
            sink.warn,
        )
        mapped = mapping.map_message(parsed)
        event = schema.ClientEvent(
            event_id=message.message_id,
            user_id=user_id,
            anonymous_id=anonymous_id,
            timestamp=timestamp,
            sent_at=sent_at,
            context=msgspec.structs.replace(made.context, active=False) if mapped.is_system else made.context,
        )
        kept = _kept(parsed, mapped.kept | _declared(parsed))
        return native.emit(event, mapped.event_type, mapped.properties, kept, sink)

    def _context(self, message: Message, anonymous_id: str | None, warn: Warn) -> MessageContext:
        try:
            made = context.read(bytes(message.context))
        except msgspec.ValidationError:
            made = MessageContext()
            warn("context", LEFT_OUT)
        except DECODE_ERRORS as error:
            raise refusal(error, message.context, "$.context") from None
        if self.context is not None:
            made = context.merged(made, self.context)
        own = made.context
        is_screen = message.type == "screen" and own.platform != "mobile"
        if is_screen or (anonymous_id and not own.device_id and message.type != "alias"):
            own = msgspec.structs.replace(
                own,
                device_id=own.device_id or anonymous_id or None,
                platform="mobile" if is_screen else own.platform,
            )
            return msgspec.structs.replace(made, context=own)
        return made


def _members(message: Message, warn: Warn) -> tuple[bytes, dict[str, msgspec.Raw]]:
    """A message's properties or traits, as written and by member."""
    name = "traits" if message.type in {"identify", "group"} else "properties"
    written = bytes(getattr(message, name))
    if values.is_empty(written):
        written = _NOTHING
    require_plain(written)
    try:
        return written, lenient.members(written)
    except DECODE_ERRORS as error:
        why = refusal(error, written, f"$.{name}")
        if why.reason != "INVALID_TYPE":
            raise why from None
        warn(name, LEFT_OUT)
        return _NOTHING, {}


def _declared(parsed: ParsedMessage) -> dict[str, Any]:
    """What the context declares of where the user is. Traits say of a user what was meant to be said, and no more."""
    if parsed.message.type not in _OF_EVENTS:
        return {}
    own = "" if "countryCode" in parsed.members else parsed.context.country
    return {"country": own, "locale": parsed.context.locale}


def _kept(parsed: ParsedMessage, more: dict[str, Any]) -> bytes:
    """The properties as they were sent, followed by what else is known, unless its name is taken."""
    more = {name: value for name, value in more.items() if value and name not in parsed.members}
    written = with_members(parsed.written, more)
    if len(written) > native.MAX_EVENT_BYTES:
        written = parsed.written
    return b"" if written == _NOTHING else written


def _timestamp(message: Message, *, is_sent: bool) -> dt.datetime | None:
    """When it happened by the client's clock. Messages relayed by Segment have that in `originalTimestamp`."""
    original = values.time_if_any(message.original_timestamp)
    return original if original is not None and is_sent else values.time(message.timestamp) or original


def _unknown_type(word: str | None) -> InvalidArgument:
    if not word:
        return InvalidArgument("MISSING_FIELD", "A message needs `type`.")
    return InvalidArgument("UNKNOWN_EVENT_TYPE", f"`type` must be one of {', '.join(TYPES)}.")
