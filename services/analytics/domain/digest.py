"""What a day brought: the incidents that opened, closed and stayed open, and when a message about it is due.

Times are Unix microseconds, days those of a zone. The message about a day is due on the next one, from a time of day
on, and late if nobody was there to send it, for a week. One day is told after the other. Where the watch has not judged
all of a day when its message is due, that waits for it, for two hours at most, and then says until when it has judged.
"""

import datetime as dt
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from services.analytics.domain.question import HOUR_US
from services.analytics.domain.telling import Sent, came_of, claim, is_next, is_waiting
from services.analytics.domain.watched import BudgetAlarm, Message, Watched, WatchedInsight

QUIET: Final = Sent("quiet")
"""What comes of a day about which there is nothing to tell."""
_SECOND_US: Final = 1_000_000
_MOST_DAYS_LATE: Final = 7
_WAITS_US: Final = 2 * HOUR_US
_DAY: Final = dt.timedelta(days=1)
# By how much a day that is done may be ahead, where the time of day or the zone was changed since.
_MOST_AHEAD: Final = 2 * _DAY


class Digest(NamedTuple):
    """The incidents of a day, each in the order in which they opened, the latest first."""

    day: str
    """As `2026-11-28`."""
    start_us: int
    end_us: int
    is_judged: bool
    """Whether all hours of the day were judged."""
    opened: tuple[WatchedInsight, ...]
    closed: tuple[WatchedInsight, ...]
    open: tuple[WatchedInsight, ...]
    """Those that were open at its end, also those that opened on it."""
    budget_alarms: tuple[BudgetAlarm, ...] = ()
    """Those that were found on it, the last first."""

    judged_until_us: int = 0
    """Until when the hours of the day were judged; 0: none were."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not (self.opened or self.closed or self.open or self.budget_alarms)


class DueDigest(NamedTuple):
    """A message about a day that is to be sent, or left out if it is empty, and how often that was tried before.

    `is_early` says that it has to wait for the watch.
    """

    digest: Digest
    attempt_count: int
    is_early: bool = False


def digest(watched: Watched, day: dt.date, time_zone: str) -> Digest:
    """What a day brought, as it is known now."""
    start_us, end_us = (_midnight_us(each, time_zone) for each in (day, day + dt.timedelta(days=1)))
    its = watched.insights
    return Digest(
        day.isoformat(),
        start_us,
        end_us,
        watched.until_us >= end_us,
        tuple(each for each in its if start_us <= each.opened_us < end_us),
        tuple(each for each in its if each.closed_us is not None and start_us <= each.closed_us < end_us),
        tuple(each for each in its if each.opened_us < end_us and (each.closed_us is None or each.closed_us >= end_us)),
        tuple(each for each in watched.alarms if start_us <= each.found_us < end_us),
        min(watched.until_us, end_us) if watched.until_us > start_us else 0,
    )


def yesterday(now_us: int, time_zone: str) -> dt.date:
    """The day before today."""
    return dt.datetime.fromtimestamp(now_us // _SECOND_US, ZoneInfo(time_zone)).date() - dt.timedelta(days=1)


def due(watched: Watched, now_us: int, time_zone: str, at: dt.time) -> DueDigest | None:
    """The message to send now, if there is one: about the earliest day that is not done, no earlier than a week ago.

    A day is due on the next one from the time of day on. The first day of all is yesterday. Incidents that are snoozed
    are left out, and days before the watch began are empty. A day is not done as empty before all its hours are judged.
    A message about a day of which some are not is early at first.
    """
    day = _day(watched.digest, dt.datetime.fromtimestamp(now_us // _SECOND_US, ZoneInfo(time_zone)), at)
    if day is None:
        return None
    its = digest(watched, day, time_zone)
    is_watched = its.end_us > watched.since_us
    told = [each for each in watched.insights if is_watched and (each.snoozed_until_us or 0) <= now_us]
    found = digest(watched._replace(insights=tuple(told)), day, time_zone)
    said = watched.digest if watched.digest is not None and watched.digest.kind == found.day else None
    attempt_count = said.attempt_count if said is not None else 0
    is_held = said is not None and not is_next(said, now_us)
    if found.is_judged:
        # What waits for the watch has not been tried.
        return None if is_held and attempt_count else DueDigest(found, attempt_count)
    return None if is_held or found.is_empty else DueDigest(found, attempt_count, is_early=said is None)


def postponed(watched: Watched, one: DueDigest, now_us: int) -> Watched:
    """The same once a message waits for the watch: for two hours, or until it has judged all of the day."""
    return watched._replace(digest=Message(one.digest.day, "waiting", 0, now_us + _WAITS_US, "not_judged"))


def claimed(watched: Watched, one: DueDigest, now_us: int) -> Watched:
    """The same once somebody is about to send a message, as `telling.claimed`."""
    return watched._replace(digest=claim(one.digest.day, one.attempt_count, now_us))


def settled(watched: Watched, one: DueDigest, sent: Sent, now_us: int) -> Watched:
    """The same with what came of a message that was claimed."""
    return watched._replace(digest=came_of(one.digest.day, one.attempt_count, sent, now_us))


def _day(said: Message | None, now: dt.datetime, at: dt.time) -> dt.date | None:
    """The earliest day that is due and not done. What a clock that was far ahead did is as if it had not been."""
    last = now.date() - (_DAY if now.time() >= at else 2 * _DAY)
    told = dt.date.fromisoformat(said.kind) if said is not None else None
    if said is None or told is None or told > last + _MOST_AHEAD:
        return last if now.time() >= at else None
    day = max(told if is_waiting(said) else told + _DAY, last - (_MOST_DAYS_LATE - 1) * _DAY)
    return day if day <= last else None


def _midnight_us(day: dt.date, time_zone: str) -> int:
    return int(dt.datetime.combine(day, dt.time(), ZoneInfo(time_zone)).timestamp()) * _SECOND_US
