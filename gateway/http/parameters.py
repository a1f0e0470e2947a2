"""Query parameters, and cursors wherever they come from; read strictly, so that no typo goes unnoticed."""

import datetime as dt
import re
import urllib.parse
from collections.abc import Collection
from typing import Final

from gateway.http.asgi import Scope
from mesh.errors import InvalidArgument

CURSOR: Final = "^[0-9]{0,18}$"
LIST_CURSOR: Final = "^[0-9A-Za-z]{0,64}$"
"""The cursors of pending help and of lists, as JSON Schema patterns."""

_LENGTH: Final = 64


def query(scope: Scope, known: Collection[str]) -> dict[str, str]:
    """The query's parameters.

    Raises:
        InvalidArgument: `INVALID_PARAMETER`, one is unknown, repeated or not UTF-8.
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
    """A cursor of pending help, checked: up to 18 digits, or empty.

    Raises:
        InvalidArgument: `INVALID_PARAMETER`.
    """
    return _matching(CURSOR, text, name)


def list_cursor(text: str, name: str) -> str:
    """A page token, checked; only the service that issued it can read it.

    Raises:
        InvalidArgument: `INVALID_PARAMETER`.
    """
    return _matching(LIST_CURSOR, text, name)


def number(text: str | None, name: str, default: int, maximum: int) -> int:
    """A query parameter that is a number from 1 to `maximum`.

    Raises:
        InvalidArgument: `INVALID_PARAMETER`.
    """
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= maximum):
        raise InvalidArgument("INVALID_PARAMETER", f"`{name}` must be a number from 1 to {maximum}.")
    return int(text)


def date(text: str | None, name: str) -> str:
    """A query parameter that is a day, as 2026-01-02; empty if it is not given.

    Raises:
        InvalidArgument: `INVALID_PARAMETER`.
    """
    if text is None:
        return ""
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:  # ISO 8601 has other ways to write one
        raise InvalidArgument("INVALID_PARAMETER", f"`{name}` must be a day, written as 2026-01-02.")
    return text


def _matching(pattern: str, text: str, name: str) -> str:
    if not (len(text) <= _LENGTH and re.fullmatch(pattern, text)):
        raise InvalidArgument("INVALID_PARAMETER", f"`{name}` must be one that was given out before.")
    return text
