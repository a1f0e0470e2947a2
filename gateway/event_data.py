"""The `data` of a CloudEvent: an event of ours where it has that form exactly, else free properties, whole."""

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway import additions, schema, transcode
from gateway.additions import Warn
from gateway.mending import mended
from gateway.refusal import refusal
from mesh.errors import InvalidArgument

# With one of these, and none that `track` does not take, it is an event as `track` takes it.
_TELLING: Final = frozenset(("properties", "context", "userId", "anonymousId"))
_MEMBERS, _CONTEXT = (
    frozenset(field.encode_name for field in msgspec.structs.fields(kind))
    for kind in (schema.ClientEvent, schema.Context)
)
_MAX_USER_ID_LENGTH: Final = 128


def read(written: bytes, warn: Warn) -> tuple[schema.ClientEvent, bytes]:
    """The event's members beside its properties, and its properties: the data whole, where it is no event of ours."""
    if written.strip() in {b"", b"null"}:
        return schema.ClientEvent(), b"{}"
    try:
        told = additions.members(written)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = refusal(error, written, "$.data")
        if why.reason != "INVALID_TYPE":
            raise why from None
        return schema.ClientEvent(), b'{"data":%b}' % written
    event = _as_ours(told, written, warn)
    if event is None:
        ids = schema.ClientEvent(user_id=user_id(told, "userId"), anonymous_id=user_id(told, "anonymousId"))
        return ids, written
    properties = bytes(event.properties)
    return event, b"{}" if properties in {b"", b"null"} else properties


def _as_ours(told: Mapping[str, msgspec.Raw], written: bytes, warn: Warn) -> schema.ClientEvent | None:
    """The data as an event that `track` takes; None where anything of it is not in that form."""
    if not told.keys() & _TELLING or not told.keys() <= _MEMBERS:
        return None
    for name in ("properties", "context"):
        if bytes(told.get(name, b"null"))[:1] not in {b"{", b"n"}:
            return None
    context = members(bytes(told.get("context", b"{}")))
    if context and not context.keys() & _CONTEXT:
        return None
    heard: list[tuple[str, str]] = []
    try:
        event = transcode.read_members(written, "$.data", lambda *one: heard.append(one))
    except InvalidArgument:
        return None
    if not all(member.startswith("context.") for member, _ in heard):
        return None
    for one in heard:
        warn(*one)
    return event


def user_id(told: Mapping[str, msgspec.Raw], name: str) -> str | None:
    """A member that is a text and may be an id."""
    raw = bytes(told.get(name, b"null"))
    if not raw.startswith(b'"'):
        return None
    try:
        found = additions.text(raw)
    except msgspec.DecodeError:
        return None
    return found if 0 < len(found) <= _MAX_USER_ID_LENGTH else None


def members(written: bytes) -> Mapping[str, msgspec.Raw]:
    """The members of an object; none of anything else."""
    try:
        return additions.members(mended(written))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
