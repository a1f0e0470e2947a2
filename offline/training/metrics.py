"""Measures of a probability, beside the baselines that give them meaning, with intervals over users."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from offline.training.table import Table
from services.analytics.domain import calibration
from services.analytics.domain.calibration import BIN_COUNT, DRAWS, Figure, Floats

__all__ = ["BIN_COUNT", "DRAWS", "Figure", "Floats"]

MEASURES: Final = ("accuracy", "auroc", "auprc", "brier", "calibration_error")
_GAIN_DRAWS: Final = 2000


@dataclass(frozen=True)
class Bin:
    """Snapshots of similar probability: their mean probability, the share for which it came true, their number."""

    predicted: float
    observed: float
    count: int


class Labelled(Protocol):
    """What predictors spoke of, row by row: the user, and whether it came true."""

    @property
    def users(self) -> npt.NDArray[np.str_]:
        """The users."""

    @property
    def is_true(self) -> npt.NDArray[np.bool_]:
        """Whether it came true."""


class Said(NamedTuple):
    """What a predictor says of snapshots: probabilities, and what ranks them if that is something else."""

    probabilities: Floats
    ranking: Floats


Measures = dict[str, Figure]
Report = dict[str, Measures]
"""Measures by the name of the predictor."""


def report(predictors: Mapping[str, Said], table: Labelled) -> Report:
    """Each predictor's measures, all over the same resampled users: 200 times."""
    weights = [*calibration.resampled(table.users)]
    distinct = {id(said): said for said in predictors.values()}
    measured = {number: _measures(said, table.is_true, weights) for number, said in distinct.items()}
    return {name: measured[id(said)] for name, said in predictors.items()}


def measure(said: Said, is_true: npt.NDArray[np.bool_], weights: Floats | None = None) -> dict[str, float]:
    """The measures, all 0 to 1, by name; `weights` counts each snapshot, once each without it.

    Accuracy is at a probability of 0.5. If all snapshots have the same label, ranking measures are those of chance.
    """
    return _Measured(said, is_true).under(np.ones(len(is_true)) if weights is None else weights)


def difference(losses: Floats, others: Floats, users: npt.NDArray[np.str_]) -> Figure:
    """The mean difference of two columns, with its 95% interval from resampling users 2,000 times."""
    names, place = np.unique(users, return_inverse=True)
    sums, counts = np.bincount(place, losses - others), np.bincount(place)
    random = np.random.default_rng(0)
    means = np.empty(_GAIN_DRAWS)
    for number in range(_GAIN_DRAWS):
        drawn = random.integers(0, len(names), len(names))
        means[number] = sums[drawn].sum() / counts[drawn].sum()
    low, high = np.percentile(means, (2.5, 97.5))
    return Figure(float((losses - others).mean()), float(low), float(high))


def accuracy_gain(model: Floats, rule: Floats, table: Table) -> Figure:
    """How much more accurate the model is than the single rule."""
    is_right, is_rule_right = (model >= 0.5) == table.is_true, (rule >= 0.5) == table.is_true
    return difference(is_right.astype(np.float64), is_rule_right.astype(np.float64), table.users)


def auroc(ranking: Floats, is_true: npt.NDArray[np.bool_]) -> float:
    """The area under the curve of ROC, tied values as one; that of chance if all snapshots have the same label."""
    return _Measured(Said(ranking, ranking), is_true).under(np.ones(len(is_true)))["auroc"]


def auroc_difference(ranking: Floats, other: Floats, table: Labelled) -> Figure:
    """The area of one less that of the other, with its 95% interval from resampling users 200 times."""
    one, two = (_Measured(Said(each, each), table.is_true) for each in (ranking, other))

    def difference_under(weights: Floats) -> float:
        return one.under(weights)["auroc"] - two.under(weights)["auroc"]

    drawn = [difference_under(weights) for weights in calibration.resampled(table.users)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Figure(difference_under(np.ones(len(table.is_true))), float(low), float(high))


def bins(probabilities: Floats, is_true: npt.NDArray[np.bool_]) -> list[Bin]:
    """Snapshots by rising probability, at most 10 bins of about equal count; equal probabilities share a bin."""
    return [
        Bin(float(probabilities[part].mean()), float(is_true[part].mean()), len(part))
        for part in calibration.parts(probabilities)
    ]


def _measures(said: Said, is_true: npt.NDArray[np.bool_], weights: list[Floats]) -> Measures:
    measured = _Measured(said, is_true)
    values = measured.under(np.ones(len(is_true)))
    drawn = [measured.under(each) for each in weights]
    return {
        name: Figure(value, *(float(x) for x in np.percentile([each[name] for each in drawn], (2.5, 97.5))))
        for name, value in values.items()
    }


class _Measured:
    """A predictor, sorted once, measured under many weights."""

    def __init__(self, said: Said, is_true: npt.NDArray[np.bool_]) -> None:
        self._is_true, self._short = is_true, is_true - said.probabilities
        self._is_right = (said.probabilities >= 0.5) == is_true
        self._loss = (said.probabilities - is_true) ** 2
        self._by_probability = calibration.ranks(said.probabilities)
        _, self._of_rank = np.unique(said.ranking, return_inverse=True)

    def under(self, weights: Floats) -> dict[str, float]:
        """The measures where each snapshot counts as often as its weight says."""
        total = weights.sum()
        auroc, auprc = self._ranked(weights)
        return dict(
            zip(
                MEASURES,
                (
                    float(weights @ self._is_right / total),
                    auroc,
                    auprc,
                    float(weights @ self._loss / total),
                    calibration.error(self._by_probability, self._short, weights),
                ),
                strict=True,
            )
        )

    def _ranked(self, weights: Floats) -> tuple[float, float]:
        """The areas under the curves of ROC (trapezoids) and of precision and recall (steps), tied values as one."""
        true = np.bincount(self._of_rank, weights * self._is_true)[::-1]
        false = np.bincount(self._of_rank, weights * ~self._is_true)[::-1]
        trues, falses = true.sum(), false.sum()
        if not trues or not falses:
            return 0.5, float(trues / (trues + falses))
        auroc = float((true * (falses - np.cumsum(false) + false / 2.0)).sum() / (trues * falses))
        found, taken = np.cumsum(true), np.cumsum(true + false)
        precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
        return auroc, float((true * precision).sum() / trues)
