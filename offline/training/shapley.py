"""A boosted model of any trees as functions of few features, with the exact Shapley value of each feature.

What a model says if only the features S of a user are known is its mean over the training rows in which the features
of S have this user's values: the "interventional" value of Lundberg et al., From local explanations to global
understanding with explainable AI for trees, Nature Machine Intelligence 2, 2020 (Independent TreeSHAP), with all
training rows as background. A feature's contribution is its Shapley value in that game. It depends on what the model
says, and not on how its trees happen to say it; a feature that no tree looks at gets 0.

A tree depends on its conditions alone, and so do its Shapley values. So a branch of a tree with few conditions is a
table: one cell for each way in which its conditions may turn out, with a value for each of its features. Values of
branches add up, as Shapley values of sums do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.calibration import CalibratedClassifierCV

from offline.training.additive import Box, Floats, Leaf, bounds_of, leaves, sides, span

MOST_CELLS: Final = 32
"""A branch with more cells is divided further. Fewer make more tables, more make larger ones."""


class Branch(NamedTuple):
    """The leaves below a node, as a function of the features on the paths to them, in logits."""

    features: tuple[int, ...]
    """Ascending."""
    bounds: tuple[Floats, ...]
    """For each of these features, ascending; see `offline.training.additive.Steps`."""
    values: Floats
    """One axis per feature, one place per step; 0 where no leaf of the branch is."""


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
    tables = []
    for (predictor,) in boosted._predictors:  # noqa: SLF001
        for branch in branches(predictor.nodes):
            chances = _chances(branch, rows)
            values = slope * branch.values
            baseline += float((values * chances).sum())
            if branch.features:
                tables.append(Table(branch.features, branch.bounds, shapley(values, chances)))
    return Shares(baseline, rows.shape[1], tuple(tables))


def branches(nodes: Any, most_cells: int = MOST_CELLS) -> Iterator[Branch]:  # noqa: ANN401 - a structured array
    """A tree as functions that sum to it: of branches with at most so many cells, or of single leaves."""
    waiting: list[tuple[int, Box]] = [(0, {})]
    while waiting:
        at, box = waiting.pop()
        branch = _branch([*leaves(nodes, at, box)])
        if nodes[at]["is_leaf"] or branch.values.size <= most_cells:
            yield branch
        else:
            waiting += sides(nodes[at], box)


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


def _branch(found: Sequence[Leaf]) -> Branch:
    features = tuple(sorted({feature for leaf in found for feature in leaf.box}))
    bounds = tuple(bounds_of(feature, found) for feature in features)
    values = np.zeros([len(each) + 1 for each in bounds])
    for leaf in found:
        values[tuple(span(each, leaf, feature) for feature, each in zip(features, bounds, strict=True))] += leaf.value
    return Branch(features, bounds, values)


def _chances(branch: Branch, rows: Floats) -> Floats:
    """The share of rows in each cell."""
    counts = np.zeros(branch.values.shape)
    np.add.at(counts, _cells(branch.features, branch.bounds, rows), 1.0)
    return counts / len(rows)


def _cells(features: Sequence[int], bounds: Sequence[Floats], rows: Floats) -> tuple[npt.NDArray[np.intp], ...]:
    return tuple(
        np.searchsorted(each, rows[:, feature], side="left") for feature, each in zip(features, bounds, strict=True)
    )
