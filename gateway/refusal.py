"""Why a decoder refused what a client sent, in the words of the contract."""

from typing import Final, TypeVar

import msgspec

from mesh.errors import InvalidArgument

MAX_DEPTH: Final = 32

_SHOWN_CHARACTERS: Final = 200

_Kind = TypeVar("_Kind")


def decoded(raw: bytes | str, kind: type[_Kind], expected: str) -> _Kind:
    """What a short JSON text holds; `expected` is a text that would have been right.

    Raises:
        InvalidArgument: `MALFORMED_JSON`, `UNKNOWN_FIELD`, `INVALID_TYPE`.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        reason = "UNKNOWN_FIELD" if "unknown field" in str(error) else "INVALID_TYPE"
        raise InvalidArgument(reason, f"It must be like {expected}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidArgument("MALFORMED_JSON", "It is not JSON in UTF-8.") from None


def refusal(error: Exception, raw: bytes | msgspec.Raw, root: str) -> InvalidArgument:
    """What a decoder's error means; `root` is where in the event the decoder stood."""
    if isinstance(error, msgspec.ValidationError):
        # The decoder ends at the first wrong member; what is no JSON at all is told first.
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
    """What nests deeper than it may."""
    return InvalidArgument("INVALID_TYPE", f"`properties` may nest {MAX_DEPTH} deep.")


def _fault(raw: bytes | msgspec.Raw) -> Exception | None:
    try:
        msgspec.json.decode(raw)
    except msgspec.ValidationError:  # a number too large for Python is still JSON
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return error
    return None
