"""How far two samples of a value are apart: an earlier one and a later one.

Values are counted in steps bounded by the tenths of the earlier sample, so that a value that is frequent has a step of
its own. With shares e and l of the earlier and the later sample per step:

    PSI      = sum of (l - e) * ln(l / e)
    distance = sqrt((KL(e | m) + KL(l | m)) / 2), m = (e + l) / 2, in bits: Jensen-Shannon, 0 for equal, 1 for disjoint
    moved    = the 1-Wasserstein distance of the samples

Endres and Schindelin, "A new metric for probability distributions", IEEE Trans. Inf. Theory 49(7), 2003; Ramdas et al.,
"On Wasserstein two-sample testing", Entropy 19(2), 2017, section 2.3.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from services.analytics.domain.calibration import Floats

LEAST_USERS: Final = 100
"""Periods with fewer users are not compared: chance alone moves them."""
NOTABLE_PSI: Final = 0.25
"""From here on a distribution is commonly held to have changed (Siddiqi, "Credit Risk Scorecards", 2006)."""

_TENTHS: Final = np.linspace(0.0, 0.9, 10)
_POINTS: Final = 1_000
# A step that is empty on one side counts as half a row, so that its logarithm is finite.
_HALF_A_ROW: Final = 0.5


def counts(before: Floats, after: Floats) -> tuple[list[int], list[int]]:
    """How many values are in each step; the steps are bounded by the least value and the tenths of the earlier ones."""
    bounds = np.unique(np.quantile(before, _TENTHS))
    steps = [np.searchsorted(bounds, each, side="left") for each in (before, after)]
    one, other = (np.bincount(each, minlength=len(bounds) + 1).tolist() for each in steps)
    return one, other


def psi(some: Sequence[int], others: Sequence[int]) -> float:
    """The population stability index of two histograms with the same steps, 0 for equal shares; neither is empty."""
    shares = [[max(count, _HALF_A_ROW) / sum(counts) for count in counts] for counts in (some, others)]
    return math.fsum((one - other) * math.log(one / other) for one, other in zip(*shares, strict=True))


def jensen_shannon(some: Sequence[int], others: Sequence[int]) -> float:
    """The distance of two histograms with the same steps, 0 to 1; neither is empty."""
    one, other = (np.array(each, np.float64) / sum(each) for each in (some, others))
    middle = (one + other) / 2.0
    return float(np.sqrt(max(0.0, (_bits(one, middle) + _bits(other, middle)) / 2.0)))


def wasserstein(some: Floats, others: Floats) -> float:
    """The mean distance of the quantiles of two samples, at 1,000 of them."""
    at = (np.arange(_POINTS) + 0.5) / _POINTS
    return float(np.abs(np.quantile(some, at) - np.quantile(others, at)).mean())


def _bits(of: Floats, against: Floats) -> float:
    """The Kullback-Leibler divergence in bits."""
    is_there = of > 0.0
    return float((of[is_there] * np.log2(of[is_there] / against[is_there])).sum())
