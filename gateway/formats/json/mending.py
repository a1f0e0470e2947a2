"""JSON that is almost JSON: NaN and infinities, halves of surrogate pairs, bytes that are not UTF-8.

Clients in every language send these. They are mended only after strict reading has failed: a number becomes null, half
a character U+FFFD. The time is proportional to the length.
"""

import re
from typing import Final, NamedTuple

import msgspec

# More is no accident.
_MAX_PLACES: Final = 1000

# Each first skips, in one step, everything before the next fault.
_HALVES: Final = re.compile(
    rb"((?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})++)"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}",
    re.DOTALL,
)
_NO_NUMBERS: Final = re.compile(rb'((?:[^"NI\-]++|"(?:[^"\\]++|\\.)*+"?|-(?!Infinity))++)|NaN|-?Infinity', re.DOTALL)


class Mended(NamedTuple):
    """Mended JSON, and the number of places mended."""

    written: bytes
    place_count: int


def mend(written: bytes | msgspec.Raw) -> Mended | None:
    """JSON without such faults; None if there are none, or too many for an accident."""
    original = bytes(written)
    counts: list[int] = []
    mended = _as_utf8(original)
    if mended != original:
        counts.append(1)
    if 0 < mended.count(b"\\u") <= 8 * _MAX_PLACES:
        mended = _replaced(_HALVES, mended, b"\\ufffd", counts)
    if 0 < mended.count(b"NaN") + mended.count(b"Infinity") <= _MAX_PLACES:
        mended = _replaced(_NO_NUMBERS, mended, b"null", counts)
    place_count = sum(counts)
    return Mended(mended, place_count) if mended != original and place_count <= _MAX_PLACES else None


def mended(written: bytes) -> bytes:
    """The JSON, mended if that is needed and possible."""
    found = mend(written)
    return found.written if found else written


def _as_utf8(written: bytes) -> bytes:
    """The text in UTF-8; surrogates that were encoded one by one become their character."""
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
