"""JSON that is almost JSON: NaN and infinities, halves of surrogate pairs, bytes that are no UTF-8.

Clients of every language send these. They are mended once, only after strict reading has failed: a number becomes null,
half a character U+FFFD. All of it takes time in proportion to the length.
"""

import re
from typing import Final, NamedTuple

import msgspec

# What needs more is no slip of a client.
_MOST: Final = 1000

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
