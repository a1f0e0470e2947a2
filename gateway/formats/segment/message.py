"""A message of a Segment client as it stands: the members that are read."""

from typing import Any, Final

import msgspec

from gateway.formats.json import lenient
from mesh.errors import InvalidArgument

TYPES: Final = ("track", "page", "screen", "identify", "group", "alias")

_NULL: Final = msgspec.Raw(b"null")


class _Rest(msgspec.Struct, rename="camel"):
    type: str | None = None
    event: str | None = None
    name: Any = None
    category: Any = None
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None
    properties: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    traits: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    context: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class Message(_Rest, rename="camel"):
    """The members of a message that are read."""

    message_id: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    previous_id: str | None = None
    group_id: str | None = None


class _Ids(msgspec.Struct, rename="camel"):
    message_id: msgspec.Raw = _NULL
    user_id: msgspec.Raw = _NULL
    anonymous_id: msgspec.Raw = _NULL
    previous_id: msgspec.Raw = _NULL
    group_id: msgspec.Raw = _NULL


_decode: Final = msgspec.json.Decoder(Message).decode
_decode_ids: Final = msgspec.json.Decoder(_Ids).decode
_decode_rest: Final = msgspec.json.Decoder(_Rest).decode


def decode(raw: bytes | msgspec.Raw) -> Message:
    """A message; ids that are numbers become texts with every digit as it is written.

    Raises:
        msgspec.DecodeError: it is none.
        InvalidArgument: `INVALID_TYPE`: an id is neither a text nor a number.
    """
    try:
        return _decode(raw)
    except msgspec.ValidationError:
        rest, ids = _decode_rest(raw), _decode_ids(raw)
        members: dict[str, Any] = {name: getattr(rest, name) for name in rest.__struct_fields__}
        members |= {name: _id(name, getattr(ids, name)) for name in ids.__struct_fields__}
        return Message(**members)


def _id(name: str, raw: msgspec.Raw) -> str:
    text = lenient.text(raw)
    if not text and bytes(raw) not in {b"null", b'""'}:
        raise InvalidArgument("INVALID_TYPE", f"`{name}` must be a text or a number.")
    return text
