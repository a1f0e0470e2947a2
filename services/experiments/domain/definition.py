"""What an experiment compares, by what it is judged, and what must hold before it is: fixed before the start."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from comparison.assignment import Arm

RAMP: Final = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0)
SCORE: Final = "score"
"""The name of the metric that a weighted score is."""

MOST_ARMS: Final = 10
MOST_METRICS: Final = 20
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_MOST_WEIGHT: Final = 10_000
_HOUR_US: Final = 3_600_000_000
_MOST_HOURS: Final = 8_784
_LONGEST_TEXT: Final = 500

Aggregation = Literal["any", "total", "average", "latest"]
"""How the outcomes of a unit become its one value: 1 if any is above 0; their sum; their mean; the one of the latest
time. `any` and `total` are 0 for a unit without outcomes; otherwise such a unit does not count."""
AGGREGATIONS: Final[tuple[Aggregation, ...]] = ("any", "total", "average", "latest")


class Metric(NamedTuple):
    """What is measured of each unit.

    `harm` makes it a guardrail: the part of the control's mean by which an arm must not be worse, above 0 and up to 1,
    such as 0.1 for ten percent; 0 if it is none. Outcomes count from `from_hours` after the unit met its arm until
    `within_hours` after it; 0 for no bound.
    """

    name: str
    aggregation: Aggregation = "any"
    is_larger_better: bool = True
    harm: float = 0.0
    from_hours: float = 0.0
    within_hours: float = 0.0

    def counts(self, after_us: int) -> bool:
        """Whether an outcome counts that came so many microseconds after the unit met its arm."""
        return self.from_hours * _HOUR_US <= after_us <= (self.within_hours or math.inf) * _HOUR_US

    @property
    def has_window(self) -> bool:
        """Whether only outcomes of some time count."""
        return bool(self.from_hours or self.within_hours)

    @property
    def sign(self) -> int:
        """1 where larger is better, -1 where smaller is."""
        return 1 if self.is_larger_better else -1


class Score(NamedTuple):
    """One figure of quality, speed and cost for each report of outcomes, 0 to 1; a unit has the mean of its reports.

    Quality is an outcome from 0 to 1. Speed is 1 - outcome / target, at least 0, and so is cost. Speed and cost of a
    report that lacks them count 0: a failure that took no time is not fast. Weights have any sum.
    """

    quality: str = "quality"
    speed: str = "latency_ms"
    cost: str = "cost_usd"
    speed_target: float = 1_000.0
    cost_target: float = 0.01
    quality_weight: float = 0.5
    speed_weight: float = 0.3
    cost_weight: float = 0.2


class Definition(NamedTuple):
    """An experiment as it was created. The first arm is the control, and the first metric decides without a score.

    `ramp` is the percent of units included, step by step, rising. A step lasts `step_hours` at least. No winner before
    `min_days` days and `min_outcomes` units in each arm. `smallest_effect` is the part of the control's mean that is
    worth finding; it tells how many days are left. `pauses_on_incident`: it is paused when an incident opens.
    """

    id: str
    title: str
    salt: str
    arms: tuple[Arm, ...]
    metrics: tuple[Metric, ...]
    score: Score | None = None
    holdout_percent: float = 0.0
    ramp: tuple[float, ...] = RAMP
    step_hours: float = 24.0
    min_days: float = 3.0
    min_outcomes: int = 100
    smallest_effect: float = 0.1
    pauses_on_incident: bool = False

    @property
    def control(self) -> str:
        """The name of the arm that the others are compared with."""
        return self.arms[0].name

    @property
    def meant(self) -> Mapping[str, float]:
        """The share of the units that each arm is to get, 0 to 1, by name."""
        whole = sum(arm.weight for arm in self.arms)
        return {arm.name: arm.weight / whole for arm in self.arms}

    @property
    def judged(self) -> Sequence[Metric]:
        """All metrics, the deciding one first: the score, where there is one."""
        return [Metric(SCORE, "average"), *self.metrics] if self.score else list(self.metrics)

    @property
    def outcomes(self) -> frozenset[str]:
        """The names of the outcomes that are taken."""
        parts = (self.score.quality, self.score.speed, self.score.cost) if self.score else ()
        return frozenset((*(metric.name for metric in self.metrics), *parts))


def trouble(definition: Definition) -> str:
    """What is wrong with a definition, in a sentence; empty if nothing is."""
    checks = (_names, _arms, _metrics, _score, _conditions)
    return next((found for found in (check(definition) for check in checks) if found), "")


def utility(score: Score, quality: float, speed: float | None, cost: float | None) -> float:
    """The score of one report, 0 to 1."""
    parts = (
        (score.quality_weight, min(1.0, max(0.0, quality))),
        (score.speed_weight, _short_of(speed, score.speed_target)),
        (score.cost_weight, _short_of(cost, score.cost_target)),
    )
    return sum(weight * part for weight, part in parts) / sum(weight for weight, _ in parts)


def _short_of(value: float | None, target: float) -> float:
    return 0.0 if value is None else 1 - min(1.0, max(0.0, value) / target)


def _names(definition: Definition) -> str:
    named = {"id": definition.id, "salt": definition.salt}
    named |= {f"arms[{place}].name": arm.name for place, arm in enumerate(definition.arms)}
    named |= {f"metrics[{place}].name": metric.name for place, metric in enumerate(definition.metrics)}
    if definition.score:
        named |= {f"score.{of}": getattr(definition.score, of) for of in ("quality", "speed", "cost")}
    for where, name in named.items():
        if not _NAME.fullmatch(name):
            return f"`{where}` must have 1 to 64 letters, digits, `_`, `.` or `-`, and begin with a letter or digit."
    if len(definition.title) > _LONGEST_TEXT:
        return f"`title` has at most {_LONGEST_TEXT} characters."
    return ""


def _arms(definition: Definition) -> str:
    names = [arm.name for arm in definition.arms]
    if not 2 <= len(names) <= MOST_ARMS:
        return f"`arms` must be 2 to {MOST_ARMS}; the first is the control."
    if len(set(names)) < len(names):
        return "No two `arms` have the same name."
    if not all(1 <= arm.weight <= _MOST_WEIGHT for arm in definition.arms):
        return f"The `weight` of an arm must be a whole number from 1 to {_MOST_WEIGHT:,}."
    if any(len(arm.value) > _LONGEST_TEXT for arm in definition.arms):
        return f"The `value` of an arm has at most {_LONGEST_TEXT} characters."
    return ""


def _metrics(definition: Definition) -> str:
    names = [metric.name for metric in definition.metrics]
    if len(names) > MOST_METRICS:
        return f"`metrics` are at most {MOST_METRICS}."
    if not names and not definition.score:
        return "It needs `metrics` or a `score`: otherwise nothing is compared."
    if len(set(names)) < len(names) or SCORE in names:
        return f"No two `metrics` have the same name, and none is called `{SCORE}`."
    if not all(0 <= metric.harm <= 1 for metric in definition.metrics):
        return "The `harm` of a metric must be from 0 to 1: a part of the control's mean."
    for metric in definition.metrics:
        since, until = metric.from_hours, metric.within_hours
        if not (0 <= since <= _MOST_HOURS and 0 <= until <= _MOST_HOURS) or 0 < until <= since:
            return f"`fromHours` and `withinHours` are from 0 to {_MOST_HOURS:,}, and the first is smaller."
    return ""


def _score(definition: Definition) -> str:
    if definition.score is None:
        return ""
    targets = definition.score.speed_target, definition.score.cost_target
    if not all(math.isfinite(target) and target > 0 for target in targets):
        return "The targets of a `score` must be above 0."
    weights = definition.score.quality_weight, definition.score.speed_weight, definition.score.cost_weight
    if not all(0 <= weight <= 1 for weight in weights) or not sum(weights):
        return "The weights of a `score` must be from 0 to 1, and not all 0."
    return ""


def _conditions(definition: Definition) -> str:
    ramp = definition.ramp
    if not 1 <= len(ramp) <= 20 or not all(0 < step <= 100 for step in ramp) or list(ramp) != sorted(set(ramp)):
        return "`ramp` must be 1 to 20 rising percents above 0 and up to 100."
    if not 0 < definition.smallest_effect <= 10:
        return "`smallestEffect` must be above 0 and up to 10: a part of the control's mean."
    limits = (
        ("holdoutPercent", definition.holdout_percent, 0, 90),
        ("stepHours", definition.step_hours, 0, 1_000),
        ("minDays", definition.min_days, 0, 365),
        ("minOutcomes", definition.min_outcomes, 2, 1_000_000),
    )
    wrong = [limit for limit in limits if not limit[2] <= limit[1] <= limit[3]]
    return "".join(f"`{name}` must be from {least} to {most:,}." for name, _, least, most in wrong[:1])
