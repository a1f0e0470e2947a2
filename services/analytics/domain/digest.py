"""What a day brought: the incidents that opened, closed and stayed open, and when a message about it is due.

Times are Unix microseconds, days those of a zone. The message about a day is due on the next one, from a time of day
on.
"""

import datetime as dt
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from services.analytics.domain.telling import Sent, came_of, claim, is_next
from services.analytics.domain.watched import Watched, WatchedInsight

_SECOND_US: Final = 1_000_000


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

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not (self.opened or self.closed or self.open)


class DueDigest(NamedTuple):
    """A message about a day that is to be sent, and how often that was tried before."""

    digest: Digest
    attempt_count: int


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
    )


def yesterday(now_us: int, time_zone: str) -> dt.date:
    """The day before today."""
    return dt.datetime.fromtimestamp(now_us // _SECOND_US, ZoneInfo(time_zone)).date() - dt.timedelta(days=1)


def due(watched: Watched, now_us: int, time_zone: str, at: dt.time) -> DueDigest | None:
    """The message to send now, if there is one: about yesterday, without incidents that are snoozed.

    None is due before the time of day, if it was sent, if there is nothing to tell, or about a day before the watch.
    """
    now = dt.datetime.fromtimestamp(now_us // _SECOND_US, ZoneInfo(time_zone))
    if now.time() < at:
        return None
    told = [each for each in watched.insights if not (each.snoozed_until_us and each.snoozed_until_us > now_us)]
    found = digest(watched._replace(insights=tuple(told)), yesterday(now_us, time_zone), time_zone)
    said = watched.digest if watched.digest is not None and watched.digest.kind == found.day else None
    if found.is_empty or found.end_us <= watched.since_us or (said is not None and not is_next(said, now_us)):
        return None
    return DueDigest(found, said.attempt_count if said is not None else 0)


def claimed(watched: Watched, one: DueDigest, now_us: int) -> Watched:
    """The same once somebody is about to send a message, as `telling.claimed`."""
    return watched._replace(digest=claim(one.digest.day, one.attempt_count, now_us))


def settled(watched: Watched, one: DueDigest, sent: Sent, now_us: int) -> Watched:
    """The same with what came of a message that was claimed."""
    return watched._replace(digest=came_of(one.digest.day, one.attempt_count, sent, now_us))


def _midnight_us(day: dt.date, time_zone: str) -> int:
    return int(dt.datetime.combine(day, dt.time(), ZoneInfo(time_zone)).timestamp()) * _SECOND_US
