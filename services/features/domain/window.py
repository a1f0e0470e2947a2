"""Counting over time, in two ways: exact times for the last half hour, one byte a day for the last four weeks.

Both count back from a moment that is never earlier than the latest event. Both expire by themselves and are bounded: a
script that sends a million errors needs no more memory than a user with 64.
"""

from bisect import bisect_right, insort
from functools import lru_cache
from zlib import crc32

COUNT_LIMIT = 64
"""Counts stop here; the newest times are kept."""
DAY_SPAN = 28
"""Days to look back on, including today."""
SESSION_LIMIT = 64
PAGE_LIMIT = 128

_MARK_BYTES = 4


def note(times: list[int], at_us: int, now_us: int, span_us: int) -> None:
    """Inserts a time in order and drops times `span_us` or more before `now_us`, even the new one."""
    since_us = now_us - span_us
    if times and times[0] <= since_us:
        del times[: bisect_right(times, since_us)]
    if at_us <= since_us:
        return
    if not times or times[-1] <= at_us:
        times.append(at_us)
    else:
        insort(times, at_us)
    if len(times) > COUNT_LIMIT:
        del times[0]


def count(times: list[int], since_us: int) -> int:
    """How many times lie after `since_us`, up to `COUNT_LIMIT`."""
    if not times:
        return 0
    return len(times) if times[0] > since_us else len(times) - bisect_right(times, since_us)


def note_session(days: bytes, day: int) -> bytes:
    """Adds a session that began on `day`, no earlier than the others; beyond the limit the oldest is dropped."""
    return days[-SESSION_LIMIT + 1 :] + bytes((day & 255,))


def note_page(marks: bytes, days: bytes, page: str, day: int, today: int) -> tuple[bytes, bytes]:
    """Adds a visit of a page on `day`; returns the page marks and the day of each page's last visit.

    A page is identified by a 32-bit checksum of its name. Visits before the last 28 days are ignored. Beyond the limit
    the page not visited for longest is dropped.
    """
    if today - day >= DAY_SPAN:
        return marks, days
    sought = mark(page)
    place = marks.find(sought)
    while place % _MARK_BYTES and place >= 0:
        place = marks.find(sought, place + 1)
    if place >= 0:
        index = place // _MARK_BYTES
        if _age(days[index], today) <= today - day:
            return marks, days
        return marks, days[:index] + bytes((day & 255,)) + days[index + 1 :]
    if len(days) >= PAGE_LIMIT:
        index = max(range(len(days)), key=lambda at: _age(days[at], today))
        marks = marks[: index * _MARK_BYTES] + marks[(index + 1) * _MARK_BYTES :]
        days = days[:index] + days[index + 1 :]
    return marks + sought, days + bytes((day & 255,))


def count_days(days: bytes, today: int, day: int) -> int:
    """How many of the marks made up to `today` lie within the 28 days that end with `day`, a day not before `today`."""
    if day == today:
        return len(days)
    oldest = DAY_SPAN - (day - today)
    return sum(_age(mark, today) < oldest for mark in days)


def advance_days(days: bytes, today: int, day: int) -> bytes:
    """The marks still within 28 days when `today` becomes `day`; to be called before a later mark is made."""
    oldest = DAY_SPAN - (day - today)
    return bytes(mark for mark in days if _age(mark, today) < oldest)


def advance_pages(marks: bytes, days: bytes, today: int, day: int) -> tuple[bytes, bytes]:
    """The page marks and days that are still within 28 days when `today` becomes `day`."""
    oldest = DAY_SPAN - (day - today)
    kept = [index for index, mark in enumerate(days) if _age(mark, today) < oldest]
    if len(kept) == len(days):
        return marks, days
    return (
        b"".join(marks[index * _MARK_BYTES : (index + 1) * _MARK_BYTES] for index in kept),
        bytes(days[index] for index in kept),
    )


def checksum(text: str) -> bytes:
    """The checksum of a text, 4 bytes."""
    return crc32(text.encode("utf-8", "surrogatepass")).to_bytes(_MARK_BYTES, "big")


@lru_cache(maxsize=4096)
def mark(name: str) -> bytes:
    """The checksum of a name, 4 bytes. Cached: a product has few names and many events."""
    return checksum(name)


def _age(mark: int, today: int) -> int:
    """Days from a mark to `today`, 0 to 255. One byte is enough: marks older than 28 days are gone by then."""
    return (today - mark) & 255
