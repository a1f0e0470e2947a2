"""What contributions cost: boosted models of published data with and without them, by the same runtime, in turn.

`python -m bench.explained [edify|shop ...]`. Plain is the model's own trees, one value a leaf, and the probability;
explained is the file that is served. Both on one thread, and in sixteens of rows as the service runs them.
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from sklearn.calibration import CalibratedClassifierCV

from mesh.settings import read
from offline import published
from offline.settings import Settings
from offline.training import export, fitting, shapley
from offline.training.additive import Floats
from offline.training.forms import Form

_NAMES: Final = ("edify", "shop")
_BATCHES: Final = (1, 32)
_TURNS: Final = 30
_CALLS: Final = 50
_TOGETHER: Final = 16
_WANTED: Final = 2.0


class _Side(NamedTuple):
    session: onnxruntime.InferenceSession
    outputs: list[str]

    def micros(self, batches: Sequence[Floats]) -> float:
        """CPU time per call."""
        began = time.process_time()
        for rows in batches:
            self.session.run(self.outputs, {"features": rows})
        return (time.process_time() - began) / len(batches) * 1e6


def main() -> None:
    """Prints a row per model and size of batch: CPU time per call, and the ratio; ends with 1 if it is above 2."""
    settings, console = read(Settings, os.environ), Console(stderr=True)
    ratios = []
    print("| data | label | trees | rows | plain, µs | explained, µs | ratio |\n|---|---|---|---|---|---|---|")
    for question in published.QUESTIONS:
        if question.name not in (sys.argv[1:] or _NAMES):
            continue
        with tempfile.TemporaryDirectory() as folder:
            source = published.source_of(question, settings, Path(folder), console)
        rows = source.snapshots.values
        model = fitting.fit(source.snapshots, source.measured, is_directed=False, form=Form.BOOSTED)
        files = plain(model, rows.shape[1]), export.to_onnx(shapley.read(model, rows), [])
        outputs = ["probability"], ["probability", "terms"]
        sides = [_Side(_session(file), names) for file, names in zip(files, outputs, strict=True)]
        trees = len(model.calibrated_classifiers_[0].estimator._predictors)  # noqa: SLF001 - the trees are not public
        for count in _BATCHES:
            micros = _measured(sides, rows, count)
            ratios.append(micros[1] / micros[0])
            cells = question.name, question.label.split(",")[0], trees, count, *(f"{each:.0f}" for each in micros)
            print(f"| {' | '.join(map(str, cells))} | {ratios[-1]:.2f} |")
    sys.exit(max(ratios, default=0.0) > _WANTED)


def plain(model: CalibratedClassifierCV, width: int) -> bytes:
    """An ONNX file of a calibrated booster of scikit-learn, of so many features, that says the probability only."""
    calibrated = model.calibrated_classifiers_[0]
    boosted, sigmoid = calibrated.estimator, calibrated.calibrators[0]
    slope, offset = -float(sigmoid.a_), -float(sigmoid.b_)
    baseline = offset + slope * float(np.ravel(boosted._baseline_prediction)[0])  # noqa: SLF001 - the trees are not public
    trees: list[Any] = [predictor.nodes for (predictor,) in boosted._predictors]  # noqa: SLF001
    nodes = np.concatenate(trees)
    tree_ids = np.repeat(np.arange(len(trees)), [len(each) for each in trees])
    node_ids = np.concatenate([np.arange(len(each)) for each in trees])
    is_leaf = nodes["is_leaf"].astype(bool)
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["rounded"],
        domain="ai.onnx.ml",
        aggregate_function="SUM",
        post_transform="NONE",
        n_targets=1,
        nodes_treeids=tree_ids,
        nodes_nodeids=node_ids,
        nodes_featureids=np.where(is_leaf, 0, nodes["feature_idx"]).astype(np.int64),
        nodes_modes=["LEAF" if each else "BRANCH_LEQ" for each in is_leaf],
        nodes_values_as_tensor=numpy_helper.from_array(np.where(is_leaf, 0.0, nodes["num_threshold"]), "splits"),
        nodes_truenodeids=np.where(is_leaf, 0, nodes["left"]).astype(np.int64),
        nodes_falsenodeids=np.where(is_leaf, 0, nodes["right"]).astype(np.int64),
        target_treeids=tree_ids[is_leaf],
        target_nodeids=node_ids[is_leaf],
        target_ids=np.zeros(is_leaf.sum(), np.int64),
        target_weights_as_tensor=numpy_helper.from_array(slope * nodes["value"][is_leaf], "weights"),
    )
    rest = [
        helper.make_node("Cast", ["rounded"], ["trees"], to=TensorProto.DOUBLE),
        helper.make_node("Add", ["trees", "baseline"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
        helper.make_node("Squeeze", ["probabilities", "columns"], ["probability"]),
    ]
    graph = helper.make_graph(
        [ensemble, *rest],
        "plain",
        [helper.make_tensor_value_info("features", TensorProto.DOUBLE, ["rows", width])],
        [helper.make_tensor_value_info("probability", TensorProto.DOUBLE, ["rows"])],
        initializer=[
            numpy_helper.from_array(np.array([baseline]), "baseline"),
            numpy_helper.from_array(np.array([1], np.int64), "columns"),
        ],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def _measured(sides: Sequence[_Side], rows: Floats, count: int) -> list[float]:
    """The least CPU time of a call of each side, in microseconds."""
    random = np.random.default_rng(count)
    batches = []
    for _ in range(_CALLS):
        batch = np.zeros((-count % _TOGETHER + count, rows.shape[1]))
        batch[:count] = rows[random.integers(0, len(rows), count)]
        batches.append(batch)
    turns = [[side.micros(batches) for side in sides] for _ in range(_TURNS)]
    return np.min(turns, axis=0).tolist()  # type: ignore[no-any-return]


def _session(file: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
