"""Which slices explain why a metric was off, such as a page or a platform. Pure.

Adtributor (Bhagwan et al., NSDI 2014): a slice has a contribution, the part of the metric's deviation that it makes up,
and a surprise, the Jensen-Shannon divergence of its share of the field from the share that it had before. A slice is
told if it contributes a tenth at least, and if it moved further than all that is not in it, by more than chance. The
most surprising is first.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from services.analytics.domain.answer import Insight, InsightPart, InsightSlice, Money
from services.analytics.domain.question import HOUR_US, Conditions, SlicedPart, Slices, UserFilter, Window

MOST_TOLD: Final = 5
"""Slices of a metric."""
VERSIONS: Final = frozenset({"model_version", "policy_version"})
"""Fields whose values come and go: a new version takes the place of an old one, and explains nothing by that."""
LEAST_CONTRIBUTION: Final = 0.1
LEAST_DISTANCE: Final = 3.5
"""Standard deviations."""
RESTLESS: Final = 0.05
"""From hour to hour and week to week shares move by this much beside chance."""
_MOST_HOURS: Final = 12
_MOST_HOURS_FROM_PEAK: Final = 12
_GONE: Final = 0.05


class Counted(NamedTuple):
    """A value of a field: its counts in the hours that were off, and in the same hours of the weeks before."""

    value: str
    now: float
    before: float


def question(insight: Insight, time_zone: str, conversion: Conditions) -> Slices | None:
    """Asks what explains an incident; None where nothing is known of its hours.

    Of each part the twelve hours that were furthest off count, within half a day of the one that was so most.
    """
    parts = tuple(each for each in map(_sliced, insight.parts) if each.hours_us)
    if not parts:
        return None
    hours = [hour_us for each in parts for hour_us in each.hours_us]
    return Slices(Window(min(hours), max(hours) + HOUR_US, time_zone), (), UserFilter(), parts, conversion)


def found(part: SlicedPart, total: Counted, fields: Mapping[str, Sequence[Counted]]) -> list[InsightSlice]:
    """The values that explain a part, in no order; see `pairs.told`."""
    return [
        each
        for field, values in fields.items()
        if is_comparable(field, values)
        for each in _of(part, total, field, values)
    ]


def ranked(slices: Iterable[InsightSlice]) -> tuple[InsightSlice, ...]:
    """The slices that are told: the most surprising first, five at most."""
    return tuple(
        sorted(slices, key=lambda each: (-each.surprise, each.field, each.value, each.second_field, each.second_value))
    )[:MOST_TOLD]


def sign(part: SlicedPart, total: Counted) -> float:
    """1 if there was more of the metric than expected, else -1."""
    return math.copysign(1, total.now - part.expected)


def contribution(part: SlicedPart, total: Counted, of: Counted) -> float:
    """Which part of the metric's deviation is that of some counts; 0 if it does not deviate."""
    off = total.now - part.expected
    return (of.now - of.before * part.expected / total.before) / off if off and total.before > 0 else 0.0


def missing(insight: Insight, usual: Sequence[Money], buyer_share: float) -> tuple[Money, ...]:
    """What users would have spent more, by currency, had nothing been unusual; none where nothing is missing.

    Conversions that are missing, times what one spends usually. Without a part of conversions they are missing users
    times the share that converts usually. Of hours that the answer does not have, nothing is known.
    """
    by_metric = {each.metric: each for each in insight.parts if each.direction == "below"}
    if "conversions" in by_metric:
        count = _missing(by_metric["conversions"])
    elif "users" in by_metric:
        count = _missing(by_metric["users"]) * buyer_share
    else:
        return ()
    return tuple(Money(each.currency, each.amount * count) for each in usual if each.amount * count > 0)


def _missing(part: InsightPart) -> float:
    return max(
        0.0, sum((point.expected or 0.0) - point.observed for point in part.points if _is_within(point.start_us, part))
    )


def _is_within(start_us: int, part: InsightPart) -> bool:
    return part.opened_us <= start_us and (part.closed_us is None or start_us < part.closed_us)


def _sliced(part: InsightPart) -> SlicedPart:
    sign = 1 if part.direction == "above" else -1
    off = {
        point.start_us: (sign * (point.observed - point.expected), point.expected)
        for point in part.points
        if point.expected is not None
        and _is_within(point.start_us, part)
        and abs(point.start_us - part.peak_us) <= _MOST_HOURS_FROM_PEAK * HOUR_US
    }
    off[part.peak_us] = (sign * (part.observed - part.expected), part.expected)
    furthest = sorted(
        (hour_us for hour_us, (far, _) in off.items() if far > 0), key=lambda hour_us: (-off[hour_us][0], hour_us)
    )
    hours = tuple(sorted(furthest[:_MOST_HOURS]))
    return SlicedPart(part.metric, hours, sum(off[hour_us][1] for hour_us in hours))


def is_comparable(field: str, values: Sequence[Counted]) -> bool:
    """Whether a field had the same versions before; of all other fields a new or missing value is news."""
    if field not in VERSIONS:
        return True
    now, before = _sums(values)
    return not any(
        (each.now <= 0 and each.before > _GONE * before) or (each.before <= 0 and each.now > _GONE * now)
        for each in values
    )


def _sums(values: Sequence[Counted]) -> tuple[float, float]:
    return sum(each.now for each in values), sum(each.before for each in values)


def _of(part: SlicedPart, total: Counted, field: str, values: Sequence[Counted]) -> Sequence[InsightSlice]:
    now, before = _sums(values)
    if total.now == part.expected or total.before <= 0 or now <= 0 or before <= 0:
        return ()
    scale = part.expected / total.before
    moved = [
        InsightSlice(
            part.metric,
            field,
            each.value,
            each.now,
            each.before * scale,
            contribution(part, total, each),
            surprise(each.before / before, each.now / now),
        )
        for each in values
        if each.value and sign(part, total) * distance(each, total) >= LEAST_DISTANCE
    ]
    return [each for each in moved if each.contribution >= LEAST_CONTRIBUTION]


def distance(of: Counted, total: Counted) -> float:
    """How much further a value moved than all the rest, in standard deviations: the difference of log ratios.

    Half a count is added to each, so that none is zero.
    """
    counts = [max(0.0, count) + 0.5 for count in (of.now, of.before, total.now - of.now, total.before - of.before)]
    now, before, others_now, others_before = counts
    deviation = math.sqrt(sum(1 / count for count in counts) + 2 * RESTLESS**2)
    return (math.log(now / before) - math.log(others_now / others_before)) / deviation


def surprise(before: float, now: float) -> float:
    """How much a share changed, 0 to ln 2 / 2: the half of the Jensen-Shannon divergence that it makes up."""
    mean = (before + now) / 2
    return sum(each * math.log(each / mean) for each in (before, now) if each > 0) / 2
