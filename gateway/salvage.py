"""What can still be told of something that was sent as an event and is none, in whichever format."""

from typing import Final

import msgspec

from gateway import cloudevents
from gateway.ids import CLOUD_EVENT
from gateway.mending import mended


class _Ids(msgspec.Struct, rename="camel"):
    event_id: object = None
    message_id: object = None
    specversion: object = None
    id: object = None
    source: object = None
    user_id: object = None
    anonymous_id: object = None
    subject: object = None


_decode: Final = msgspec.json.Decoder(_Ids).decode


def salvage_ids(raw: bytes | msgspec.Raw) -> tuple[str, str]:
    """The event's and the user's id, each empty where it cannot be read."""
    try:
        ids = _decode(mended(bytes(raw)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", ""
    user_id = ids.user_id or ids.anonymous_id
    if ids.specversion is None:
        told = _short(ids.event_id or ids.message_id, 100)
        return "" if told.startswith(CLOUD_EVENT) else told, _short(user_id, 128)
    is_identified = isinstance(ids.source, str) and isinstance(ids.id, str)
    event_id = cloudevents.event_id(str(ids.source), str(ids.id)) if is_identified else ""
    return event_id, _short(user_id or ids.subject, 128)


def _short(value: object, characters: int) -> str:
    return value if isinstance(value, str) and len(value) <= characters else ""
