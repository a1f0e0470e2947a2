"""The gates: a promoted model must not be worse than the live one, and rules must not spoil a model's probability."""

from typing import Final, NamedTuple

import numpy as np

from offline.training import metrics
from offline.training.metrics import Figure, Floats
from offline.training.table import Table

MARGIN: Final = 0.002
"""How much worse the Brier score may be; the score counts both ranking and calibration."""

JOINED_MARGIN: Final = 0.002
"""How much lower the AUROC of model and rules together may be than that of the better of them."""


class Verdict(NamedTuple):
    """The new model's Brier score less the live one's, with its 95% interval over users; below 0 is better."""

    difference: Figure

    @property
    def holds(self) -> bool:
        """Whether even the upper end of the interval is within the margin."""
        return self.difference.high <= MARGIN

    def __str__(self) -> str:
        return self.said_of("the live model on this data")

    def said_of(self, other: str) -> str:
        """Words that follow "it is"."""
        value, low, high = self.difference
        judged = "no worse than" if self.holds else "not shown to be as good as"
        return (
            f"{judged} {other}: Brier score {value:+.4f} ({low:+.4f} to {high:+.4f}), "
            f"where at most +{MARGIN} is allowed"
        )


def judge(new: Floats, live: Floats, rows: Table) -> Verdict:
    """Compares the probabilities of two models for the same snapshots."""
    losses = [np.square(each - rows.is_true) for each in (new, live)]
    return Verdict(metrics.difference(losses[0], losses[1], rows.users))


class Joined(NamedTuple):
    """Model and rules together beside the better of them: the model, the rules as shipped, and with learned weights."""

    gain: Figure
    """The AUROC together less that of the better one, with its 95% interval over users."""
    better: str
    loss: Figure
    """The Brier score together less the model's, with its 95% interval; below 0 is better."""

    @property
    def holds(self) -> bool:
        """Whether neither is worse by more than its margin."""
        return self.gain.value >= -JOINED_MARGIN and self.loss.value <= MARGIN

    def __str__(self) -> str:
        (gain, low, high), (loss, least, most) = self.gain, self.loss
        return (
            f"AUROC {gain:+.4f} ({low:+.4f} to {high:+.4f}) beside {self.better}, where -{JOINED_MARGIN} is allowed; "
            f"Brier score {loss:+.4f} ({least:+.4f} to {most:+.4f}) beside the model, where +{MARGIN} is allowed"
        )


def join(model: Floats, doubts: Floats, rows: Table) -> Joined:
    """Judges model and rules together.

    Args:
        model: the probability of each snapshot.
        doubts: for each, -log(1 - p) of the rules with learned weights.
        rows: the snapshots.
    """
    both = joined(model, doubts)
    alone = {"the model": model, "the rules as shipped": rows.rule_probabilities, "the learned rules": doubts}
    areas = {name: metrics.auroc(each, rows.is_true) for name, each in alone.items()}
    better = max(areas, key=lambda name: areas[name])
    losses = [np.square(each - rows.is_true) for each in (both, model)]
    return Joined(
        metrics.auroc_difference(both, alone[better], rows),
        better,
        metrics.difference(losses[0], losses[1], rows.users),
    )


def joined(model: Floats, doubts: Floats) -> Floats:
    """The probability of model and rules together; arguments as for `join`."""
    return np.asarray(1.0 - (1.0 - model) * np.exp(-doubts))
