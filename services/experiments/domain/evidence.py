"""What is known of each unit, and what it adds to the sums of its arm."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from comparison.sums import NOTHING, Sums, of_unit
from services.experiments.domain.definition import SCORE, Definition, Metric, utility

REMEMBERED: Final = 32
"""How many of the last reports of a unit are recognized if they are repeated."""


class Exposure(NamedTuple):
    """A unit met its arm.

    `before` is a number from before the start, such as its risk; None if there is none. `is_fallback` tells that it got
    the control, or an arm of an older allocation, because the service was away. `at_us` is when, in Unix microseconds.
    """

    unit: str
    arm: str
    before: float | None = None
    is_fallback: bool = False
    at_us: int = 0


class Report(NamedTuple):
    """Outcomes of a unit at one moment, by name. The id makes a repetition recognizable; empty: none."""

    unit: str
    id: str
    at_us: int
    outcomes: Mapping[str, float]


class Value(NamedTuple):
    """The outcomes of a unit in one metric: how many, their sum, the latest one and its Unix microseconds."""

    reports: int = 0
    total: float = 0.0
    latest: float = 0.0
    latest_us: int = 0


class UnitState(NamedTuple):
    """What is kept of an exposed unit. `is_in_several` tells that it met more than one arm: then it counts for none."""

    arm: str
    is_fallback: bool
    is_in_several: bool = False
    before: float | None = None
    values: Mapping[str, Value] = {}
    reports: tuple[int, ...] = ()
    """Short hashes of the ids of the last reports."""
    met_us: int = 0
    """When it met its arm, in Unix microseconds; 0: not known, and metrics with a window have no outcome."""


class Group(NamedTuple):
    """The exposed units of one arm, and their sums by metric."""

    units: int
    sums: Mapping[str, Sums]


class Totals(NamedTuple):
    """All that was counted, by arm: the units that were assigned by the service, and those of a fallback.

    `in_several` are the units that met more than one arm. `unmatched` are the reports about units that met no arm,
    `unpriced` those without a score, as they have a time and no cost.
    """

    assigned: Mapping[str, Group]
    fallback: Mapping[str, Group]
    in_several: int = 0
    unmatched: int = 0
    unpriced: int = 0

    @property
    def units(self) -> int:
        """All units that met an arm."""
        groups = (*self.assigned.values(), *self.fallback.values())
        return sum(group.units for group in groups) + self.in_several


NONE_YET: Final = Totals({}, {})


def exposed(state: UnitState | None, exposure: Exposure) -> UnitState:
    """A unit after it met an arm: the exposure that is told first counts, since the earliest of that arm.

    A repetition changes nothing.
    """
    if state is None:
        return UnitState(exposure.arm, exposure.is_fallback, before=exposure.before, met_us=exposure.at_us)
    if state.arm != exposure.arm and not state.is_in_several:
        return state._replace(is_in_several=True)
    if state.arm == exposure.arm and 0 < exposure.at_us < state.met_us:
        return state._replace(met_us=exposure.at_us)
    return state


def reported(definition: Definition, state: UnitState, report: Report) -> UnitState:
    """A unit after a report; the same for one that is a repetition of one of its last ones."""
    mark = _mark(report.id)
    if report.id and mark in state.reports:
        return state
    outside = {
        each.name
        for each in definition.metrics
        if each.has_window and not (state.met_us and each.counts(report.at_us - state.met_us))
    }
    found = {name: value for name, value in report.outcomes.items() if name in definition.outcomes - outside}
    if not found and not report.id:
        return state
    score = definition.score
    if score and score.quality in found and not is_unpriced(definition, report):
        found[SCORE] = utility(score, found[score.quality], found.get(score.speed), found.get(score.cost))
    values = dict(state.values)
    for name, value in found.items():
        values[name] = _joined(values.get(name, Value()), value, report.at_us)
    marks = (*state.reports, mark)[-REMEMBERED:] if report.id else state.reports
    return state._replace(values=values, reports=marks)


def is_unpriced(definition: Definition, report: Report) -> bool:
    """Whether a report has no score because its cost is missing: it has a time, so there was an answer to pay for.

    Without its cost, an arm whose price is not known would be compared by another formula.
    """
    score, known = definition.score, report.outcomes
    if score is None or not score.cost_weight:
        return False
    return score.quality in known and score.speed in known and score.cost not in known


def counted(
    definition: Definition, totals: Totals, changes: Iterable[tuple[UnitState | None, UnitState | None]]
) -> Totals:
    """The totals after units changed, each from what it was to what it is; None is a unit that is not known."""
    groups = {False: dict(totals.assigned), True: dict(totals.fallback)}
    in_several = totals.in_several
    for before, after in changes:
        for state, sign in ((before, -1), (after, 1)):
            if state is None:
                continue
            if state.is_in_several:
                in_several += sign
                continue
            side = groups[state.is_fallback]
            side[state.arm] = _with(definition, side.get(state.arm, Group(0, {})), state, sign)
    return totals._replace(assigned=groups[False], fallback=groups[True], in_several=in_several)


def value_of(metric: Metric, state: UnitState) -> float | None:
    """The one value of a unit in a metric; None if it has none."""
    value = state.values.get(metric.name)
    if value is None:
        return 0.0 if metric.aggregation in ("any", "total") else None
    if metric.aggregation == "any":
        return 1.0 if value.total > 0 else 0.0
    if metric.aggregation == "average":
        return value.total / value.reports
    return value.latest if metric.aggregation == "latest" else value.total


def with_fallback(totals: Totals) -> Mapping[str, Group]:
    """The groups of both kinds of units, by arm."""
    found = dict(totals.assigned)
    for arm, group in totals.fallback.items():
        other = found.get(arm, Group(0, {}))
        names = {**other.sums, **group.sums}
        sums = {name: other.sums.get(name, NOTHING).plus(group.sums.get(name, NOTHING)) for name in names}
        found[arm] = Group(other.units + group.units, sums)
    return found


def _with(definition: Definition, group: Group, state: UnitState, sign: int) -> Group:
    sums = dict(group.sums)
    for metric in definition.judged:
        value = value_of(metric, state)
        if value is None:
            continue
        known, own = sums.get(metric.name, NOTHING), of_unit(value, state.before)
        sums[metric.name] = known.plus(own) if sign > 0 else known.less(own)
    return Group(group.units + sign, sums)


def _joined(value: Value, outcome: float, at_us: int) -> Value:
    is_latest = not value.reports or at_us >= value.latest_us
    latest, latest_us = (outcome, at_us) if is_latest else (value.latest, value.latest_us)
    return Value(value.reports + 1, value.total + outcome, latest, latest_us)


def _mark(report_id: str) -> int:
    return int.from_bytes(hashlib.sha256(report_id.encode()).digest()[:8]) >> 11
