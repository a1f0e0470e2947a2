"""Times as people write them. docs/clients.md states the rules; ambiguous times are refused."""

import datetime as dt
import email.utils
import re
from typing import Final

from mesh.errors import InvalidArgument

_LENGTH: Final = 64
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
# From September 2001 to May 2033; no date written as digits alone falls into this range.
_SECONDS: Final = (1e9, 2e9)
_DIGITS: Final = re.compile(r"\d{10}(?:\d{3})?(?:\.\d{1,9})?")
_NAMED_ZONE: Final = re.compile(r" ?(?:UTC|GMT)\Z")
# One-digit months and days, as in an example of Segment's documentation.
_SHORT_DATE: Final = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)")


def read(value: object, member: str) -> dt.datetime | None:
    """A time, aware if it names a zone; None for None.

    Raises:
        InvalidArgument: `INVALID_TIME`, or `INVALID_TYPE` if it is neither a text nor a number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise InvalidArgument("INVALID_TYPE", f"`{member}` must be a time.")
    found = _in_text(value) if isinstance(value, str) else _in_number(value)
    if found is None:
        raise InvalidArgument("INVALID_TIME", f"`{member}` must be a time as in RFC 3339.")
    return found


def with_zone(value: object, member: str) -> dt.datetime | None:
    """A time that must name a zone.

    Raises:
        InvalidArgument: `INVALID_TIME`, `INVALID_TYPE`.
    """
    found = read(value, member)
    if found is not None and found.tzinfo is None:
        raise InvalidArgument("INVALID_TIME", f"`{member}` must tell its offset from UTC, or `Z`.")
    return found


def microseconds(time: dt.datetime) -> int:
    """Unix microseconds of a time that has a zone."""
    return (time - _EPOCH) // _MICROSECOND


def rfc3339(time_us: int) -> str:
    """Unix microseconds as RFC 3339."""
    return (_EPOCH + dt.timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")


def _in_number(value: float) -> dt.datetime | None:
    """Unix seconds or milliseconds, distinguished by size."""
    first, last = _SECONDS
    for unit in (1, 1000):
        if first * unit <= value < last * unit:
            return _EPOCH + dt.timedelta(microseconds=round(value * (1_000_000 // unit)))
    return None


def _in_text(value: str) -> dt.datetime | None:
    if len(value) > _LENGTH:
        return None
    text = value.strip()
    if _DIGITS.fullmatch(text):
        return _in_number(float(text))
    if text[:1].isalpha():
        return _in_mail_format(text)
    text = _NAMED_ZONE.sub("Z", text.upper())
    for written in (text, _SHORT_DATE.sub(_padded, text, count=1)):
        try:
            return _in_range(dt.datetime.fromisoformat(written))
        except ValueError:
            continue
    return None


def _in_range(time: dt.datetime) -> dt.datetime | None:
    """The time; None if in UTC it lies before the year 1 or after 9999, where no message can hold it."""
    try:
        return time if time.tzinfo is None or time.astimezone(dt.UTC) else None
    except OverflowError:
        return None


def _in_mail_format(text: str) -> dt.datetime | None:
    """The format of mail and HTTP: `Fri, 27 Nov 2026 22:48:23 GMT`."""
    try:
        found = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return _in_range(found) if found.tzinfo else None


def _padded(found: re.Match[str]) -> str:
    return f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}"
