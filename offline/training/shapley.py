"""A boosted model of any trees as functions of few features, with the exact Shapley value of each feature.

What a model says if only the features S of a user are known is its mean over the training rows in which the features
of S have this user's values: the "interventional" value of Lundberg et al., From local explanations to global
understanding with explainable AI for trees, Nature Machine Intelligence 2, 2020 (Independent TreeSHAP), with all
training rows as background. A feature's contribution is its Shapley value in that game. It depends on what the model
says, and not on how its trees happen to say it; a feature that no tree looks at gets 0.

A branch of a tree depends on its conditions alone, and so do its Shapley values. So it is a table: one cell for each
way in which its conditions may turn out, with a value for each of its features. Shapley values of a sum are the sums of
those of its parts. So branches with features in common are joined to one table (`branches.joined`), and tables add up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numpy as np
import numpy.typing as npt
from sklearn.calibration import CalibratedClassifierCV

from offline.training.additive import Floats
from offline.training.branches import Branch, branches, joined


@dataclass(frozen=True)
class Table:
    """The Shapley values of a branch, in logits: `values[k]` has those of the k-th feature, cell by cell."""

    features: tuple[int, ...]
    bounds: tuple[Floats, ...]
    values: Floats

    def __call__(self, rows: Floats) -> Floats:
        """The values for rows of all features: one row each, one column per feature of the table."""
        cells = _cells(self.features, self.bounds, rows)
        return np.array([each[cells] for each in self.values]).T


@dataclass(frozen=True)
class Shares:
    """A model as a baseline, its mean over the training rows, and tables; all in logits."""

    baseline: float
    width: int
    """How many features the model takes."""
    tables: tuple[Table, ...]

    def terms(self, rows: Floats) -> Floats:
        """Each feature's Shapley value for each row. With the baseline they sum to the logit."""
        terms = np.zeros((len(rows), self.width))
        for table in self.tables:
            terms[:, table.features] += table(rows)
        return terms


def read(model: CalibratedClassifierCV, rows: Floats) -> Shares:
    """The Shapley values of a calibrated booster of scikit-learn, with all the rows as background."""
    calibrated = model.calibrated_classifiers_[0]
    boosted, sigmoid = calibrated.estimator, calibrated.calibrators[0]
    slope, offset = -float(sigmoid.a_), -float(sigmoid.b_)
    baseline = offset + slope * float(np.ravel(boosted._baseline_prediction)[0])  # noqa: SLF001 - the trees are not public
    trees = (predictor.nodes for (predictor,) in boosted._predictors)  # noqa: SLF001
    tables = []
    for branch in joined(each for nodes in trees for each in branches(nodes)):
        chances = _chances(branch, rows)
        values = slope * branch.values
        baseline += float((values * chances).sum())
        if branch.features:
            tables.append(Table(branch.features, branch.bounds, shapley(values, chances)))
    return Shares(baseline, rows.shape[1], tuple(tables))


def shapley(values: Floats, chances: Floats) -> Floats:
    """The Shapley values of a function's features, one per axis: `[k]` are those of axis k, cell by cell.

    Args:
        values: the function.
        chances: of the same shape, how often each cell is met; they sum to 1.
    """
    count, axes = values.ndim, frozenset(range(values.ndim))
    subsets = [frozenset(each) for size in range(count + 1) for each in combinations(range(count), size)]
    means = {
        known: (values * chances.sum(axis=tuple(known), keepdims=True)).sum(axis=tuple(axes - known), keepdims=True)
        for known in subsets
    }
    found = np.zeros((count, *values.shape))
    for known in subsets:
        for axis in axes - known:
            weight = factorial(len(known)) * factorial(count - len(known) - 1) / factorial(count)
            found[axis] += weight * (means[known | {axis}] - means[known])
    return found


def _chances(branch: Branch, rows: Floats) -> Floats:
    """The share of rows in each cell."""
    counts = np.zeros(branch.values.shape)
    np.add.at(counts, _cells(branch.features, branch.bounds, rows), 1.0)
    return counts / len(rows)


def _cells(features: Sequence[int], bounds: Sequence[Floats], rows: Floats) -> tuple[npt.NDArray[np.intp], ...]:
    return tuple(
        np.searchsorted(each, rows[:, feature], side="left") for feature, each in zip(features, bounds, strict=True)
    )
