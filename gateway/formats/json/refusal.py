"""Why a decoder refused what a client sent, as an error of the contract."""

import re
from typing import Final, TypeVar

import msgspec

from mesh.errors import InvalidArgument

MAX_DEPTH: Final = 32
DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for JSON that it cannot read."""

_SHOWN_CHARACTERS: Final = 200
_STRINGS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))

_Kind = TypeVar("_Kind")


def decoded(raw: bytes | str, kind: type[_Kind], expected: str) -> _Kind:
    """Decodes a short JSON text; `expected` is an example for the error.

    Raises:
        InvalidArgument: `MALFORMED_JSON`, `UNKNOWN_FIELD`, `INVALID_TYPE`.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        reason = "UNKNOWN_FIELD" if "unknown field" in str(error) else "INVALID_TYPE"
        raise InvalidArgument(reason, f"It must be like {expected}.") from None
    except DECODE_ERRORS:
        raise InvalidArgument("MALFORMED_JSON", "It is not JSON in UTF-8.") from None


def refusal(error: Exception, raw: bytes | msgspec.Raw, root: str) -> InvalidArgument:
    """The error to report for a decoder's error; `root` is the path of what it decoded."""
    if isinstance(error, msgspec.ValidationError):
        # The decoder stops at the first member of a wrong type; invalid JSON takes precedence.
        error = _fault(raw) or error
    if isinstance(error, RecursionError):
        return too_deep()
    if not isinstance(error, msgspec.ValidationError):
        return InvalidArgument("MALFORMED_JSON", "The event is not JSON in UTF-8.")
    text = str(error).replace("`$", f"`{root}")
    detail = f"{text[:_SHOWN_CHARACTERS]}."
    if text.startswith("Object contains unknown field"):
        return InvalidArgument("UNKNOWN_FIELD", detail)
    if "RFC3339" in text or "timezone component" in text:
        return InvalidArgument("INVALID_TIME", detail)
    if "out of range" in text:
        return InvalidArgument("VALUE_OUT_OF_RANGE", detail)
    return InvalidArgument("INVALID_TYPE", detail)


def too_deep() -> InvalidArgument:
    """The error for JSON that nests too deep."""
    return InvalidArgument("INVALID_TYPE", f"`properties` may nest {MAX_DEPTH} deep.")


def require_plain(written: bytes) -> None:
    """Requires that an object does not nest too deep, and is UTF-8 even where a decoder would skip it.

    Raises:
        InvalidArgument: `INVALID_TYPE` or `MALFORMED_JSON`.
    """
    # Counting brackets is cheap; only if there are many is it worth checking whether they nest.
    is_short = len(written) <= 2 * MAX_DEPTH
    if not is_short and written.count(b"{") + written.count(b"[") > MAX_DEPTH and _is_deep(written):
        raise too_deep()
    if not written.isascii():
        try:
            written.decode()
        except UnicodeDecodeError as error:
            raise refusal(error, written, "$.properties") from None


def _is_deep(written: bytes) -> bool:
    """Whether brackets remain once innermost pairs are removed as often as they may nest."""
    left = _STRINGS.sub(b"", written).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        fewer = left.replace(b"[]", b"")
        if len(fewer) == len(left):
            break
        left = fewer
    return bool(left) and not isinstance(_fault(written), msgspec.DecodeError)


def _fault(raw: bytes | msgspec.Raw) -> Exception | None:
    try:
        msgspec.json.decode(raw)
    except msgspec.ValidationError:  # a number too large for Python is still JSON
        return None
    except DECODE_ERRORS as error:
        return error
    return None
