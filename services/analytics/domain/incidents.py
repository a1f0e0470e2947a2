"""What a watch would have told of a metric's past: values alone, in order of time."""

import datetime as dt
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from zoneinfo import ZoneInfo

from services.analytics.domain.unusual import Judgement, Kind, Watch


class Incident(NamedTuple):
    """Buckets from the one with which an incident opened up to the last before it closed, by number.

    `value`, `expected` and `off` are those of the bucket that was furthest off, `peak`; `off` is in spreads. `is_open`
    says that it had not closed with the last bucket.
    """

    first: int
    last: int
    peak: int
    value: float
    expected: float
    off: float
    is_open: bool


def slot(seconds: float, bucket_seconds: int, zone: ZoneInfo) -> int:
    """A bucket's place in the week of a zone, in buckets, from the time since 1970 at which it begins."""
    local = dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone(zone)
    of_week = local.weekday() * 86_400 + local.hour * 3_600 + local.minute * 60 + local.second
    return of_week // bucket_seconds


def judged(kind: Kind, values: Iterable[float], slots: Iterable[int]) -> Iterator[tuple[int, float, Judgement]]:
    """Each bucket's number and value, and what is said of it; buckets whose value is NaN are left out.

    Args:
        kind: of the values.
        values: of counts, at least 0.
        slots: each bucket's place in the week.
    """
    watch = Watch(kind)
    for number, (value, place) in enumerate(zip(values, slots, strict=True)):
        if not math.isnan(value):
            yield number, value, watch.judge(value, place)


def incidents(judgements: Iterable[tuple[int, float, Judgement]]) -> list[Incident]:
    """The incidents among buckets that were judged, in order."""
    found: list[Incident] = []
    was_open = False
    for number, value, judgement in judgements:
        here = Incident(number, number, number, value, judgement.expected, judgement.off, is_open=True)
        if judgement.opens:
            found.append(here)
        elif was_open and judgement.is_open:
            worst = max(found[-1], here, key=lambda each: abs(each.off))
            found[-1] = worst._replace(first=found[-1].first, last=number)
        elif was_open:
            found[-1] = found[-1]._replace(is_open=False)
        was_open = judgement.is_open
    return found
