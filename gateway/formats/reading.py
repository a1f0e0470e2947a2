"""Reading an event whose format, or whose JSON, is in doubt: replayed events, and events that are almost JSON."""

from typing import Any, Final

import msgspec

from gateway.formats import cloudevents, native
from gateway.formats.ids import CLOUD_EVENT
from gateway.formats.json.mending import mend, mended
from gateway.formats.json.refusal import DECODE_ERRORS
from gateway.formats.native import EventSink, Read
from gateway.formats.segment.message import TYPES
from gateway.formats.segment.reader import Reader
from gateway.formats.values.money import NAMED_NO_NUMBER
from mesh.errors import InvalidArgument

_MAX_MENDED_PLACES: Final = 10_000
_HALF: Final = "\N{REPLACEMENT CHARACTER}"
_IDS: Final = ("event_id", "user_id", "anonymous_id")
_MENDED: Final = "The JSON held NaN, an infinity or half a character; it was mended."


class _Outline(msgspec.Struct, rename="camel"):
    """The members, of any format, that identify an event and its format."""

    event_type: object = None
    specversion: object = None
    type: object = None
    event_id: object = None
    message_id: object = None
    id: object = None
    source: object = None
    user_id: object = None
    anonymous_id: object = None
    subject: object = None


_decode: Final = msgspec.json.Decoder(_Outline).decode


def reader_of(raw: bytes | msgspec.Raw) -> Read:
    """The function that reads a kept event: that of the format it looks like, or else of our own."""
    outline = _outline(raw)
    if outline.specversion is not None:
        return cloudevents.read
    if outline.event_type is None and outline.type in TYPES:
        return Reader().read
    return native.read_event


def salvage_ids(raw: bytes | msgspec.Raw) -> tuple[str, str]:
    """The event id and user id of something that is no event, each empty if it cannot be read."""
    outline = _outline(raw)
    user_id = outline.user_id or outline.anonymous_id
    if outline.specversion is None:
        event_id = _short(outline.event_id or outline.message_id, 100)
        return "" if event_id.startswith(CLOUD_EVENT) else event_id, _short(user_id, 128)
    is_identified = isinstance(outline.source, str) and isinstance(outline.id, str)
    event_id = cloudevents.event_id(str(outline.source), str(outline.id)) if is_identified else ""
    return event_id, _short(user_id or outline.subject, 128)


class MendingReader:
    """Reads the events of one request, and mends those that are almost JSON, up to a limit per request."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._left = _MAX_MENDED_PLACES

    def read(self, raw: bytes | msgspec.Raw, sink: EventSink) -> str:
        """Reads one event into a sink; returns its id. An id that needs mending is refused, and so is an amount.

        Raises:
            InvalidArgument: it is no event, mended or not.
        """
        try:
            return self._read(raw, sink)
        except InvalidArgument as error:
            mended = mend(raw) if error.reason == "MALFORMED_JSON" and self._left > 0 else None
            if mended is None:
                raise

        def add_if_whole(*, rare: dict[str, Any], **members: Any) -> object:  # noqa: ANN401 - the members of an event
            if any(_HALF in (of.get(name) or "") for of in (members, rare) for name in _IDS):
                raise InvalidArgument("INVALID_IDENTIFIER", "An id holds half a character, or what is no UTF-8.")
            purchase = rare.get("purchase")
            if purchase is not None and not purchase.amount and NAMED_NO_NUMBER.search(bytes(raw)):
                raise InvalidArgument("UNREADABLE_AMOUNT", "The amount is no number.")
            return sink.add(**members, rare=rare)

        self._left -= mended.place_count
        event_id = self._read(mended.written, sink._replace(add=add_if_whole))
        sink.warn("", _MENDED)
        return event_id


def _outline(raw: bytes | msgspec.Raw) -> _Outline:
    try:
        return _decode(mended(bytes(raw)))
    except DECODE_ERRORS:
        return _Outline()


def _short(value: object, characters: int) -> str:
    return value if isinstance(value, str) and len(value) <= characters else ""
