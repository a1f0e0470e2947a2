"""What may be concluded from what was counted, at any time: findings, guardrails, the winner or what it waits for."""

import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from comparison import sequential, sums
from comparison.sequential import EVERYTHING, Interval, Sample
from services.experiments.domain.definition import Definition, Metric
from services.experiments.domain.evidence import Group, Totals, with_fallback

ALPHA: Final = 0.05
"""The probability of a false winner, and of a false roll back, of an experiment."""
WARNING_P_VALUE: Final = 0.01
ALARM_P_VALUE: Final = 0.001
"""Below it the assignment is taken to be broken (Fabijan and others, KDD 2019)."""
_SEVERAL_ARE_MANY: Final = 0.01
"""The part of the units that may have met more than one arm before the figures are doubtful."""
_UNPRICED: Final = "make it anew once each model has a price, or without cost (`costWeight` 0)."
_DAY_US: Final = 86_400_000_000
_MOST_DAYS: Final = 1_000.0

Level = Literal["fine", "warning", "alarm"]
Direction = Literal["better", "worse", "open"]
Guarded = Literal["none", "harmed", "safe", "open"]
Verdict = Literal["winner", "not_yet"]


class Finding(NamedTuple):
    """An arm against the control in one metric, both less what was known before where that is known.

    `interval` holds at every look; it and `difference` are of the arm less the control, in units of the metric.
    `relative` is the difference divided by the control's mean, NaN where that is 0. `variance_left` is the share of the
    difference's variance that what was known before leaves, 1 where nothing is known.
    `guarded` tells of a guardrail whether the arm is worse, certainly not worse by its `harm`, or neither is known.
    """

    metric: str
    arm: str
    treated: Sample
    control: Sample
    difference: float
    interval: Interval
    relative: float
    variance_left: float
    direction: Direction
    guarded: Guarded


class Decision(NamedTuple):
    """The winner, or what it waits for, in sentences.

    `days_left` is how long until the deciding interval is as narrow as the smallest effect worth finding, at today's
    pace; 0 if it is so now, None if that cannot be told or takes more than 1,000 days.
    """

    verdict: Verdict
    arm: str
    waits_for: Sequence[str]
    days_left: float | None


class Results(NamedTuple):
    """All that may be concluded. `findings` has the deciding metric first, then each metric, arm by arm."""

    units: Mapping[str, int]
    fallback_units: int
    in_several: int
    ratio_p_value: float
    ratio: Level
    several: Level
    shares: Level
    findings: Sequence[Finding]
    decision: Decision


def conclude(
    definition: Definition, totals: Totals, days: float, mismatch: str = "", *, is_with_fallback: bool = False
) -> Results:
    """What may be concluded.

    Args:
        definition: the experiment.
        totals: what was counted.
        days: how long it has been running, 0 or more.
        mismatch: in what the real shares of the arms differ from those meant, in a sentence; empty if in nothing.
        is_with_fallback: also counts the units of a fallback. Leaving them out is unbiased only if it did not depend
            on the arm when the service was away.
    """
    groups = with_fallback(totals) if is_with_fallback else totals.assigned
    units = {arm.name: groups[arm.name].units if arm.name in groups else 0 for arm in definition.arms}
    ratio_p_value = sequential.ratio_p_value(units, {arm.name: float(arm.weight) for arm in definition.arms})
    shares: Level = "alarm" if mismatch else "fine"
    findings = [finding for metric in definition.judged for finding in _findings(definition, metric, groups)]
    ratio: Level = (
        "alarm" if ratio_p_value < ALARM_P_VALUE else "warning" if ratio_p_value < WARNING_P_VALUE else "fine"
    )
    several: Level = "warning" if totals.in_several > _SEVERAL_ARE_MANY * max(1, totals.units) else "fine"
    doubts = [mismatch] if mismatch else []
    if totals.unpriced:
        doubts.append(f"{totals.unpriced:,} reports have no score, as what they cost is not known: {_UNPRICED}")
    decision = _decision(definition, findings, ratio, doubts, days)
    fallback_units = sum(group.units for group in totals.fallback.values())
    return Results(units, fallback_units, totals.in_several, ratio_p_value, ratio, several, shares, findings, decision)


def _findings(definition: Definition, metric: Metric, groups: Mapping[str, Group]) -> Sequence[Finding]:
    """The findings of a metric. The error is shared among its arms, and that of guardrails among all of them."""
    of = {
        arm.name: groups[arm.name].sums.get(metric.name, sums.NOTHING) if arm.name in groups else sums.NOTHING
        for arm in definition.arms
    }
    samples, plain = sums.adjusted(of), {arm: sums.sample(each) for arm, each in of.items()}
    arms = len(definition.arms) - 1
    guardrails = sum(each.harm > 0 for each in definition.judged)
    control = samples[definition.control]
    found = []
    for arm in (each.name for each in definition.arms[1:]):
        interval = sequential.interval(samples[arm], control, ALPHA / arms)
        guarding = sequential.interval(samples[arm], control, ALPHA / (arms * max(1, guardrails)))
        difference = samples[arm].mean - control.mean
        enough = min(samples[arm].size, control.size) >= definition.min_outcomes
        found.append(
            Finding(
                metric.name,
                arm,
                samples[arm],
                control,
                difference,
                interval,
                difference / control.mean if control.mean else math.nan,
                _variance_left((samples[arm], control), (plain[arm], plain[definition.control])),
                _direction(metric, interval),
                _guarded(metric, guarding, control.mean) if enough or not metric.harm else "open",
            )
        )
    return found


def _direction(metric: Metric, interval: Interval) -> Direction:
    lower, upper = sorted((metric.sign * interval.lower, metric.sign * interval.upper))
    return "better" if lower > 0 else "worse" if upper < 0 else "open"


def _guarded(metric: Metric, interval: Interval, control_mean: float) -> Guarded:
    if not metric.harm:
        return "none"
    lower, upper = sorted((metric.sign * interval.lower, metric.sign * interval.upper))
    if upper < 0:
        return "harmed"
    return "safe" if lower > -metric.harm * abs(control_mean) else "open"


def _variance_left(samples: tuple[Sample, Sample], plain: tuple[Sample, Sample]) -> float:
    left, whole = (sum(each.variance / each.size if each.size else math.nan for each in of) for of in (samples, plain))
    return left / whole if whole else 1.0


def _decision(
    definition: Definition, findings: Sequence[Finding], ratio: Level, doubts: Sequence[str], days: float
) -> Decision:
    deciding = [each for each in findings if each.metric == definition.judged[0].name]
    fewest = min(min(each.treated.size, each.control.size) for each in deciding)
    waits_for = [*doubts]
    if ratio == "alarm":
        waits_for.append("The numbers of units do not fit the shares of the arms: find out why first.")
    if days < definition.min_days:
        waits_for.append(f"It has run for {days:.1f} of {definition.min_days:g} days.")
    if fewest < definition.min_outcomes:
        waits_for.append(f"An arm has {fewest:,} of {definition.min_outcomes:,} units with an outcome.")
    harmed = {each.arm for each in findings if each.guarded == "harmed"}
    sign = definition.judged[0].sign
    better = [each for each in deciding if each.direction == "better" and each.arm not in harmed]
    winner = max(better, key=lambda each: sign * each.difference).arm if better else ""
    if not winner and all(each.direction == "worse" or each.arm in harmed for each in deciding):
        winner = definition.control
    if not winner:
        harms = f" A guardrail fails for {', '.join(sorted(harmed))}." if harmed else ""
        waits_for.append(f"No arm differs from the control beyond doubt.{harms}")
    if waits_for:
        return Decision("not_yet", "", waits_for, _days_left(definition, deciding, days))
    return Decision("winner", winner, (), 0.0)


def _days_left(definition: Definition, deciding: Sequence[Finding], days: float) -> float | None:
    """The longest of: days, units and precision that are still missing, at the pace so far."""
    missing = definition.min_days - days
    for each in deciding:
        fewest = min(each.treated.size, each.control.size)
        effect = definition.smallest_effect * abs(each.control.mean)
        if fewest < 2 or days <= 0 or not effect or each.interval == EVERYTHING:
            return None
        variance = each.treated.variance / each.treated.size + each.control.variance / each.control.size
        units, alpha = each.treated.size + each.control.size, ALPHA / len(deciding)
        times = 1.0  # as much as now
        while sequential.half_width(variance / times, math.ceil(units * times), alpha) > effect:
            times *= 1.1
            if days * times > _MOST_DAYS:
                return None
        missing = max(missing, days * (times - 1), days * (definition.min_outcomes / fewest - 1))
    return max(0.0, missing)
