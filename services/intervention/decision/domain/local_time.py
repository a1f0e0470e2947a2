"""The user's own clock and calendar: business hours, quiet hours and the periods of caps."""

import datetime as dt
import functools
import zoneinfo
from collections.abc import Callable
from typing import Final

from services.intervention.policy.domain.policy import HOUR_US, LEAST_QUIET_MINUTES, MINUTE_US, QuietHours

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_SATURDAY: Final = 5
_DAY_MINUTES: Final = 24 * 60
# Longer than any such period, even if clocks are set back or a date occurs twice.
_LONGEST_US: Final = {"hour": 3 * HOUR_US, "day": 50 * HOUR_US, "week": 9 * 24 * HOUR_US}
# Quiet hours last at least this long, so that steps of this length find them.
_STEP_US: Final = LEAST_QUIET_MINUTES * MINUTE_US


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


def business_us_left(at_us: int, zone_name: str, opens_hour: int, closes_hour: int) -> int:
    """Microseconds until business hours end; 0 outside them. Monday to Friday."""
    local = local_time(at_us, zone_name)
    if local.weekday() >= _SATURDAY or not opens_hour <= local.hour < closes_hour:
        return 0
    return _at_hour(local, closes_hour) - at_us


def next_opening_us(at_us: int, zone_name: str, opens_hour: int) -> int:
    """When business hours start next, after the given time: Unix microseconds."""
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


def period(at_us: int, zone_name: str, per: str) -> tuple[int, ...]:
    """Names the hour, day or week (Monday to Sunday) of the user's calendar that a time lies in.

    The hour that comes twice when daylight saving ends is one hour. A day that a zone leaves out is no day.
    """
    local = local_time(at_us, zone_name)
    if per == "week":
        return tuple(local.isocalendar()[:2])
    return (*local.timetuple()[:3], local.hour) if per == "hour" else tuple(local.timetuple()[:3])


def end_of_period_us(at_us: int, zone_name: str, per: str) -> int:
    """The first time that lies in another period: Unix microseconds."""
    this = period(at_us, zone_name, per)
    return _first_us(at_us, _LONGEST_US[per], lambda each: period(each, zone_name, per) != this)


def is_quiet(at_us: int, zone_name: str, quiet: QuietHours) -> bool:
    """Whether the user's clock shows a quiet hour."""
    local = local_time(at_us, zone_name)
    return _is_between(local.hour * 60 + local.minute, quiet)


def after_quiet_us(at_us: int, zone_name: str, quiet: QuietHours) -> int:
    """The first time that is not quiet, from the given time on: Unix microseconds.

    Where the clock jumps over the end of the quiet hours, it is the time they would have ended without the jump.
    """
    if not is_quiet(at_us, zone_name, quiet):
        return at_us
    day = local_time(at_us, zone_name)
    while True:
        end = day.replace(hour=quiet.end_minute // 60, minute=quiet.end_minute % 60, second=0, microsecond=0, fold=0)
        for fold in (0, 1):  # an end that comes twice, after which it may be quiet once more
            end_us = instant_us(end.replace(fold=fold))
            if end_us > at_us and not is_quiet(end_us, zone_name, quiet):
                return end_us
        day += dt.timedelta(days=1)


def next_quiet_us(at_us: int, zone_name: str, quiet: QuietHours) -> int:
    """The first quiet time after a time that is not quiet: Unix microseconds."""
    begin_us = at_us
    while not is_quiet(begin_us + _STEP_US, zone_name, quiet):
        begin_us += _STEP_US
    return _first_us(begin_us, _STEP_US, lambda each: is_quiet(each, zone_name, quiet))


def _first_us(after_us: int, within_us: int, is_past: Callable[[int], bool]) -> int:
    """The first time at which something holds. It changes once: false at the start, true at the end."""
    low, high = after_us, after_us + within_us
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_past(middle) else (middle, high)
    return high


def _is_between(minute: int, quiet: QuietHours) -> bool:
    return (minute - quiet.start_minute) % _DAY_MINUTES < (quiet.end_minute - quiet.start_minute) % _DAY_MINUTES
