"""Office hours in the user's own time zone."""

import datetime as dt
import functools
import zoneinfo
from typing import Final

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_SATURDAY: Final = 5


@functools.lru_cache(maxsize=1024)
def zone(name: str) -> dt.tzinfo:
    """The zone of an IANA name; UTC where the name is empty or unknown."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return dt.UTC


def local_time(at_us: int, zone_name: str) -> dt.datetime:
    """The clock on the user's wall at a Unix time in microseconds."""
    return (_EPOCH + dt.timedelta(microseconds=at_us)).astimezone(zone(zone_name))


def left_of_office_us(at_us: int, zone_name: str, opens_hour: int, closes_hour: int) -> int:
    """Microseconds until the office closes; 0 while it is closed. Open from Monday to Friday."""
    local = local_time(at_us, zone_name)
    if local.weekday() >= _SATURDAY or not opens_hour <= local.hour < closes_hour:
        return 0
    return _at_hour(local, closes_hour) - at_us


def next_opening_us(at_us: int, zone_name: str, opens_hour: int) -> int:
    """When the office opens next, after the given time: Unix microseconds."""
    day = local_time(at_us, zone_name)
    while True:
        opening = _at_hour(day, opens_hour)
        if day.weekday() < _SATURDAY and opening > at_us:
            return opening
        day += dt.timedelta(days=1)


def instant_us(local: dt.datetime) -> int:
    """A time on the user's clock as Unix microseconds."""
    return (local - _EPOCH) // _MICROSECOND


def _at_hour(day: dt.datetime, hour: int) -> int:
    # Arithmetic on a zoned time is on the wall clock, so that the hour holds across a change of daylight saving.
    return instant_us(day.replace(hour=hour, minute=0, second=0, microsecond=0, fold=0))
