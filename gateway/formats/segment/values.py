"""Values in the many forms in which Segment's clients send them."""

import datetime as dt
from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.formats.json import lenient
from gateway.formats.values import times
from mesh.errors import InvalidArgument

_EMPTY: Final = (b"", b"null", b"[]")  # a language without objects sends an empty one as an array
_decode: Final = msgspec.json.Decoder().decode
_decode_text: Final = msgspec.json.Decoder(str).decode


def is_empty(written: bytes) -> bool:
    """Whether an object is absent, or has no members."""
    return written in _EMPTY


def texts(members: Mapping[str, msgspec.Raw], *names: str) -> dict[str, str]:
    """Those of the members that are texts."""
    found = ((name, members.get(name)) for name in names)
    return {name: _decode_text(raw) for name, raw in found if raw is not None and bytes(raw)[:1] == b'"'}


def number(members: Mapping[str, msgspec.Raw], name: str) -> float | None:
    """A member that is a number, or a text that holds one; None for anything else."""
    try:
        return lenient.number(_decode(members[name])) if name in members else None
    except msgspec.ValidationError:  # a number too large for Python
        return None


def name(members: Mapping[str, msgspec.Raw], *names: str) -> str:
    """The first of the members that is a number or a text that is not blank; empty if there is none."""
    return next((text for one in names if one in members and (text := lenient.text(members[one])).strip()), "")


def text(value: object) -> str:
    """A text, or a number as one; empty for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def time(value: object) -> dt.datetime | None:
    """A time, in UTC unless it names a zone; None if there is none.

    Raises:
        InvalidArgument: `INVALID_TIME`, `INVALID_TYPE`.
    """
    read = times.read(value, "timestamp")
    return read if read is None or read.tzinfo else read.replace(tzinfo=dt.UTC)


def time_if_any(value: object) -> dt.datetime | None:
    """A time; None also if it cannot be read, for times that nothing depends on."""
    try:
        return time(value)
    except InvalidArgument:
        return None
