"""When a tenant is told that the budget of its day is nearly used, or used. Unix microseconds, days of UTC."""

import datetime as dt
from collections.abc import Sequence
from typing import Final, NamedTuple

from services.analytics.domain.question import DAY_US
from services.analytics.domain.telling import Sent, came_of, claim, is_next
from services.analytics.domain.watched import BudgetAlarm, Watched

KIND: Final = "budget"
"""What messages about alarms are about."""
PERCENTS: Final = (100, 80)
"""Of the budget, the largest first: all of it, and what the reference of AWS Budgets has as its example
(`Notification`: 160 of 200 dollars)."""
_MOST_KEPT: Final = 100
_KEPT_DAYS: Final = 14


class BudgetDay(NamedTuple):
    """What a day has cost, and what it may cost, both in US dollars."""

    start_us: int
    daily_usd: float
    used_usd: float


class DueAlarm(NamedTuple):
    """A message about an alarm that is to be sent, and how often that was tried before."""

    alarm: BudgetAlarm
    attempt_count: int


def raised(before: Watched, days: Sequence[BudgetDay], now_us: int) -> Watched:
    """The same with an alarm for each day that has reached a threshold since it was looked at last, without old ones.

    Of a day each threshold is told once, and none below one that was told; again only if the budget is higher since.
    """
    alarms, sequence = before.alarms, before.sequence + 1
    for day in days:
        percent = next((each for each in PERCENTS if 100 * day.used_usd >= each * day.daily_usd), None)
        if percent is None or any(_covers(each, day, percent) for each in alarms):
            continue
        its = dt.datetime.fromtimestamp(day.start_us // 1_000_000, dt.UTC)
        alarm_id = f"{its:%Y%m%d}-{percent}-of-{day.daily_usd!r}"
        alarms = (BudgetAlarm(alarm_id, day.start_us, percent, day.daily_usd, day.used_usd, now_us, sequence), *alarms)
    kept = tuple(each for each in alarms if each.day_us > now_us - _KEPT_DAYS * DAY_US)[:_MOST_KEPT]
    if alarms == before.alarms:
        return before if kept == alarms else before._replace(alarms=kept)
    return before._replace(alarms=kept, sequence=sequence)


def due(watched: Watched, now_us: int) -> DueAlarm | None:
    """The message to send now, if there is one: of the first alarm that was not told, for a day at most."""
    for each in reversed(watched.alarms):
        said = each.message
        if now_us - each.found_us <= DAY_US and (said is None or is_next(said, now_us)):
            return DueAlarm(each, said.attempt_count if said is not None else 0)
    return None


def claimed(watched: Watched, one: DueAlarm, now_us: int) -> Watched:
    """The same once somebody is about to send a message, as `telling.claimed`."""
    its = one.alarm._replace(message=claim(KIND, one.attempt_count, now_us))
    return _with(watched, its)


def settled(watched: Watched, one: DueAlarm, sent: Sent, now_us: int) -> Watched:
    """The same with what came of a message that was claimed, under the next sequence."""
    sequence = watched.sequence + 1
    its = one.alarm._replace(message=came_of(KIND, one.attempt_count, sent, now_us), sequence=sequence)
    return _with(watched, its)._replace(sequence=sequence)


def _covers(known: BudgetAlarm, day: BudgetDay, percent: int) -> bool:
    return (known.day_us, known.daily_usd >= day.daily_usd, known.percent >= percent) == (day.start_us, True, True)


def _with(watched: Watched, its: BudgetAlarm) -> Watched:
    alarms = (its if each.alarm_id == its.alarm_id else each for each in watched.alarms)
    return watched._replace(alarms=tuple(alarms))
