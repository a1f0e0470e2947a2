"""Reading an event whose format, or whose JSON, is in doubt: replayed events, and events that are almost JSON."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.formats import cloudevents, native
from gateway.formats.ids import CLOUD_EVENT
from gateway.formats.json.lenient import Warn
from gateway.formats.json.mending import mend, mended
from gateway.formats.json.refusal import DECODE_ERRORS
from gateway.formats.native import Read, Stamp
from gateway.formats.segment import message, messages
from gateway.formats.values.money import NAMED_NO_NUMBER
from mesh.errors import InvalidArgument

_MAX_MENDED_PLACES: Final = 10_000
_HALF: Final = "\N{REPLACEMENT CHARACTER}"
_IDS: Final = ("event_id", "user_id", "anonymous_id")
_MENDED: Final = "The JSON held NaN, an infinity or half a character; it was mended."


class _Outline(msgspec.Struct, rename="camel"):
    """The members, of any format, that tell the format of an event and its ids."""

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
    """The function that reads an event that was kept; that of our own format where it looks like none."""
    outline = _outline(raw)
    if outline.specversion is not None:
        return cloudevents.read
    if outline.event_type is None and outline.type in message.TYPES:
        return messages.Reader().read
    return native.read_event


def salvage_ids(raw: bytes | msgspec.Raw) -> tuple[str, str]:
    """The event id and the user id of something that is no event, each empty where it cannot be read."""
    outline = _outline(raw)
    user_id = outline.user_id or outline.anonymous_id
    if outline.specversion is None:
        event_id = _short(outline.event_id or outline.message_id, 100)
        return "" if event_id.startswith(CLOUD_EVENT) else event_id, _short(user_id, 128)
    is_identified = isinstance(outline.source, str) and isinstance(outline.id, str)
    event_id = cloudevents.event_id(str(outline.source), str(outline.id)) if is_identified else ""
    return event_id, _short(user_id or outline.subject, 128)


class SecondReading:
    """Reads the events of one request once more that are almost JSON. Beyond a bound they are refused as they are."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._left = _MAX_MENDED_PLACES

    def read(
        self,
        raw: bytes | msgspec.Raw,
        error: InvalidArgument,
        add: Callable[..., object],
        stamp: Stamp,
        make_id: Callable[[], str],
        warn: Warn,
    ) -> str:
        """Reads an event that was refused with an error. Ids are no additions, nor is the amount of a purchase.

        Raises:
            InvalidArgument: there is nothing to mend, or it is no event all the same.
        """
        mended = mend(raw) if error.reason == "MALFORMED_JSON" and self._left > 0 else None
        if mended is None:
            raise error

        def add_if_whole(*, rare: dict[str, Any], **members: Any) -> object:  # noqa: ANN401 - the members of an event
            if any(_HALF in (of.get(name) or "") for of in (members, rare) for name in _IDS):
                raise InvalidArgument("INVALID_IDENTIFIER", "An id holds half a character, or what is no UTF-8.")
            purchase = rare.get("purchase")
            if purchase is not None and not purchase.amount and NAMED_NO_NUMBER.search(bytes(raw)):
                raise InvalidArgument("UNREADABLE_AMOUNT", "The amount is no number.")
            return add(**members, rare=rare)

        self._left -= mended.place_count
        event_id = self._read(mended.written, add_if_whole, stamp, make_id, warn)
        warn("", _MENDED)
        return event_id


def _outline(raw: bytes | msgspec.Raw) -> _Outline:
    try:
        return _decode(mended(bytes(raw)))
    except DECODE_ERRORS:
        return _Outline()


def _short(value: object, characters: int) -> str:
    return value if isinstance(value, str) and len(value) <= characters else ""
