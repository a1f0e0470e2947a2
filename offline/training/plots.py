"""Plots of a model."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from offline.training.metrics import Bin


def reliability(curves: Mapping[str, Sequence[Bin]]) -> bytes:
    """Predicted against observed probabilities, one curve per name, as PNG; equal curves give equal bytes."""
    figure = Figure(figsize=(4.8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, curve in curves.items():
        axes.plot([b.predicted for b in curve], [b.observed for b in curve], marker="o", markersize=4, label=name)
    axes.set_xlabel("predicted probability of leaving")
    axes.set_ylabel("share that left")
    axes.legend(frameon=False, loc="upper left")
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=90, metadata={"Software": None})
    return written.getvalue()
