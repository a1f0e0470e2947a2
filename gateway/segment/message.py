"""A message of a Segment client as it stands: the members that are read, and its ids."""

from typing import Any, Final

import msgspec

from gateway import additions
from mesh.errors import InvalidArgument

TYPES: Final = ("track", "page", "screen", "identify", "group", "alias")


class Message(msgspec.Struct, rename="camel"):
    """The members of a message that are read."""

    type: str | None = None
    message_id: Any = None
    user_id: Any = None
    anonymous_id: Any = None
    previous_id: Any = None
    group_id: Any = None
    event: str | None = None
    name: Any = None
    category: Any = None
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None
    properties: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    traits: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    context: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class Ids(msgspec.Struct):
    """The ids of a message, empty where not told; numbers with every digit as written."""

    message_id: str = ""
    user_id: str = ""
    anonymous_id: str = ""
    previous_id: str = ""
    group_id: str = ""


class _Written(msgspec.Struct, rename="camel"):
    message_id: msgspec.Raw = msgspec.Raw(b"null")
    user_id: msgspec.Raw = msgspec.Raw(b"null")
    anonymous_id: msgspec.Raw = msgspec.Raw(b"null")
    previous_id: msgspec.Raw = msgspec.Raw(b"null")
    group_id: msgspec.Raw = msgspec.Raw(b"null")


_decode: Final = msgspec.json.Decoder(_Written).decode


def ids_of(message: Message, raw: bytes | msgspec.Raw) -> Ids:
    """The ids of a message, which as written is `raw`.

    Raises:
        InvalidArgument: `INVALID_TYPE`: one is neither a text nor a number.
    """
    told = [getattr(message, name) for name in Ids.__struct_fields__]
    if all(one is None or isinstance(one, str) for one in told):
        return Ids(*[one or "" for one in told])
    written = _decode(raw)
    return Ids(*[_text(name, getattr(written, name)) for name in Ids.__struct_fields__])


def _text(name: str, raw: msgspec.Raw) -> str:
    text = additions.text(raw)
    if not text and bytes(raw) not in {b"null", b'""'}:
        raise InvalidArgument("INVALID_TYPE", f"`{name}` must be a text or a number.")
    return text
