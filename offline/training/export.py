"""A model as an ONNX file: one balanced tree per step function and per pair, or per table of Shapley values.

The file is small and fast, and has the features' terms as outputs beside the probability. All thresholds are 64-bit, so
a value on a threshold falls on the same side as in the model that it comes from.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from offline.training.additive import Additive, Floats, Grid, Steps, thinned
from offline.training.shapley import Shares
from offline.training.shapley import Table as ShapleyTable

_OPSET: Final = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 5)]
_SHARES_OPSET: Final = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
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


class _Tables:
    """The node and weight columns of one `TreeEnsembleRegressor`."""

    def __init__(self) -> None:
        self.trees: list[int] = []
        self.numbers: list[int] = []
        self.features: list[int] = []
        self.modes: list[str] = []
        self.splits: list[float] = []
        self.true_ids: list[int] = []
        self.false_ids: list[int] = []
        self.weight_trees: list[int] = []
        self.weight_numbers: list[int] = []
        self.targets: list[int] = []
        self.weights: list[float] = []
        self._tree = -1

    def add(self, table: ShapleyTable) -> None:
        """Adds a tree that decides feature by feature, each by halves."""
        self._tree, self._first = self._tree + 1, len(self.numbers)
        self._grow(table, 0, (0, len(table.bounds[0])), table.values)

    def _grow(self, table: ShapleyTable, axis: int, span: tuple[int, int], values: Floats) -> int:
        """Adds the tree over the steps of a span of a feature, its end included; returns its number.

        `values` are those of the features before: their axes are gone.
        """
        (low, high), number = span, len(self.numbers) - self._first
        if low == high:
            return self._next(table, axis + 1, values[:, low])
        middle = (low + high) // 2
        self._node(table.features[axis], "BRANCH_LEQ", float(table.bounds[axis][middle]))
        at = len(self.numbers) - 1
        self.true_ids[at] = self._grow(table, axis, (low, middle), values)
        self.false_ids[at] = self._grow(table, axis, (middle + 1, high), values)
        return number

    def _next(self, table: ShapleyTable, axis: int, values: Floats) -> int:
        if axis < len(table.features):
            return self._grow(table, axis, (0, len(table.bounds[axis])), values)
        self._node(0, "LEAF", 0.0)
        number = self.numbers[-1]
        self.weight_trees += [self._tree] * len(values)
        self.weight_numbers += [number] * len(values)
        self.targets += table.features
        self.weights += values.tolist()
        return number

    def _node(self, feature: int, mode: str, split: float) -> None:
        self.trees.append(self._tree)
        self.numbers.append(len(self.numbers) - self._first)
        self.features.append(feature)
        self.modes.append(mode)
        self.splits.append(split)
        self.true_ids.append(0)
        self.false_ids.append(0)


def to_onnx(model: Additive | Shares, metadata: Sequence[tuple[str, str]]) -> bytes:
    """The model as an ONNX file; equal models give equal bytes.

    Input `features`: float64 [rows, features]. Outputs `probability`: float64 [rows]; `terms`: float64 [rows, 1 +
    features], the baseline and then the terms, in logits, whose sum is the logit of the probability.
    """
    count = model.width
    if isinstance(model, Additive):
        nodes, numbers, opset = _additive(model), _halves(model), _OPSET
    else:
        nodes, numbers, opset = _shares(model), iter(()), _SHARES_OPSET
    graph = helper.make_graph(
        [*nodes, *_tail()],
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
            *numbers,
        ],
    )
    file = helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION, producer_name="journeymesh")
    helper.set_model_props(file, dict(metadata))
    onnx.checker.check_model(file)
    return file.SerializeToString(deterministic=True)


def _halves(model: Additive) -> Iterator[onnx.TensorProto]:
    """How the functions are shared out: those of one feature go to it, those of a pair to both, half each."""
    count = model.width
    if model.grids:
        shares = np.vstack([np.eye(count), np.zeros((len(model.grids), count))])
        for number, grid in enumerate(model.grids):
            shares[count + number, [grid.first, grid.second]] = 0.5
        yield numpy_helper.from_array(shares, "shares")


def _additive(model: Additive) -> Iterator[onnx.NodeProto]:
    forest, count, pair_count = _Forest(), model.width, len(model.grids)
    for feature, steps in enumerate(model.steps):
        if len(steps.bounds):
            forest.add(feature, steps)
    for number, grid in enumerate(model.grids):
        forest.add_pair(count + number, grid)
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


def _shares(model: Shares) -> Iterator[onnx.NodeProto]:
    """Trees whose leaves have a value for each of several features: `TreeEnsemble` gives a leaf one only.

    The older operator sums in 64 bits, too, but gives the sums in 32.
    """
    forest = _Tables()
    for table in model.tables:
        forest.add(table)
    yield helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["rounded"],
        domain="ai.onnx.ml",
        aggregate_function="SUM",
        post_transform="NONE",
        n_targets=model.width,
        nodes_treeids=forest.trees,
        nodes_nodeids=forest.numbers,
        nodes_featureids=forest.features,
        nodes_modes=forest.modes,
        nodes_values_as_tensor=numpy_helper.from_array(np.array(forest.splits), "splits"),
        nodes_truenodeids=forest.true_ids,
        nodes_falsenodeids=forest.false_ids,
        target_treeids=forest.weight_trees,
        target_nodeids=forest.weight_numbers,
        target_ids=forest.targets,
        target_weights_as_tensor=numpy_helper.from_array(np.array(forest.weights), "weights"),
    )
    yield helper.make_node("Cast", ["rounded"], ["steps"], to=TensorProto.DOUBLE)


def _tail() -> Iterator[onnx.NodeProto]:
    # Pads a zero column before the terms and adds the baseline to it; the other columns gain zero.
    yield helper.make_node("Pad", ["steps", "lead"], ["padded"])
    yield helper.make_node("Add", ["padded", "baseline_first"], ["terms"])
    yield helper.make_node("ReduceSum", ["terms", "columns"], ["logit"], keepdims=0)
    yield helper.make_node("Sigmoid", ["logit"], ["probability"])
