"""When key figures were unusual: incidents of each, put together where their times overlap, and how severe they are."""

import datetime as dt
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from services.analytics.domain.answer import Insight, InsightPart, InsightPoint, Insights, WatchedMetric
from services.analytics.domain.incidents import Incident, incidents, judged, slot
from services.analytics.domain.question import HOUR_US, Window
from services.analytics.domain.unusual import LEARNING_BUCKETS, WEEKS_OF_SEASON, Judgement, Kind

METRICS: Final = (
    "events",
    "users",
    "struggles",
    "failures",
    "shown",
    "accepted",
    "conversions",
    "abandonments",
)
"""The metrics, each a count per hour, in the order in which they are told."""
SEVERITIES: Final = ("low", "medium", "high", "critical")
"""How severe an incident is, the least first."""
FAILURES: Final = ("error", "task_failure")
"""The types of event that are failures."""
_HOUR_SECONDS: Final = 3_600
_NEEDED_HOURS: Final = WEEKS_OF_SEASON * 168 + LEARNING_BUCKETS
# A chart has some hours around an incident, and of a long one the first days.
_HOURS_BEFORE: Final = 12
_HOURS_AFTER: Final = 6
_MOST_POINTS: Final = 96
# Severity, by affected hours of users in usual hours: as many users as an hour usually has, for one hour, are 1.
_CRITICAL: Final = 4.0
_HIGH: Final = 1.0
_MEDIUM: Final = 0.25
_CLEAR: Final = 4.0
"""An incident that was never so many spreads off is medium at most."""


class _Judged(NamedTuple):
    """A metric's hours with what is said of them, by number, and its incidents."""

    values: Sequence[float]
    judgements: Mapping[int, Judgement]
    incidents: Sequence[Incident]


def insights(counts: Mapping[str, Sequence[float]], first_us: int, window: Window, limit: int) -> Insights:
    """The incidents that reach into a window, the latest first; each hour is judged by those before it alone.

    Args:
        counts: of each of `METRICS` the count of each hour, from the first that is known on. The last ones MAY be
            missing.
        first_us: when the first hour begins.
        window: what is asked about; its time zone is that of the week.
        limit: so many incidents at most.
    """
    zone = ZoneInfo(window.time_zone)
    hour_count = len(counts["users"])
    slots = [slot(first_us // 1_000_000 + number * _HOUR_SECONDS, _HOUR_SECONDS, zone) for number in range(hour_count)]
    every = {metric: _judged(counts[metric], slots) for metric in METRICS}
    inside = range(max(0, -(-(window.start_us - first_us) // HOUR_US)), hour_count)
    told = [
        (metric, each)
        for metric, its in every.items()
        for each in its.incidents
        if each.is_open or each.last + 1 > inside.start
    ]
    groups = list(_overlapping(told))
    usual = {each: statistics.median(counts[each][inside.start :] or [0.0]) for each in ("users", "conversions")}
    return Insights(
        tuple(_insight(group, every, first_us, usual) for group in groups[: -limit - 1 : -1]),
        len(groups),
        tuple(_metric(metric, its, inside, told) for metric, its in every.items()),
        first_us,
        max(0, math.ceil((_NEEDED_HOURS - hour_count) / 24)),
    )


def first_hour(window: Window) -> int:
    """When the first whole hour of a window begins, by the clock of its zone."""
    offset = dt.datetime.fromtimestamp(window.start_us // 1_000_000, ZoneInfo(window.time_zone)).utcoffset()
    offset_us = (offset or dt.timedelta()) // dt.timedelta(microseconds=1)
    return -(-(window.start_us + offset_us) // HOUR_US) * HOUR_US - offset_us


def nothing_known() -> Insights:
    """The answer where there is no hour to judge."""
    metrics = tuple(WatchedMetric(metric, 0.0, 0, 0) for metric in METRICS)
    return Insights((), 0, metrics, None, math.ceil(_NEEDED_HOURS / 24))


def _judged(values: Sequence[float], slots: Sequence[int]) -> _Judged:
    found = list(judged(Kind.COUNT, values, slots[: len(values)]))
    return _Judged(values, {number: judgement for number, _, judgement in found}, incidents(found))


def _overlapping(told: Iterable[tuple[str, Incident]]) -> Iterable[list[tuple[str, Incident]]]:
    """Groups of incidents in order of time: each overlaps another one of its group."""
    group: list[tuple[str, Incident]] = []
    last = -1
    for each in sorted(told, key=lambda its: (its[1].first, METRICS.index(its[0]))):
        if group and each[1].first > last:
            yield group
            group = []
        group.append(each)
        last = max(last, each[1].last) if len(group) > 1 else each[1].last
    if group:
        yield group


def _insight(
    group: Sequence[tuple[str, Incident]], every: Mapping[str, _Judged], first_us: int, usual: Mapping[str, float]
) -> Insight:
    affected = max(_affected(every[metric], every["users"], each) for metric, each in group)
    lost = max((_lost(every[metric], each) for metric, each in group if metric == "conversions"), default=0.0)
    furthest = max(abs(each.off) for _, each in group)
    closed = None if any(each.is_open for _, each in group) else max(each.last for _, each in group) + 1
    return Insight(
        first_us + group[0][1].first * HOUR_US,
        None if closed is None else first_us + closed * HOUR_US,
        severity(max(affected / max(1.0, usual["users"]), lost / max(1.0, usual["conversions"])), furthest),
        affected,
        tuple(_part(metric, each, every[metric], first_us) for metric, each in group),
    )


def severity(usual_hours: float, furthest: float) -> str:
    """How severe an incident is: `low`, `medium`, `high` or `critical`.

    Args:
        usual_hours: affected hours of users over the users that an hour usually has, or missing conversions over those
            that an hour usually has; the larger, at least 0.
        furthest: how many spreads the hour that was furthest off was off.
    """
    if usual_hours >= _HIGH and furthest >= _CLEAR:
        return "critical" if usual_hours >= _CRITICAL else "high"
    return "medium" if usual_hours >= _MEDIUM else "low"


def _affected(its: _Judged, users: _Judged, incident: Incident) -> float:
    """Hours of users that an incident concerns: of the users, seen or missing, the share by which the metric is off.

    There are no more of them than the metric is off by: an hour with three struggles more concerns three users.
    """
    total = 0.0
    for number in range(incident.first, incident.last + 1):
        off = abs(its.values[number] - its.judgements[number].expected)
        most = max(its.values[number], its.judgements[number].expected)
        seen = max(users.values[number], users.judgements[number].expected)
        total += min(off, off / most * seen) if most > 0 else 0.0
    return total


def _lost(its: _Judged, incident: Incident) -> float:
    """How many fewer there were than expected in the hours of an incident; at least 0."""
    hours = range(incident.first, incident.last + 1)
    return max(0.0, sum(its.judgements[number].expected - its.values[number] for number in hours))


def _part(metric: str, incident: Incident, its: _Judged, first_us: int) -> InsightPart:
    judgement = its.judgements[incident.peak]
    begin = max(0, incident.first - _HOURS_BEFORE)
    end = min(len(its.values), incident.last + 1 + _HOURS_AFTER, begin + _MOST_POINTS)
    return InsightPart(
        metric,
        first_us + incident.first * HOUR_US,
        None if incident.is_open else first_us + (incident.last + 1) * HOUR_US,
        "above" if incident.off > 0 else "below",
        first_us + incident.peak * HOUR_US,
        incident.value,
        max(0.0, incident.expected),
        max(0.0, judgement.lower),
        judgement.upper,
        abs(incident.off),
        tuple(_point(number, its, first_us) for number in range(begin, end)),
    )


def _point(number: int, its: _Judged, first_us: int) -> InsightPoint:
    start_us, said = first_us + number * HOUR_US, its.judgements[number]
    if said.is_learning:
        return InsightPoint(start_us, its.values[number], None, None, None)
    return InsightPoint(start_us, its.values[number], max(0.0, said.expected), max(0.0, said.lower), said.upper)


def _metric(metric: str, its: _Judged, inside: range, told: Iterable[tuple[str, Incident]]) -> WatchedMetric:
    numbers = inside[: max(0, len(its.values) - inside.start)]
    return WatchedMetric(
        metric,
        float(sum(its.values[number] for number in numbers)),
        sum(not its.judgements[number].is_learning for number in numbers),
        sum(name == metric for name, _ in told),
    )
