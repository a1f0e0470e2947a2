"""The gate of a promotion: a model must not be worse than the live one on the same snapshots of users held back."""

from typing import Final, NamedTuple

import numpy as np

from offline.training import metrics
from offline.training.metrics import Figure, Floats
from offline.training.table import Table

MARGIN: Final = 0.002
"""How much worse the Brier score may be; the score counts both ranking and calibration."""


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
