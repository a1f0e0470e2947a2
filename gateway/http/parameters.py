"""Parameters of queries, and cursors wherever they come: read strictly, so that nothing but what was meant gets on."""

import re
import urllib.parse
from collections.abc import Collection
from typing import Final

from gateway.http.asgi import Scope
from mesh.errors import InvalidArgument

CURSOR: Final = "^[0-9]{0,18}$"
LIST_CURSOR: Final = "^[0-9A-Za-z]{0,64}$"
"""What the cursors of what waits and of a list look like, in the words of JSON Schema."""

_LENGTH: Final = 64


def query(scope: Scope, known: Collection[str]) -> dict[str, str]:
    """The query's parameters.

    Raises:
        InvalidArgument: `INVALID_PARAMETER`, one is unknown, repeated or no UTF-8.
    """
    raw: bytes = scope.get("query_string", b"")
    if not raw:
        return {}
    try:
        pairs = urllib.parse.parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=16)
    except ValueError:
        raise InvalidArgument("INVALID_PARAMETER", "The query cannot be read.") from None
    values = dict(pairs)
    if len(values) < len(pairs):
        raise InvalidArgument("INVALID_PARAMETER", "A query parameter is given more than once.")
    if not values.keys() <= set(known):
        names = ", ".join(f"`{name}`" for name in known) or "none"
        raise InvalidArgument("INVALID_PARAMETER", f"A query parameter is unknown here; known: {names}.")
    return values


def cursor(text: str, name: str) -> str:
    """A cursor as it was given out: a number of up to 18 digits; empty where there is none.

    Raises:
        InvalidArgument: `INVALID_PARAMETER`, it is no such number.
    """
    if not (len(text) <= _LENGTH and re.fullmatch(CURSOR, text)):
        raise InvalidArgument("INVALID_PARAMETER", f"`{name}` must be one that was given out before.")
    return text


def list_cursor(text: str, name: str) -> str:
    """A page token as it was given out, which only its service reads; empty where there is none.

    Raises:
        InvalidArgument: `INVALID_PARAMETER`, no token looks so.
    """
    if not (len(text) <= _LENGTH and re.fullmatch(LIST_CURSOR, text)):
        raise InvalidArgument("INVALID_PARAMETER", f"`{name}` must be one that was given out before.")
    return text


def number(text: str | None, name: str, default: int, maximum: int) -> int:
    """A query parameter that is a number from 1 to `maximum`.

    Raises:
        InvalidArgument: `INVALID_PARAMETER`, it is no such number.
    """
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= maximum):
        raise InvalidArgument("INVALID_PARAMETER", f"`{name}` must be a number from 1 to {maximum}.")
    return int(text)
