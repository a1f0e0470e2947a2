"""Thresholds of a probability for a wanted recall or precision: chosen on some users, measured on others.

Whether an aim can be reached depends on the data, so the whole curve of precision and recall stands beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from offline.training.metrics import Figure, Floats
from offline.training.table import Table
from services.analytics.domain import calibration

RECALL_OF_CRITICAL: Final = 0.90
PRECISION_OF_HIGH: Final = 0.84
RECALLS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The curve is shown at these, and at the two aims."""
COLUMNS: Final = ("aim", "threshold", "recall", "precision", "share at it or above")
FEWEST_FOUND: Final = 10
"""A precision of fewer snapshots for which it came true is luck, and is not aimed at."""


class Reached(NamedTuple):
    """An aim; the threshold that reaches it on the users it was chosen on; what that gives on others, with intervals.

    Without a threshold it cannot be reached. `share` is that of snapshots at the threshold or above. The precision is 0
    where there are none.
    """

    aim: str
    threshold: float | None
    recall: Figure | None = None
    precision: Figure | None = None
    share: Figure | None = None

    def cells(self) -> Sequence[str]:
        """What stands in the columns of a table: `COLUMNS`."""
        if self.threshold is None:
            return self.aim, "not reached", "", "", ""
        figures = (self.recall, self.precision, self.share)
        shown = (f"{each.value:.3f} ({each.low:.3f}-{each.high:.3f})" for each in figures if each is not None)
        return self.aim, f"{self.threshold:.3f}", *shown


def reached(probabilities: Floats, rows: Table) -> list[Reached]:
    """The curve by recall, with the critical aim, then the one of precision; empty if a half has one answer only.

    Half of the users, by a hash, choose the thresholds; the others are measured.
    """
    is_chosen_on = np.array([crc32(f"thresholds:{user}".encode()) % 2 == 0 for user in rows.users], bool)
    for half in (is_chosen_on, ~is_chosen_on):
        if len(set(rows.is_true[half])) < 2:
            return []
    chosen = _chosen(probabilities[is_chosen_on], rows.is_true[is_chosen_on])
    said, other = probabilities[~is_chosen_on], rows.where(~is_chosen_on)
    weights = [np.ones(len(other)), *calibration.resampled(other.users)]
    return [_measured(aim, threshold, (said, other.is_true), weights) for aim, threshold in chosen.items()]


def by_moment(probabilities: Floats, rows: Table) -> dict[str, list[Reached]]:
    """What is reached at each moment that both halves of the users can tell of; arguments as for `reached`."""
    found = {
        str(moment): reached(probabilities[its], rows.where(its))
        for moment in np.unique(rows.moments)
        for its in [rows.moments == moment]
    }
    return {moment: each for moment, each in found.items() if each}


def _chosen(said: Floats, is_true: npt.NDArray[np.bool_]) -> Mapping[str, float | None]:
    """The thresholds by their aims: the greatest that reaches a recall, the least that keeps a precision."""
    values, place = np.unique(said, return_inverse=True)
    thresholds = values[::-1]
    found, taken = np.cumsum(np.bincount(place, is_true)[::-1]), np.cumsum(np.bincount(place)[::-1])
    recalls, precisions = found / found[-1], found / taken
    aims: dict[str, float | None] = {}
    for recall in RECALLS:
        name = f"recall {recall:.0%}" + (" (critical)" if recall == RECALL_OF_CRITICAL else "")
        aims[name] = float(thresholds[int(np.argmax(recalls >= recall))])
    keeps = np.flatnonzero((precisions >= PRECISION_OF_HIGH) & (found >= FEWEST_FOUND))
    aims[f"precision {PRECISION_OF_HIGH:.0%} (high)"] = float(thresholds[keeps[-1]]) if len(keeps) else None
    return aims


def _measured(
    aim: str, threshold: float | None, of: tuple[Floats, npt.NDArray[np.bool_]], weights: list[Floats]
) -> Reached:
    if threshold is None:
        return Reached(aim, None)
    said, is_true = of
    is_taken = said >= threshold
    measured = np.array([list(_shares(is_taken, is_true, each)) for each in weights])
    low, high = np.percentile(measured[1:], (2.5, 97.5), axis=0)
    figures = (Figure(*map(float, each)) for each in zip(measured[0], low, high, strict=True))
    return Reached(aim, threshold, *figures)


def _shares(is_taken: npt.NDArray[np.bool_], is_true: npt.NDArray[np.bool_], weights: Floats) -> Iterator[float]:
    """Recall, precision, and the share of snapshots that are taken."""
    found, taken, true = (float(weights @ each) for each in (is_taken & is_true, is_taken, is_true))
    yield found / true if true else 0.0
    yield found / taken if taken else 0.0
    yield taken / float(weights.sum())
