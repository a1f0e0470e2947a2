"""How features and scores have moved between two periods, those that move the model first.

How far two samples are apart is what `services.analytics.domain.drift` says. `moved` is the 1-Wasserstein distance of a
feature's terms in the two periods, in logits: 0 for a feature that the model does not use, however far it drifts, and
the mean shift of the logit where all terms move one way.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from offline.predictions.predictions import Predictions, inputs
from offline.training.metrics import Floats
from services.analytics.domain.drift import LEAST_USERS, NOTABLE_PSI, counts, jensen_shannon, psi, wasserstein
from services.scoring.ports import Model

__all__ = ["LEAST_USERS", "NOTABLE_PSI"]

NOTABLE_MOVE: Final = 0.1
"""In logits: changes a probability near 0.5 by 0.025."""


class Moved(NamedTuple):
    """A feature or a score in two periods."""

    name: str
    psi: float
    distance: float
    moved: float
    """In logits for a feature; in points of 0 to 100 for a score."""
    before: float
    after: float
    """The means."""
    empty_before: float
    empty_after: float
    """The shares of zeros: a feature of what is no longer recorded stays at 0."""
    outside: float
    """The share of the later period that is below the least or above the greatest value of the earlier one."""

    @property
    def is_notable(self) -> bool:
        """Whether it drifted in a way that moves decisions."""
        return self.psi >= NOTABLE_PSI and self.moved >= NOTABLE_MOVE


class Drift(NamedTuple):
    """What moved, by a model: its features, furthest moved first, and the scores that the model leads to."""

    version: str
    before_count: int
    after_count: int
    features: Sequence[Moved]
    scores: Sequence[Moved]


def is_comparable(before: Predictions, after: Predictions) -> bool:
    """Whether both periods have enough users."""
    return min(len(np.unique(before.users)), len(np.unique(after.users))) >= LEAST_USERS


def drift(model: Model, before: Predictions, after: Predictions) -> Drift:
    """What moved between two periods, as one model sees both; both have predictions.

    Raises:
        OwnColumnsError: the model takes columns of the installation.
    """
    taken = [inputs(model.card, each.values) for each in (before, after)]
    terms = [_terms(model, each) for each in taken]
    features = [
        _moved(name, taken[0][:, at], taken[1][:, at], wasserstein(terms[0][:, at], terms[1][:, at]))
        for at, name in enumerate(model.card.features)
    ]
    by = [each.by(model) for each in (before, after)]
    is_told = any(each.is_told.any() for each in by)
    pairs = {"told": [100.0 * each.judged for each in by]} if is_told else {}
    pairs |= {
        "model": [each.model_scores for each in by],
        "rules only": [each.rule_scores for each in by],
        "model and rules": [each.scores for each in by],
    }
    scores = [_moved(name, one, other, wasserstein(one, other)) for name, (one, other) in pairs.items()]
    furthest = sorted(features, key=lambda each: (-each.moved, -each.psi, each.name))
    return Drift(model.card.version, len(before), len(after), furthest, scores)


def _moved(name: str, before: Floats, after: Floats, moved: float) -> Moved:
    histograms = counts(before, after)
    return Moved(
        name,
        psi(*histograms),
        jensen_shannon(*histograms),
        moved,
        float(before.mean()),
        float(after.mean()),
        float((before == 0.0).mean()),
        float((after == 0.0).mean()),
        float(((after < before.min()) | (after > before.max())).mean()),
    )


def _terms(model: Model, rows: Floats) -> Floats:
    """One term per column; the baseline, which never moves, is left out."""
    packed = model.predict(rows).packed_terms
    return np.frombuffer(packed, "<f4").reshape(len(rows), -1)[:, 1:].astype(np.float64)
