"""How probabilities compare with what came true: bins, calibration error, and calibration-in-the-large.

Intervals hold 95% and are over users, as what comes true for one prediction of a user mostly does for the next.
"""

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BIN_COUNT: Final = 10
DRAWS: Final = 200
LEAST_ROWS: Final = 100
"""Fewer predictions with an outcome are counted and not measured."""
_Z: Final = 1.959964
"""The 97.5th percentile of the standard normal distribution."""


class Figure(NamedTuple):
    """A measure and its 95% interval."""

    value: float
    low: float
    high: float


class Bin(NamedTuple):
    """Predictions of similar probability; probabilities and shares are 0 to 1.

    `low` and `high` are the Wilson interval of the share if each user were one observation: where predictions of a user
    end differently, it is too wide rather than too narrow.
    """

    predicted: float
    observed: float
    row_count: int
    user_count: int
    low: float
    high: float


class Calibration(NamedTuple):
    """`gap` is the share that came true less the mean probability, -1 to 1: calibration-in-the-large.

    `error` is the mean distance of both over the bins, 0 to 1: the expected calibration error.
    """

    gap: Figure
    error: Figure
    bins: tuple[Bin, ...]


def calibration(probabilities: Floats, is_true: npt.NDArray[np.bool_], users: npt.NDArray[np.str_]) -> Calibration:
    """The calibration of predictions, of which there is at least one; all have an outcome."""
    place = np.unique(probabilities, return_inverse=True)[1]

    def under(weights: Floats) -> tuple[float, float]:
        gap = float(weights @ (is_true - probabilities) / weights.sum())
        return gap, error(place, probabilities, is_true, weights)

    value = under(np.ones(len(probabilities)))
    drawn = np.array([under(weights) for weights in resampled(users)])
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    gap, distance = (Figure(*map(float, each)) for each in zip(value, low, high, strict=True))
    bins = (_bin(probabilities[part], is_true[part], len(np.unique(users[part]))) for part in parts(probabilities))
    return Calibration(gap, distance, tuple(bins))


def resampled(users: npt.NDArray[np.str_]) -> Iterator[Floats]:
    """How often each row counts when users are drawn again with replacement: 200 times, always the same."""
    names, place = np.unique(users, return_inverse=True)
    random = np.random.default_rng(0)
    for _ in range(DRAWS):
        draw = np.bincount(random.integers(0, len(names), len(names)), minlength=len(names))
        yield draw[place].astype(np.float64)


def parts(probabilities: Floats) -> list[npt.NDArray[np.bool_]]:
    """Which rows are in which bin, by rising probability: at most 10 of about equal count; equal ones share a bin."""
    values, place, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    of_value = bin_of(counts.astype(np.float64))
    return [of_value[place] == number for number in np.unique(of_value)] if len(values) else []


def bin_of(counts: Floats) -> npt.NDArray[np.int64]:
    """The bin of each distinct probability, rising: by the middle of its rows' ranks."""
    total = counts.sum()
    middle = np.cumsum(counts) - counts / 2.0
    found: npt.NDArray[np.int64] = np.minimum((middle * BIN_COUNT / total).astype(np.int64), BIN_COUNT - 1)
    return found


def error(
    place: npt.NDArray[np.int64], probabilities: Floats, is_true: npt.NDArray[np.bool_], weights: Floats
) -> float:
    """The mean distance of probability and share over the bins, where each row counts as often as its weight says.

    Args:
        place: of each row the index of its probability among the distinct ones, rising.
        probabilities: 0 to 1.
        is_true: whether it came true.
        weights: their sum is above 0.
    """
    counts = np.bincount(place, weights).astype(np.float64)
    of_value = bin_of(counts)
    predicted = np.bincount(of_value, np.bincount(place, weights * probabilities))
    observed = np.bincount(of_value, np.bincount(place, weights * is_true))
    return float(np.abs(predicted - observed).sum() / counts.sum())


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95% score interval of a share among at least one observation.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22(158), 1927.
    """
    square = _Z * _Z / count
    middle = (share + square / 2.0) / (1.0 + square)
    half = _Z * math.sqrt(share * (1.0 - share) / count + square / (4.0 * count)) / (1.0 + square)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def _bin(probabilities: Floats, is_true: npt.NDArray[np.bool_], user_count: int) -> Bin:
    share = float(is_true.mean())
    return Bin(float(probabilities.mean()), share, len(probabilities), user_count, *wilson(share, user_count))
