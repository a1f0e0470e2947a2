"""A boosted model as a sum of one step function per feature and a few functions of two features.

Every leaf of the trees is reached by comparing one feature or one of the chosen pairs. So the whole ensemble and its
sigmoid calibration are exactly `logit(p) = baseline + f_1(x_1) + ... + f_n(x_n) + sum of g_jk(x_j, x_k)`. This module
reads these functions from the fitted model.

What one feature of a pair says alone is moved into its step function: over the training rows each row and each column
of a pair's function averages 0 (Lengerich et al., Purifying Interaction Effects with the Functional ANOVA, AISTATS
2020). The rest belongs to both features alike; each gets half of it, as Shapley values divide a sum of pairs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.calibration import CalibratedClassifierCV

Floats = npt.NDArray[np.float64]

_ROUNDS: Final = 20
_EVERYWHERE: Final = (-np.inf, np.inf)


@dataclass(frozen=True)
class Steps:
    """A step function: `values[i]` is for x <= bounds[i] and above the previous bound; the last value has no bound."""

    bounds: Floats
    values: Floats

    def __call__(self, x: Floats) -> Floats:
        """The values at x."""
        return self.values[np.searchsorted(self.bounds, x, side="left")]


@dataclass(frozen=True)
class Grid:
    """A step function of two features: `values[i, k]` is for step i of the feature `first` and step k of `second`."""

    first: int
    second: int
    first_bounds: Floats
    second_bounds: Floats
    values: Floats

    def __call__(self, rows: Floats) -> Floats:
        """The values for rows of all features."""
        return self.values[
            np.searchsorted(self.first_bounds, rows[:, self.first], side="left"),
            np.searchsorted(self.second_bounds, rows[:, self.second], side="left"),
        ]


@dataclass(frozen=True)
class Additive:
    """A model as a baseline and functions, in logits; each averages 0 over the training rows."""

    baseline: float
    steps: tuple[Steps, ...]
    """One per feature."""
    grids: tuple[Grid, ...] = ()

    @property
    def width(self) -> int:
        """How many features the model takes."""
        return len(self.steps)

    def terms(self, rows: Floats) -> Floats:
        """Each feature's term for each row: its step, and half of each pair that it is in."""
        terms = np.column_stack([step(rows[:, index]) for index, step in enumerate(self.steps)])
        for grid in self.grids:
            half = 0.5 * grid(rows)
            terms[:, grid.first] += half
            terms[:, grid.second] += half
        return terms


Box = dict[int, tuple[float, float]]
"""Above and up to which bound each feature on a path must be."""


class Leaf(NamedTuple):
    """A leaf of a tree."""

    value: float
    box: Box


def read(model: CalibratedClassifierCV, rows: Floats) -> Additive:
    """The additive form of a calibrated `staged.Boosted`, or of scikit-learn's booster, that has pairs at most.

    Raises:
        ValueError: a leaf is reached by more than two features.
    """
    calibrated = model.calibrated_classifiers_[0]
    boosted, sigmoid = calibrated.estimator, calibrated.calibrators[0]
    boosted = getattr(boosted, "boosted_", boosted)
    slope, offset = -float(sigmoid.a_), -float(sigmoid.b_)
    baseline = float(np.ravel(boosted._baseline_prediction)[0])  # noqa: SLF001 - the trees are not public
    found: dict[tuple[int, ...], list[Leaf]] = {}
    for (predictor,) in boosted._predictors:  # noqa: SLF001
        for leaf in leaves(predictor.nodes, 0, {}):
            found.setdefault(tuple(sorted(leaf.box)), []).append(leaf)
    for features in found:
        if len(features) > 2:
            message = f"A leaf is reached by the features {list(features)}, but an additive model has at most pairs."
            raise ValueError(message)
    baseline = slope * (baseline + sum(leaf.value for leaf in found.pop((), [])))
    steps = [_steps(index, found.get((index,), ()), slope) for index in range(rows.shape[1])]
    grids = []
    for features in sorted(features for features in found if len(features) == 2):
        grid, parts, mean = _purified(_grid(features, found[features], slope), rows)
        grids.append(grid)
        baseline += mean
        for index, part in zip(features, parts, strict=True):
            steps[index] = _sum(steps[index], part)
    centred = []
    for index, step in enumerate(steps):
        mean = float(step(rows[:, index]).mean())
        baseline += mean
        centred.append(thinned(Steps(step.bounds, step.values - mean)))
    return Additive(baseline + offset, tuple(centred), tuple(grids))


def leaves(nodes: Any, at: int, box: Box) -> Iterator[Leaf]:  # noqa: ANN401 - a structured array
    """The leaves below a node that is reached within the box."""
    if nodes[at]["is_leaf"]:
        yield Leaf(float(nodes[at]["value"]), box)
        return
    for child, its_box in sides(nodes[at], box):
        yield from leaves(nodes, child, its_box)


def sides(node: Any, box: Box) -> tuple[tuple[int, Box], tuple[int, Box]]:  # noqa: ANN401 - a structured array
    """The children of a node that is no leaf, and their boxes."""
    feature, bound = int(node["feature_idx"]), float(node["num_threshold"])
    low, high = box.get(feature, _EVERYWHERE)
    left, right = (low, min(high, bound)), (max(low, bound), high)
    return (int(node["left"]), box | {feature: left}), (int(node["right"]), box | {feature: right})


def bounds_of(feature: int, found: Sequence[Leaf]) -> Floats:
    """The bounds of a feature on the paths to leaves, ascending."""
    bounds: Floats = np.unique([bound for leaf in found for bound in leaf.box.get(feature, _EVERYWHERE)])
    return bounds[np.isfinite(bounds)].astype(np.float64)


def span(bounds: Floats, leaf: Leaf, feature: int) -> slice:
    """The steps of a feature that a leaf covers."""
    low, high = leaf.box.get(feature, _EVERYWHERE)
    first = 0 if low == -np.inf else int(np.searchsorted(bounds, low)) + 1
    return slice(first, int(np.searchsorted(bounds, high)) + 1)


def _steps(feature: int, found: Sequence[Leaf], slope: float) -> Steps:
    bounds = bounds_of(feature, found)
    values = np.zeros(len(bounds) + 1)
    for leaf in found:
        values[span(bounds, leaf, feature)] += slope * leaf.value
    return Steps(bounds, values)


def _grid(features: tuple[int, ...], found: Sequence[Leaf], slope: float) -> Grid:
    first, second = features
    bounds = bounds_of(first, found), bounds_of(second, found)
    values = np.zeros((len(bounds[0]) + 1, len(bounds[1]) + 1))
    for leaf in found:
        values[span(bounds[0], leaf, first), span(bounds[1], leaf, second)] += slope * leaf.value
    return Grid(first, second, *bounds, values)


def _purified(grid: Grid, rows: Floats) -> tuple[Grid, tuple[Steps, Steps], float]:
    """A pair's function without what each feature says alone, these parts, and its mean, which they leave out."""
    first = np.searchsorted(grid.first_bounds, rows[:, grid.first], side="left")
    second = np.searchsorted(grid.second_bounds, rows[:, grid.second], side="left")
    counts = np.zeros(grid.values.shape)
    np.add.at(counts, (first, second), 1.0)
    of_rows, of_columns = np.maximum(counts.sum(axis=1), 1.0), np.maximum(counts.sum(axis=0), 1.0)
    mean = float((grid.values * counts).sum() / counts.sum())
    values = grid.values - mean
    parts = np.zeros(values.shape[0]), np.zeros(values.shape[1])
    for _ in range(_ROUNDS):
        row_means = (values * counts).sum(axis=1) / of_rows
        values = values - row_means[:, None]
        parts[0][:] += row_means
        column_means = (values * counts).sum(axis=0) / of_columns
        values = values - column_means[None, :]
        parts[1][:] += column_means
    return replace(grid, values=values), (Steps(grid.first_bounds, parts[0]), Steps(grid.second_bounds, parts[1])), mean


def _sum(one: Steps, other: Steps) -> Steps:
    bounds = np.union1d(one.bounds, other.bounds)
    points = np.append(bounds, np.inf)
    return Steps(bounds, one(points) + other(points))


def thinned(steps: Steps) -> Steps:
    """The same function without bounds at which nothing changes."""
    differs = steps.values[1:] != steps.values[:-1]
    return Steps(steps.bounds[differs], np.append(steps.values[:-1][differs], steps.values[-1]))
