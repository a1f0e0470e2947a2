"""Members that are additions to an event: one that cannot be read is left out, which is told, and the event is taken.

Reading strictly comes first and costs nothing; what is here runs only after it has failed.
"""

import functools
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

Warn = Callable[[str, str], None]
"""Tells what was cleaned or left out: the member, as clients call it, and a sentence without what they sent."""

Struct = TypeVar("Struct", bound=msgspec.Struct)

LEFT_OUT: Final = "It is of another type than it must be, and was left out."
PAGINATION: Final = "A number is no name of a page; it was left out."
_AS_TEXT: Final = "A number was taken as a text."
_UNKNOWN: Final = "There is no such member; it was left out."
_NAME_LENGTH: Final = 64

_NUMBER: Final = re.compile(rb"-?[0-9][0-9.eE+-]*+")
_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode


def unheard(_member: str, _detail: str) -> None:
    """Hears a warning where there is nobody to tell: of properties that are kept as free ones."""


def members(written: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The members of an object, each still to be read.

    Raises:
        msgspec.DecodeError: it is no object.
    """
    return _decode_members(written)


def text(raw: bytes | msgspec.Raw) -> str:
    """A text, or a number with every digit as it is written; empty for anything else."""
    written = bytes(raw)
    if written.startswith(b'"'):
        return _decode_text(written)
    return written.decode() if _NUMBER.fullmatch(written) else ""


def number(told: object) -> float | None:
    """A number, or one in a text; none for anything else, also where it is infinite."""
    if isinstance(told, bool) or not isinstance(told, (int, float, str)):
        return None
    try:
        found = float(told)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < float("inf") else None


def read(written: bytes | msgspec.Raw, kind: type[Struct], required: frozenset[str], warn: Warn) -> Struct:
    """An object of this kind, without those of its members that are of another type; unknown ones are free.

    Raises:
        msgspec.DecodeError: it is no object, or a required member is of another type.
    """
    there = members(written)
    told: dict[str, Any] = {}
    for field, decode in _fields(kind):
        raw = there.get(field.encode_name)
        if raw is None:
            continue
        try:
            told[field.name] = decode(raw)
        except msgspec.ValidationError:
            if field.encode_name in required:
                raise
            told[field.name] = _otherwise(raw, field, warn)
    return kind(**told)


def tell_unknown(written: bytes | msgspec.Raw, kind: type[msgspec.Struct], warn: Warn, prefix: str) -> None:
    """Warns of the members that such an object does not have."""
    known = {field.encode_name for field, _ in _fields(kind)}
    for name in members(written):
        if name not in known:
            warn(prefix + name[:_NAME_LENGTH], _UNKNOWN)


def _otherwise(raw: msgspec.Raw, field: msgspec.structs.FieldInfo, warn: Warn) -> str | float | None:
    """What a member of another type still tells."""
    if _is_of(field, str):
        found = text(raw)
        if found and field.encode_name == "page":
            warn("page", PAGINATION)
            return None
        warn(field.encode_name, _AS_TEXT if found else LEFT_OUT)
        return found or None
    if _is_of(field, float):
        measure = number(msgspec.json.decode(raw)) if bytes(raw).startswith(b'"') else None
        if measure is not None:
            return measure
    warn(field.encode_name, LEFT_OUT)
    return None


def _is_of(field: msgspec.structs.FieldInfo, kind: type) -> bool:
    return kind in _types(field.type)


@functools.cache
def _types(annotation: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a type's own form
    """The types a field may have; what limits them is left away."""
    found = msgspec.inspect.type_info(annotation)
    inside = found.type if isinstance(found, msgspec.inspect.Metadata) else found
    kinds = inside.types if isinstance(inside, msgspec.inspect.UnionType) else (inside,)
    return tuple(_PLAIN[type(one)] for one in kinds if type(one) in _PLAIN)


_PLAIN: Final[dict[type, type]] = {msgspec.inspect.StrType: str, msgspec.inspect.FloatType: float}


@functools.cache
def _fields(
    kind: type[msgspec.Struct],
) -> tuple[tuple[msgspec.structs.FieldInfo, Callable[[bytes | msgspec.Raw], Any]], ...]:
    return tuple((field, msgspec.json.Decoder(field.type).decode) for field in msgspec.structs.fields(kind))
