"""A model that knows other users, recalibrated on some of these: its logit times a slope, plus an offset.

Cox, Two further applications of a model for binary regression, Biometrika 45, 1958. Two numbers can be learned from a
few dozen users, from whom a model of their own would learn noise. The order of the users stays as it was.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.model_selection import GroupKFold

from offline.training import fitting, metrics, plots, rule_weights, thresholds
from offline.training.fitting import Asked, Source, TooLittleError
from offline.training.metrics import Floats, Said
from offline.training.rule_weights import Learned
from offline.training.table import Table
from offline.training.thresholds import Reached
from services.scoring.domain.learning import PROBABILITY_FROM
from services.scoring.ports import Model

FEWEST_OF_AN_ANSWER: Final = 5
"""Users for whom the label came true, and users for whom it did not."""
_FOLDS: Final = 5
_CERTAIN: Final = 1e-9
_LEAST_SLOPE: Final = 1e-3
_OUTPUTS: Final = ("probability", "terms")


class Recalibration(NamedTuple):
    """`slope` is above 0, so that the order stays; both are in logits."""

    offset: float
    slope: float

    def __call__(self, probabilities: Floats) -> Floats:
        """Recalibrated probabilities."""
        return np.asarray(expit(self.offset + self.slope * _logits(probabilities)))


class Recalibrated(NamedTuple):
    """A recalibrated model, measured on users that its two numbers were not fitted to. Reports are by their moment."""

    file: bytes
    base: Model
    by: Recalibration
    before: Floats
    """What the model said of each snapshot before."""
    after: Floats
    """What it says of each snapshot recalibrated on other users: of five parts of the users, on the other four."""
    reports: dict[str, metrics.Report]
    plots: dict[str, bytes]
    counts: dict[str, int]
    learned: Learned
    """What all users taught about the rules, each judged by the others."""
    thresholds: dict[str, list[Reached]]
    """As those of `Trained`, over all users."""


def train(source: Source, base: Model, file: bytes) -> Recalibrated:
    """Recalibrates a model, given with its ONNX file, on all snapshots.

    Raises:
        TooLittleError: too few users, or too few of either label.
        MissingColumnsError: the model takes columns that the data does not have.
    """
    rows = source.snapshots
    before = probabilities(base, rows)
    require_enough(rows)
    by, after = fit(before, rows), np.empty(len(rows))
    for known, unknown in GroupKFold(_FOLDS).split(before, rows.is_true, rows.users):
        after[unknown] = fit(before[known], rows.where(_mask(known, len(rows))))(before[unknown])
    learned = rule_weights.learn(after, rows)
    asked = Asked(after, learned.doubts, learned.rules)
    reports = {
        f"{fitting.OTHER_USERS}, {moment}": metrics.report(_said(before[mask], asked.where(mask), part), part)
        for moment, part in fitting.parts(rows).items()
        for mask in [rows.moments == moment]
    }
    curves = {name: metrics.bins(each, rows.is_true) for name, each in (("before", before), ("recalibrated", after))}
    counts = {"users": len(set(rows.users)), "snapshots": len(rows)}
    drawn = {"reliability.png": plots.reliability(curves)}
    aims = thresholds.by_moment(asked.told, rows)
    return Recalibrated(recalibrated(file, by), base, by, before, after, reports, drawn, counts, learned, aims)


def probabilities(model: Model, rows: Table) -> Floats:
    """What a model says of snapshots.

    Raises:
        MissingColumnsError: it takes columns that the data does not have.
    """
    return np.array(model.predict(rows.inputs(model.card.features, model.card.words)).probabilities)


def fit(before: Floats, rows: Table) -> Recalibration:
    """The two numbers for which what came true is most likely; the slope is drawn to 1 as by one snapshot."""
    logits, is_true, weights = _logits(before), rows.is_true, fitting.weights(rows)

    def loss(by: Floats) -> tuple[float, Floats]:
        said = by[0] + by[1] * logits
        off = weights * (expit(said) - is_true)
        value = weights @ (np.logaddexp(0.0, said) - is_true * said) + 0.5 * (by[1] - 1.0) ** 2
        return float(value), np.array([off.sum(), off @ logits + by[1] - 1.0])

    bounds = ((None, None), (_LEAST_SLOPE, None))
    offset, slope = minimize(loss, (0.0, 1.0), jac=True, bounds=bounds, method="L-BFGS-B").x
    return Recalibration(float(offset), float(slope))


def recalibrated(file: bytes, by: Recalibration) -> bytes:
    """An ONNX file that says what the given one says, recalibrated; its terms sum to the new logit."""
    model = onnx.load_from_string(file)
    graph = model.graph
    stem = f"recalibrated_{sum(each.name.endswith('_slope') for each in graph.initializer)}"
    for node in graph.node:
        node.output[:] = [f"{stem}_{name}" if name in _OUTPUTS else name for name in node.output]
    width = graph.input[0].type.tensor_type.shape.dim[1].dim_value + 1
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([by.slope]), f"{stem}_slope"),
            numpy_helper.from_array(np.array([[by.offset, *[0.0] * (width - 1)]]), f"{stem}_offset"),
            numpy_helper.from_array(np.array([1], np.int64), f"{stem}_columns"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Mul", [f"{stem}_terms", f"{stem}_slope"], [f"{stem}_scaled"]),
            helper.make_node("Add", [f"{stem}_scaled", f"{stem}_offset"], ["terms"]),
            helper.make_node("ReduceSum", ["terms", f"{stem}_columns"], [f"{stem}_logit"], keepdims=0),
            helper.make_node("Sigmoid", [f"{stem}_logit"], ["probability"]),
        ]
    )
    _drop_unused(graph)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Drops the nodes and numbers that no output needs."""
    needed, kept = set(_OUTPUTS), []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    numbers = [each for each in graph.initializer if each.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(numbers)


def require_enough(rows: Table) -> None:
    """Raises `TooLittleError` if the users are too few to recalibrate a model on."""
    users = len(set(rows.users))
    true, false = (len(set(rows.users[rows.is_true == which])) for which in (True, False))
    if users < PROBABILITY_FROM or min(true, false) < FEWEST_OF_AN_ANSWER:
        message = (
            f"The label came true for {true:,} of {users:,} users, and false for {false:,}; "
            f"{PROBABILITY_FROM} users are needed, {FEWEST_OF_AN_ANSWER} of either."
        )
        raise TooLittleError(message)


def _said(before: Floats, asked: Asked, rows: Table) -> dict[str, Said]:
    said, share = asked.said(rows), np.full(len(rows), rows.is_true.mean())
    return {
        "exit risk": said.pop("exit risk"),
        "recalibrated": said.pop("model"),
        "before": Said(before, before),
        "majority": Said(share, share),
    } | said


def _logits(chances: Floats) -> Floats:
    inner = np.clip(chances, _CERTAIN, 1.0 - _CERTAIN)
    return np.asarray(np.log(inner / (1.0 - inner)))


def _mask(places: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.bool_]:
    found = np.zeros(count, bool)
    found[places] = True
    return found
