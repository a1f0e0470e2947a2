"""How features and scores have moved between two periods, those that move the model first.

Values are counted in steps bounded by the tenths of the earlier period, so that a value that is frequent has a step of
its own. With shares e and l of the earlier and the later period per step:

    PSI      = sum of (l - e) * ln(l / e)
    distance = sqrt((KL(e | m) + KL(l | m)) / 2), m = (e + l) / 2, in bits: Jensen-Shannon, 0 for equal, 1 for disjoint
    moved    = the 1-Wasserstein distance of the feature's terms in the two periods, in logits

`moved` is 0 for a feature that the model does not use, however far it drifts, and the mean shift of the logit where all
terms move one way. Endres and Schindelin, "A new metric for probability distributions", IEEE Trans. Inf. Theory 49(7),
2003; Ramdas et al., "On Wasserstein two-sample testing", Entropy 19(2), 2017, section 2.3.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from offline.predictions.predictions import Predictions, inputs
from offline.training.metrics import Floats
from services.scoring.domain import guardrail
from services.scoring.ports import Model

LEAST_USERS: Final = 100
"""Periods with fewer users are not compared: chance alone moves them."""
NOTABLE_PSI: Final = 0.25
"""From here on a distribution is commonly held to have changed (Siddiqi, "Credit Risk Scorecards", 2006)."""
NOTABLE_MOVE: Final = 0.1
"""In logits: changes a probability near 0.5 by 0.025."""

_TENTHS: Final = np.linspace(0.0, 0.9, 10)
_POINTS: Final = 1_000


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
    scores = [
        _moved(name, one, other, wasserstein(one, other))
        for name, one, other in (
            ("model", by[0].model_scores, by[1].model_scores),
            ("rules only", by[0].rule_scores, by[1].rule_scores),
            ("model and rules", by[0].scores, by[1].scores),
        )
    ]
    furthest = sorted(features, key=lambda each: (-each.moved, -each.psi, each.name))
    return Drift(model.card.version, len(before), len(after), furthest, scores)


def counts(before: Floats, after: Floats) -> tuple[list[int], list[int]]:
    """How many values are in each step; the steps are bounded by the least value and the tenths of the earlier ones."""
    bounds = np.unique(np.quantile(before, _TENTHS))
    steps = [np.searchsorted(bounds, each, side="left") for each in (before, after)]
    one, other = (np.bincount(each, minlength=len(bounds) + 1).tolist() for each in steps)
    return one, other


def jensen_shannon(some: Sequence[int], others: Sequence[int]) -> float:
    """The distance of two histograms with the same steps, 0 to 1; neither is empty."""
    one, other = (np.array(each, np.float64) / sum(each) for each in (some, others))
    middle = (one + other) / 2.0
    return float(np.sqrt(max(0.0, (_bits(one, middle) + _bits(other, middle)) / 2.0)))


def wasserstein(some: Floats, others: Floats) -> float:
    """The mean distance of the quantiles of two samples, at 1,000 of them."""
    at = (np.arange(_POINTS) + 0.5) / _POINTS
    return float(np.abs(np.quantile(some, at) - np.quantile(others, at)).mean())


def _moved(name: str, before: Floats, after: Floats, moved: float) -> Moved:
    histograms = counts(before, after)
    return Moved(
        name,
        guardrail.psi(*histograms),
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


def _bits(of: Floats, against: Floats) -> float:
    """The Kullback-Leibler divergence in bits."""
    is_there = of > 0.0
    return float((of[is_there] * np.log2(of[is_there] / against[is_there])).sum())
