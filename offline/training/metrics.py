"""Measures of a probability of leaving, beside the baselines that give them meaning."""

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from offline.training.snapshots import Table

Probabilities = npt.NDArray[np.float64]

BIN_COUNT: Final = 10
IDLE_DAYS: Final = 25.0
RULE: Final = f"{IDLE_DAYS:.0f} days idle"

_DRAWS: Final = 2000


@dataclass(frozen=True)
class Measures:
    """All 0 to 1. Accuracy is at a probability of 0.5, the expected calibration error over 10 bins of equal count.

    If all snapshots have the same label, ranking measures are those of chance.
    """

    accuracy: float
    auroc: float
    auprc: float
    brier: float
    calibration_error: float


@dataclass(frozen=True)
class Bin:
    """Snapshots of similar probability: their mean probability, the share that left, their number."""

    predicted: float
    observed: float
    count: int


@dataclass(frozen=True)
class Gain:
    """A difference in accuracy, and its 95% interval from resampling users, not snapshots, 2,000 times."""

    accuracy: float
    low: float
    high: float


Report = dict[str, dict[str, float]]
"""Measures by the name of the predictor."""


def measure(
    probabilities: Probabilities, is_gone: npt.NDArray[np.bool_], ranking: Probabilities | None = None
) -> Measures:
    """The measures of probabilities against what happened; `ranking`, if given, ranks the users instead."""
    is_mixed = bool(is_gone.any()) and not bool(is_gone.all())
    order = probabilities if ranking is None else ranking
    return Measures(
        accuracy=float(((probabilities >= 0.5) == is_gone).mean()),
        auroc=float(roc_auc_score(is_gone, order)) if is_mixed else 0.5,
        auprc=float(average_precision_score(is_gone, order)) if is_mixed else float(is_gone.mean()),
        brier=float(brier_score_loss(is_gone, probabilities)),
        calibration_error=sum(abs(b.predicted - b.observed) * b.count for b in bins(probabilities, is_gone))
        / len(is_gone),
    )


def gain(model: Probabilities, table: Table) -> Gain:
    """How much more accurate the model is than the single rule."""
    is_right = (model >= 0.5) == table.is_gone
    is_rule_right = (table.idle_days >= IDLE_DAYS) == table.is_gone
    difference = is_right.astype(np.float64) - is_rule_right
    names, place = np.unique(table.users, return_inverse=True)
    sums, counts = np.bincount(place, difference), np.bincount(place)
    drawn = np.random.default_rng(0).integers(0, len(names), (_DRAWS, len(names)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (2.5, 97.5))
    return Gain(float(difference.mean()), float(low), float(high))


def bins(probabilities: Probabilities, is_gone: npt.NDArray[np.bool_]) -> list[Bin]:
    """Snapshots by rising probability, in bins of equal count; at most 10, and none empty."""
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, BIN_COUNT) if len(part)]
    return [Bin(float(probabilities[part].mean()), float(is_gone[part].mean()), len(part)) for part in parts]


def report(model: Probabilities, table: Table, usual: float) -> Report:
    """The model beside the hybrid and the baselines.

    The single rule is ranked by the idle days themselves, because a rule that only says yes or no cannot rank.

    Args:
        model: the model's probabilities for the table's rows.
        table: what happened.
        usual: the share that left in the training data, which is all the majority baseline knows.
    """
    rules, is_gone = table.rule_probabilities, table.is_gone
    is_idle = (table.idle_days >= IDLE_DAYS).astype(np.float64)
    named = {
        "model": measure(model, is_gone),
        "model and rules": measure(1.0 - (1.0 - rules) * (1.0 - model), is_gone),
        "majority": measure(np.full(len(table), usual), is_gone),
        RULE: measure(is_idle, is_gone, ranking=table.idle_days),
        "rules only": measure(rules, is_gone),
    }
    return {name: asdict(measures) for name, measures in named.items()}
