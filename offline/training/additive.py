"""A boosted model that is a sum of one step function per feature, and its export to ONNX.

With `no_interactions` each of scikit-learn's trees uses one feature only. So the whole ensemble and its sigmoid
calibration are exactly `logit(p) = baseline + f_1(x_1) + ... + f_n(x_n)` with step functions f_j. This module reads
them from the fitted model and writes one balanced tree per feature: the file is small and fast, and has the terms of
the features as outputs beside the probability. All numbers are 64-bit, so a value on a threshold falls on the same
side in both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.calibration import CalibratedClassifierCV

Floats = npt.NDArray[np.float64]

_OPSET: Final = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 5)]
_IR_VERSION: Final = 10
_SUM: Final = 1
_BRANCH_LEQ: Final = 0


@dataclass(frozen=True)
class Steps:
    """A step function: `values[i]` is for x <= bounds[i] and above the previous bound; the last value has no bound."""

    bounds: Floats
    values: Floats

    def __call__(self, x: Floats) -> Floats:
        """The values at x."""
        return self.values[np.searchsorted(self.bounds, x, side="left")]


@dataclass(frozen=True)
class Additive:
    """A model as a baseline and one step function per feature, in logits; each averages 0 over the training rows."""

    baseline: float
    steps: tuple[Steps, ...]

    def terms(self, rows: Floats) -> Floats:
        """Each feature's term for each row."""
        return np.column_stack([step(rows[:, index]) for index, step in enumerate(self.steps)])


def read(model: CalibratedClassifierCV, rows: Floats) -> Additive:
    """The additive form of a fitted `CalibratedClassifierCV(HistGradientBoostingClassifier, ensemble=False)`.

    Raises:
        ValueError: a tree uses more than one feature.
    """
    calibrated = model.calibrated_classifiers_[0]
    boosted, sigmoid = calibrated.estimator, calibrated.calibrators[0]
    trees = [predictor.nodes for (predictor,) in boosted._predictors]  # noqa: SLF001 - the trees are not public
    baseline = float(np.ravel(boosted._baseline_prediction)[0])  # noqa: SLF001
    of_feature: list[list[Any]] = [[] for _ in range(rows.shape[1])]
    for nodes in trees:
        used = {int(node["feature_idx"]) for node in nodes if not node["is_leaf"]}
        if len(used) > 1:
            message = f"A tree uses the features {sorted(used)}, but an additive model has one per tree."
            raise ValueError(message)
        if used:
            of_feature[used.pop()].append(nodes)
        else:
            baseline += float(nodes[0]["value"])
    slope, offset = -float(sigmoid.a_), -float(sigmoid.b_)
    steps = []
    baseline = slope * baseline + offset
    for index, feature_trees in enumerate(of_feature):
        raw = _merge(feature_trees, slope)
        mean = float(raw(rows[:, index]).mean())
        baseline += mean
        steps.append(Steps(raw.bounds, raw.values - mean))
    return Additive(baseline, tuple(steps))


def _merge(trees: Sequence[Any], slope: float) -> Steps:
    """The sum of trees over one feature as one step function."""
    bounds = np.unique([node["num_threshold"] for nodes in trees for node in nodes if not node["is_leaf"]])
    points = [*bounds.tolist(), np.inf]
    values = slope * np.array([sum(_leaf_value(nodes, x) for nodes in trees) for x in points])
    differs = values[1:] != values[:-1] if len(bounds) else np.zeros(0, bool)
    return Steps(bounds[differs].astype(np.float64), np.append(values[:-1][differs], values[-1]))


def _leaf_value(nodes: Any, x: float) -> float:  # noqa: ANN401 - a structured array
    node = nodes[0]
    while not node["is_leaf"]:
        node = nodes[node["left"] if x <= node["num_threshold"] else node["right"]]
    return float(node["value"])


class _Forest:
    """The node columns of one `TreeEnsemble`."""

    def __init__(self) -> None:
        self.roots: list[int] = []
        self.features: list[int] = []
        self.splits: list[float] = []
        self.true_ids: list[int] = []
        self.true_are_leaves: list[int] = []
        self.false_ids: list[int] = []
        self.false_are_leaves: list[int] = []
        self.leaf_targets: list[int] = []
        self.leaf_weights: list[float] = []

    def add(self, feature: int, steps: Steps) -> None:
        """Adds a balanced tree for a step function with at least one step."""
        self.roots.append(len(self.features))
        self._grow(feature, steps, 0, len(steps.bounds))

    def _grow(self, feature: int, steps: Steps, low: int, high: int) -> tuple[int, int]:
        """Adds the tree over `values[low : high + 1]`; returns its id and whether it is a leaf."""
        if low == high:
            self.leaf_targets.append(feature)
            self.leaf_weights.append(float(steps.values[low]))
            return len(self.leaf_targets) - 1, 1
        middle = (low + high) // 2
        node = len(self.features)
        self.features.append(feature)
        self.splits.append(float(steps.bounds[middle]))
        for column in (self.true_ids, self.true_are_leaves, self.false_ids, self.false_are_leaves):
            column.append(0)
        self.true_ids[node], self.true_are_leaves[node] = self._grow(feature, steps, low, middle)
        self.false_ids[node], self.false_are_leaves[node] = self._grow(feature, steps, middle + 1, high)
        return node, 0


def to_onnx(model: Additive, metadata: Sequence[tuple[str, str]]) -> bytes:
    """The model as an ONNX file; equal models give equal bytes.

    Input `features`: float64 [rows, features]. Outputs `probability`: float64 [rows]; `terms`: float64 [rows, 1 +
    features], the baseline and then the terms, in logits, whose sum is the logit of the probability.
    """
    count = len(model.steps)
    forest = _Forest()
    for feature, steps in enumerate(model.steps):
        if len(steps.bounds):
            forest.add(feature, steps)
    graph = helper.make_graph(
        list(_nodes(forest, count)),
        "exit-risk",
        [helper.make_tensor_value_info("features", TensorProto.DOUBLE, ["rows", count])],
        [
            helper.make_tensor_value_info("probability", TensorProto.DOUBLE, ["rows"]),
            helper.make_tensor_value_info("terms", TensorProto.DOUBLE, ["rows", count + 1]),
        ],
        initializer=[
            numpy_helper.from_array(np.array([[model.baseline]]), "baseline"),
            numpy_helper.from_array(np.array([1], np.int64), "columns"),
            numpy_helper.from_array(np.array([0, 1, 0, 0], np.int64), "lead"),
            numpy_helper.from_array(np.array([[model.baseline, *[0.0] * count]]), "baseline_first"),
        ],
    )
    file = helper.make_model(graph, opset_imports=_OPSET, ir_version=_IR_VERSION, producer_name="journeymesh")
    helper.set_model_props(file, dict(metadata))
    onnx.checker.check_model(file)
    return file.SerializeToString(deterministic=True)


def _nodes(forest: _Forest, count: int) -> Iterator[onnx.NodeProto]:
    yield helper.make_node(
        "TreeEnsemble",
        ["features"],
        ["steps"],
        domain="ai.onnx.ml",
        aggregate_function=_SUM,
        n_targets=count,
        tree_roots=forest.roots,
        nodes_featureids=forest.features,
        nodes_modes=numpy_helper.from_array(np.full(len(forest.features), _BRANCH_LEQ, np.uint8), "modes"),
        nodes_splits=numpy_helper.from_array(np.array(forest.splits), "splits"),
        nodes_truenodeids=forest.true_ids,
        nodes_trueleafs=forest.true_are_leaves,
        nodes_falsenodeids=forest.false_ids,
        nodes_falseleafs=forest.false_are_leaves,
        leaf_targetids=forest.leaf_targets,
        leaf_weights=numpy_helper.from_array(np.array(forest.leaf_weights), "weights"),
    )
    yield helper.make_node("ReduceSum", ["steps", "columns"], ["sum"], keepdims=1)
    yield helper.make_node("Add", ["sum", "baseline"], ["logit"])
    yield helper.make_node("Sigmoid", ["logit"], ["chance"])
    yield helper.make_node("Squeeze", ["chance", "columns"], ["probability"])
    # Pads a zero column before the terms and adds the baseline to it; the other columns gain zero.
    yield helper.make_node("Pad", ["steps", "lead"], ["padded"])
    yield helper.make_node("Add", ["padded", "baseline_first"], ["terms"])
