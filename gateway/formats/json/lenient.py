"""Reads objects member by member: an optional member that cannot be read is left out with a warning.

This runs only after strict reading has failed, so the usual case costs nothing.
"""

import functools
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

Warn = Callable[[str, str], None]
"""Reports what was cleaned or left out: the member, in the client's terms, and a sentence without anything it sent."""

Struct = TypeVar("Struct", bound=msgspec.Struct)

LEFT_OUT: Final = "It is of another type than it must be, and was left out."
PAGINATION: Final = "A number is no name of a page; it was left out."
_AS_TEXT: Final = "A number was taken as a text."
_UNKNOWN: Final = "There is no such member; it was left out."
_NAME_LENGTH: Final = 64

_NUMBER: Final = re.compile(rb"-?[0-9][0-9.eE+-]*+")
_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode


def ignore(_member: str, _detail: str) -> None:
    """Ignores a warning."""


def members(written: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The members of an object, yet to be read.

    Raises:
        msgspec.DecodeError: it is no object.
    """
    return _decode_members(written)


def text(raw: bytes | msgspec.Raw) -> str:
    """A text, or a number digit by digit as it is written; empty for anything else."""
    written = bytes(raw)
    if written.startswith(b'"'):
        return _decode_text(written)
    return written.decode() if _NUMBER.fullmatch(written) else ""


def number(value: object) -> float | None:
    """A finite number, or a text that holds one; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < float("inf") else None


def read(written: bytes | msgspec.Raw, kind: type[Struct], required: frozenset[str], warn: Warn) -> Struct:
    """An object of this kind, without its members of another type; unknown members are allowed.

    Raises:
        msgspec.DecodeError: it is no object, or a required member is of another type.
    """
    written_members = members(written)
    found: dict[str, Any] = {}
    for field, decode in _fields(kind):
        raw = written_members.get(field.encode_name)
        if raw is None:
            continue
        try:
            found[field.name] = decode(raw)
        except msgspec.ValidationError:
            if field.encode_name in required:
                raise
            found[field.name] = _fallback(raw, field, warn)
    return kind(**found)


def warn_of_unknown(written: bytes | msgspec.Raw, kind: type[msgspec.Struct], warn: Warn, prefix: str) -> None:
    """Warns of members that objects of this kind do not have."""
    known = {field.encode_name for field, _ in _fields(kind)}
    for name in members(written):
        if name not in known:
            warn(prefix + name[:_NAME_LENGTH], _UNKNOWN)


def _fallback(raw: msgspec.Raw, field: msgspec.structs.FieldInfo, warn: Warn) -> str | float | None:
    """What a member of another type can still be read as."""
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
