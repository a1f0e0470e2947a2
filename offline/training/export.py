"""An additive model as an ONNX file: one balanced tree per step function and per pair.

The file is small and fast, and has the features' terms as outputs beside the probability. All numbers are 64-bit, so a
value on a threshold falls on the same side as in the model that it comes from.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from offline.training.additive import Additive, Floats, Grid, Steps, thinned

_OPSET: Final = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 5)]
_IR_VERSION: Final = 10
_SUM: Final = 1
_BRANCH_LEQ: Final = 0


class _Cells(NamedTuple):
    """The values of a function that becomes a tree: of one feature, or, with a second one, by row and column."""

    target: int
    values: Floats
    second: int = 0
    second_bounds: Floats = np.zeros(0)


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
        self._grow(feature, steps.bounds, _Cells(feature, steps.values), (0, len(steps.bounds)))

    def add_pair(self, target: int, grid: Grid) -> None:
        """Adds a balanced tree for a function of two features, of which the first has at least one step."""
        self.roots.append(len(self.features))
        cells = _Cells(target, grid.values, grid.second, grid.second_bounds)
        self._grow(grid.first, grid.first_bounds, cells, (0, len(grid.first_bounds)))

    def _grow(self, feature: int, bounds: Floats, cells: "_Cells", span: tuple[int, int]) -> tuple[int, int]:
        """Adds the tree over the steps of a span, its end included; returns its id and whether it is a leaf."""
        low, high = span
        if low == high and cells.values.ndim > 1:
            inner = thinned(Steps(cells.second_bounds, cells.values[low]))
            return self._grow(cells.second, inner.bounds, _Cells(cells.target, inner.values), (0, len(inner.bounds)))
        if low == high:
            self.leaf_targets.append(cells.target)
            self.leaf_weights.append(float(cells.values[low]))
            return len(self.leaf_targets) - 1, 1
        middle = (low + high) // 2
        node = len(self.features)
        self.features.append(feature)
        self.splits.append(float(bounds[middle]))
        for column in (self.true_ids, self.true_are_leaves, self.false_ids, self.false_are_leaves):
            column.append(0)
        self.true_ids[node], self.true_are_leaves[node] = self._grow(feature, bounds, cells, (low, middle))
        self.false_ids[node], self.false_are_leaves[node] = self._grow(feature, bounds, cells, (middle + 1, high))
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
    for number, grid in enumerate(model.grids):
        forest.add_pair(count + number, grid)
    graph = helper.make_graph(
        list(_nodes(forest, count, len(model.grids))),
        "exit-risk",
        [helper.make_tensor_value_info("features", TensorProto.DOUBLE, ["rows", count])],
        [
            helper.make_tensor_value_info("probability", TensorProto.DOUBLE, ["rows"]),
            helper.make_tensor_value_info("terms", TensorProto.DOUBLE, ["rows", count + 1]),
        ],
        initializer=[
            numpy_helper.from_array(np.array([1], np.int64), "columns"),
            numpy_helper.from_array(np.array([0, 1, 0, 0], np.int64), "lead"),
            numpy_helper.from_array(np.array([[model.baseline, *[0.0] * count]]), "baseline_first"),
            *_halves(model, count),
        ],
    )
    file = helper.make_model(graph, opset_imports=_OPSET, ir_version=_IR_VERSION, producer_name="journeymesh")
    helper.set_model_props(file, dict(metadata))
    onnx.checker.check_model(file)
    return file.SerializeToString(deterministic=True)


def _halves(model: Additive, count: int) -> Iterator[onnx.TensorProto]:
    """How the functions are shared out: those of one feature go to it, those of a pair to both, half each."""
    if model.grids:
        shares = np.vstack([np.eye(count), np.zeros((len(model.grids), count))])
        for number, grid in enumerate(model.grids):
            shares[count + number, [grid.first, grid.second]] = 0.5
        yield numpy_helper.from_array(shares, "shares")


def _nodes(forest: _Forest, count: int, pair_count: int) -> Iterator[onnx.NodeProto]:
    yield helper.make_node(
        "TreeEnsemble",
        ["features"],
        ["functions"],
        domain="ai.onnx.ml",
        aggregate_function=_SUM,
        n_targets=count + pair_count,
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
    yield (
        helper.make_node("MatMul", ["functions", "shares"], ["steps"])
        if pair_count
        else helper.make_node("Identity", ["functions"], ["steps"])
    )
    # Pads a zero column before the terms and adds the baseline to it; the other columns gain zero.
    yield helper.make_node("Pad", ["steps", "lead"], ["padded"])
    yield helper.make_node("Add", ["padded", "baseline_first"], ["terms"])
    yield helper.make_node("ReduceSum", ["terms", "columns"], ["logit"], keepdims=0)
    yield helper.make_node("Sigmoid", ["logit"], ["probability"])
