"""How good predictions were: measures, costs of errors, outcomes by level, and calibration week by week."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

import numpy as np

from offline.predictions.predictions import Predictions
from offline.training import metrics
from offline.training.metrics import Figure, Floats, Report, Said
from services.analytics.domain.calibration import LEAST_ROWS
from services.scoring.domain.schema import Level, level_of

_DAY_US: Final = 86_400_000_000
# 1970-01-01 was a Thursday.
_MONDAY: Final = 3


class Costs(NamedTuple):
    """What an error costs, both above 0: a user who left and was not helped, and help that was not needed."""

    missed: float
    needless: float

    @property
    def threshold(self) -> float:
        """The probability from which on help costs less than none: needless / (missed + needless).

        Elkan, "The foundations of cost-sensitive learning", IJCAI 2001.
        """
        return self.needless / (self.missed + self.needless)

    def of(self, probabilities: Floats, is_true: Floats) -> float:
        """What 100 predictions cost if help is given from the threshold on."""
        is_helped = probabilities >= self.threshold
        return 100.0 * float(np.mean(np.where(is_helped, (1.0 - is_true) * self.needless, is_true * self.missed)))


@dataclass(frozen=True)
class OfLevel:
    """The predictions of a level; `share` is that of them that came true, None if there are none."""

    level: str
    count: int
    share: Figure | None


@dataclass(frozen=True)
class OfWeek:
    """The predictions of a calendar week (UTC); `measures` is None if there are fewer than `LEAST_ROWS`."""

    monday: date
    count: int
    said: float
    came_true: float
    measures: Mapping[str, Figure] | None


@dataclass(frozen=True)
class Measured:
    """What one version said, of predictions whose outcome is known; `measures` is empty if they are too few.

    `told_count` says for how many of these a probability was told.
    """

    version: str
    count: int
    known_count: int
    told_count: int
    user_count: int
    base_rate: float
    measures: Report
    costs: Mapping[str, float]
    levels: Sequence[OfLevel]
    weeks: Sequence[OfWeek]
    known: Predictions


def measured(version: str, predictions: Predictions, costs: Costs) -> Measured:
    """The measures of one version's predictions; there is at least one prediction."""
    known = predictions.where(predictions.is_known)
    rate = float(known.is_true.mean()) if len(known) else 0.0
    is_enough = len(known) >= LEAST_ROWS
    named = said(known) if is_enough else {}
    truth = known.is_true.astype(np.float64)
    costing = {name: each.probabilities for name, each in named.items()}
    if is_enough:
        costing |= {"never help": np.zeros(len(known)), "always help": np.ones(len(known))}
    return Measured(
        version,
        len(predictions),
        len(known),
        int(known.is_told.sum()),
        len(np.unique(known.users)),
        rate,
        metrics.report(named, known),
        {name: costs.of(probabilities, truth) for name, probabilities in costing.items()},
        [_of_level(level, known) for level in Level] if is_enough else [],
        _weeks(known),
        known,
    )


def said(predictions: Predictions) -> dict[str, Said]:
    """What was told, else said by the model; and what the model, the rules and both together said, as probabilities.

    Where nothing was told, that is not repeated.
    """
    found = {"told": predictions.judged} if predictions.is_told.any() else {}
    found |= {
        "model": predictions.model_scores / 100.0,
        "rules only": predictions.rule_scores / 100.0,
        "model and rules": predictions.scores / 100.0,
    }
    return {name: Said(each, each) for name, each in found.items()}


def weeks_of(predictions: Predictions) -> dict[date, Predictions]:
    """The predictions by the Monday of their week, in the order of time."""
    numbers = (predictions.received_us // _DAY_US + _MONDAY) // 7
    return {
        datetime.fromtimestamp((int(number) * 7 - _MONDAY) * 86_400, UTC).date(): predictions.where(numbers == number)
        for number in np.unique(numbers)
    }


def _weeks(known: Predictions) -> list[OfWeek]:
    return [
        OfWeek(
            monday,
            len(its),
            float(its.judged.mean()),
            float(its.is_true.mean()),
            metrics.report({"judged": Said(its.judged, its.judged)}, its)["judged"] if len(its) >= LEAST_ROWS else None,
        )
        for monday, its in weeks_of(known).items()
    ]


def _of_level(level: Level, known: Predictions) -> OfLevel:
    its = known.where(np.array([level_of(score) is level for score in known.scores], np.bool_))
    share = metrics.difference(its.is_true.astype(np.float64), np.zeros(len(its)), its.users) if len(its) else None
    return OfLevel(level.name.lower(), len(its), share)
