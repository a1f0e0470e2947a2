"""What a watch would have told of a metric's past."""

import math
from collections.abc import Iterator
from typing import NamedTuple
from zoneinfo import ZoneInfo

from offline.insights.metric import Metric
from offline.insights.watch import Judgement, Watch


class Incident(NamedTuple):
    """Buckets from the one with which an incident opened up to the last before it closed, by number.

    `value`, `expected` and `off` are those of the bucket that was furthest off, `off` in spreads.
    """

    first: int
    last: int
    value: float
    expected: float
    off: float


def judged(metric: Metric, zone: ZoneInfo) -> Iterator[tuple[int, float, Judgement]]:
    """Each bucket's number and value, and what is said of it; buckets without a value are left out."""
    watch = Watch(metric.kind)
    for number, value in enumerate(metric.values):
        if not math.isnan(value):
            yield number, value, watch.judge(value, metric.slot(number, zone))


def incidents(metric: Metric, zone: ZoneInfo) -> list[Incident]:
    """The incidents, in order."""
    found: list[Incident] = []
    is_open = False
    for number, value, judgement in judged(metric, zone):
        here = Incident(number, number, value, judgement.expected, judgement.off)
        if judgement.opens:
            found.append(here)
        elif is_open and judgement.is_open:
            worst = max(found[-1], here, key=lambda each: abs(each.off))
            found[-1] = worst._replace(first=found[-1].first, last=number)
        is_open = judgement.is_open
    return found
