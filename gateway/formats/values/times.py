"""Times as people write them. docs/clients.md has the rules in words; what is not read for certain is refused."""

import datetime as dt
import email.utils
import re
from typing import Final

from mesh.errors import InvalidArgument

_LENGTH: Final = 64
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
# From September 2001 to May 2033; no date that is written in digits alone looks so.
_SECONDS: Final = (1e9, 2e9)
_DIGITS: Final = re.compile(r"\d{10}(?:\d{3})?(?:\.\d{1,9})?")
_NAMED_ZONE: Final = re.compile(r" ?(?:UTC|GMT)\Z")
# A month or a day of one digit, as in the example of Segment's own documentation.
_SHORT_DATE: Final = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)")


def read(told: object, member: str) -> dt.datetime | None:
    """A time, aware where its zone is told; None where nothing is told.

    Raises:
        InvalidArgument: `INVALID_TIME`, or `INVALID_TYPE` where it is neither a text nor a number.
    """
    if told is None:
        return None
    if isinstance(told, bool) or not isinstance(told, (int, float, str)):
        raise InvalidArgument("INVALID_TYPE", f"`{member}` must be a time.")
    found = _in_text(told) if isinstance(told, str) else _in_number(told)
    if found is None:
        raise InvalidArgument("INVALID_TIME", f"`{member}` must be a time as in RFC 3339.")
    return found


def with_zone(told: object, member: str) -> dt.datetime | None:
    """A time whose zone is told.

    Raises:
        InvalidArgument: `INVALID_TIME`, `INVALID_TYPE`.
    """
    found = read(told, member)
    if found is not None and found.tzinfo is None:
        raise InvalidArgument("INVALID_TIME", f"`{member}` must tell its offset from UTC, or `Z`.")
    return found


def microseconds(time: dt.datetime) -> int:
    """Unix microseconds of a time that has a zone."""
    return (time - _EPOCH) // _MICROSECOND


def written(time_us: int) -> str:
    """Unix microseconds as RFC 3339."""
    return (_EPOCH + dt.timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")


def _in_number(told: float) -> dt.datetime | None:
    """Seconds or milliseconds since 1970, told apart by their size."""
    first, last = _SECONDS
    for unit in (1, 1000):
        if first * unit <= told < last * unit:
            return _EPOCH + dt.timedelta(microseconds=round(told * (1_000_000 // unit)))
    return None


def _in_text(told: str) -> dt.datetime | None:
    if len(told) > _LENGTH:
        return None
    text = told.strip()
    if _DIGITS.fullmatch(text):
        return _in_number(float(text))
    if text[:1].isalpha():
        return _of_mail(text)
    text = _NAMED_ZONE.sub("Z", text.upper())
    for written in (text, _SHORT_DATE.sub(_padded, text, count=1)):
        try:
            return dt.datetime.fromisoformat(written)
        except ValueError:
            continue
    return None


def _of_mail(text: str) -> dt.datetime | None:
    """As mail and HTTP write it: `Fri, 27 Nov 2026 22:48:23 GMT`."""
    try:
        found = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else None


def _padded(found: re.Match[str]) -> str:
    return f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}"
