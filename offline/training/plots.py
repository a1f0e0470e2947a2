"""Plots of a model."""

import io
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from offline.training.metrics import Bin, Floats
from offline.training.metrics import Figure as Interval

Outcomes = tuple[Floats, npt.NDArray[np.bool_]]
"""Probabilities, and what came true."""

_Corner = Literal["upper left", "upper right", "lower right"]


def reliability(curves: Mapping[str, Sequence[Bin]]) -> bytes:
    """Predicted against observed probabilities, one curve per name, as PNG; equal curves give equal bytes."""
    figure, axes = _square("predicted probability", "share for which it came true")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, curve in curves.items():
        axes.plot([b.predicted for b in curve], [b.observed for b in curve], marker="o", markersize=4, label=name)
    return _png(figure, axes, "upper left")


def roc(predicted: Mapping[str, Outcomes]) -> bytes:
    """The share of the true found against the share of the false taken, one curve per name, as PNG."""
    figure, axes = _square("share of the false taken", "share of the true found")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, (probabilities, is_true) in predicted.items():
        taken, found, _ = roc_curve(is_true, probabilities)
        axes.plot(*_thinned(taken, found), linewidth=1.2, label=name)
    return _png(figure, axes, "lower right")


def precision_recall(predicted: Mapping[str, Outcomes]) -> bytes:
    """Precision against the share of the true found, one curve per name, as PNG."""
    figure, axes = _square("share of the true found", "share of the taken that is true")
    for name, (probabilities, is_true) in predicted.items():
        precision, found, _ = precision_recall_curve(is_true, probabilities)
        axes.step(*_thinned(found, precision), linewidth=1.2, label=name, where="post")
    return _png(figure, axes, "upper right")


def bars(values: Mapping[str, float], title: str) -> bytes:
    """A bar per name, the first on top, as PNG."""
    figure = Figure(figsize=(4.8, 0.6 + 0.28 * max(1, len(values))), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(list(values), list(values.values()), height=0.6)
    axes.invert_yaxis()
    axes.set_xlabel(title)
    return _written(figure)


class Reached(NamedTuple):
    """A model of an installation that knows the outcome of so many users."""

    users: int
    name: str
    auroc: Interval
    calibration_error: Interval


def arrival(reached: Sequence[Reached]) -> bytes:
    """AUROC and calibration error by what an installation knows, one curve per name of a model, as PNG."""
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    steps = sorted({each.users for each in reached})
    for axes, of in zip(figure.subplots(1, 2), ("auroc", "calibration_error"), strict=True):
        for name in dict.fromkeys(each.name for each in reached):
            its = [(steps.index(each.users), getattr(each, of)) for each in reached if each.name == name]
            values = [f.value for _, f in its]
            spread = [[f.value - f.low for _, f in its], [f.high - f.value for _, f in its]]
            axes.errorbar([at for at, _ in its], values, spread, marker="o", markersize=4, capsize=3, label=name)
        axes.set_xticks(range(len(steps)), [f"{users:,}" for users in steps])
        axes.set_xlabel("users with an outcome")
        axes.set_ylabel(of.replace("_", " "))
    axes.legend(frameon=False)
    return _written(figure)


def _square(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    return figure, axes


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """At most 500 points of a curve."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(500, len(x))).astype(int))
    return x[kept], y[kept]


def _png(figure: Figure, axes: Axes, where: _Corner) -> bytes:
    axes.legend(frameon=False, loc=where)
    return _written(figure)


def _written(figure: Figure) -> bytes:
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=90, metadata={"Software": None})
    return written.getvalue()
