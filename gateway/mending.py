"""JSON that is almost JSON: NaN and infinities, halves of surrogate pairs, bytes that are no UTF-8.

Clients of every language send these. They are mended once, only after strict reading has failed: a number becomes null,
half a character U+FFFD. All of it takes time in proportion to the length.
"""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from gateway.additions import Warn
from gateway.money import NAMED_NO_NUMBER
from gateway.transcode import Read, Stamp
from mesh.errors import InvalidArgument

# What needs more is no slip of a client.
_MOST: Final = 1000
_MOST_OF_A_REQUEST: Final = 10_000

_HALF: Final = "\N{REPLACEMENT CHARACTER}"
_IDS: Final = ("event_id", "user_id", "anonymous_id")
_MENDED: Final = "The JSON held NaN, an infinity or half a character; it was mended."

# Each first takes, in one step, all there is before the next fault.
_HALVES: Final = re.compile(
    rb"((?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})++)"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}",
    re.DOTALL,
)
_NO_NUMBERS: Final = re.compile(rb'((?:[^"NI\-]++|"(?:[^"\\]++|\\.)*+"?|-(?!Infinity))++)|NaN|-?Infinity', re.DOTALL)


class Mended(NamedTuple):
    """JSON that was mended, and at how many places."""

    written: bytes
    place_count: int


def mend(written: bytes | msgspec.Raw) -> Mended | None:
    """The same without such faults; None where there are none, or so many that it is no slip."""
    told = bytes(written)
    counts: list[int] = []
    mended = _as_utf8(told)
    if mended != told:
        counts.append(1)
    if 0 < mended.count(b"\\u") <= 8 * _MOST:
        mended = _replaced(_HALVES, mended, b"\\ufffd", counts)
    if 0 < mended.count(b"NaN") + mended.count(b"Infinity") <= _MOST:
        mended = _replaced(_NO_NUMBERS, mended, b"null", counts)
    place_count = sum(counts)
    return Mended(mended, place_count) if mended != told and place_count <= _MOST else None


def mended(written: bytes) -> bytes:
    """The same, mended where that is needed and can be done."""
    found = mend(written)
    return found.written if found else written


class SecondReading:
    """Reads the events of one request once more that are almost JSON. Beyond a bound they are refused as they are."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._left = _MOST_OF_A_REQUEST

    def read(
        self,
        raw: bytes | msgspec.Raw,
        error: InvalidArgument,
        add: Callable[..., object],
        stamp: Stamp,
        make_id: Callable[[], str],
        warn: Warn,
    ) -> str:
        """Reads an event that was refused with an error. Ids are no additions, nor is the amount of a purchase.

        Raises:
            InvalidArgument: there is nothing to mend, or it is no event all the same.
        """
        mended = mend(raw) if error.reason == "MALFORMED_JSON" and self._left > 0 else None
        if mended is None:
            raise error

        def add_if_whole(*, rare: dict[str, Any], **members: Any) -> object:  # noqa: ANN401 - the members of an event
            if any(_HALF in (of.get(name) or "") for of in (members, rare) for name in _IDS):
                raise InvalidArgument("INVALID_IDENTIFIER", "An id holds half a character, or what is no UTF-8.")
            purchase = rare.get("purchase")
            if purchase is not None and not purchase.amount and NAMED_NO_NUMBER.search(bytes(raw)):
                raise InvalidArgument("UNREADABLE_AMOUNT", "The amount is no number.")
            return add(**members, rare=rare)

        self._left -= mended.place_count
        event_id = self._read(mended.written, add_if_whole, stamp, make_id, warn)
        warn("", _MENDED)
        return event_id


def _as_utf8(written: bytes) -> bytes:
    """The text in UTF-8; pairs of surrogates that were encoded one by one become their character."""
    try:
        written.decode()
    except UnicodeDecodeError:
        pass
    else:
        return written
    try:
        halves = written.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return written.decode("utf-8", "replace").encode()
    return halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _replaced(fault: re.Pattern[bytes], written: bytes, instead: bytes, counts: list[int]) -> bytes:
    found = 0

    def put(match: re.Match[bytes]) -> bytes:
        nonlocal found
        if match[1] is not None:
            return match[1]
        found += 1
        return instead

    mended = fault.sub(put, written)
    counts.append(found)
    return mended
