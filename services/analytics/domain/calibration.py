"""How probabilities compare with what came true: bins, calibration error, and calibration-in-the-large.

Intervals hold 95% and are over users, as what comes true for one prediction of a user mostly does for the next.
"""

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BIN_COUNT: Final = 10
DRAWS: Final = 200
LEAST_ROWS: Final = 100
"""Fewer predictions with an outcome are counted and not measured."""
_SILENCE: Final = re.compile(r"no event (?:for|in the next) (?P<days>\d+) days?(?:, .*)?")
_Z: Final = 1.959964
"""The 97.5th percentile of the standard normal distribution."""


def silence(outcome: str, most: int) -> int | None:
    """The days without an event that an outcome in words is about, 1 to `most`; None if it is another one."""
    found = _SILENCE.fullmatch(outcome)
    days = int(found["days"]) if found else 0
    return days if 0 < days <= most else None


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


class Ranks(NamedTuple):
    """Rows by rising probability, and for each distinct one how many rows have at most that."""

    order: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


def calibration(probabilities: Floats, is_true: npt.NDArray[np.bool_], users: npt.NDArray[Any]) -> Calibration:
    """The calibration of predictions, of which there is at least one; all have an outcome. Users are any ids."""
    ranked = ranks(probabilities)
    short = is_true - probabilities

    def under(weights: Floats) -> tuple[float, float]:
        return float((weights * short).sum() / weights.sum()), error(ranked, short, weights)

    value = under(np.ones(len(probabilities)))
    drawn = np.array([under(weights) for weights in resampled(users)])
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    gap, distance = (Figure(*map(float, each)) for each in zip(value, low, high, strict=True))
    bins = (_bin(probabilities[part], is_true[part], len(np.unique(users[part]))) for part in parts(probabilities))
    return Calibration(gap, distance, tuple(bins))


def resampled(users: npt.NDArray[Any]) -> Iterator[Floats]:
    """How often each row counts when users are drawn again with replacement: 200 times, always the same."""
    names, place = np.unique(users, return_inverse=True)
    random = np.random.default_rng(0)
    for _ in range(DRAWS):
        draw = np.bincount(random.integers(0, len(names), len(names)), minlength=len(names))
        yield draw[place].astype(np.float64)


def ranks(probabilities: Floats) -> Ranks:
    """The ranks of rows; there is at least one."""
    order = np.argsort(probabilities, kind="stable")
    last = np.diff(probabilities[order], append=np.inf) > 0.0
    return Ranks(order, np.flatnonzero(last) + 1)


def parts(probabilities: Floats) -> list[npt.NDArray[np.int64]]:
    """Which rows are in which bin, by rising probability: at most 10 of about equal count; equal ones share a bin."""
    if not len(probabilities):
        return []
    order, ends = ranks(probabilities)
    bounds = np.concatenate(([0], ends))[_bounds(ends.astype(np.float64))]
    return [order[start:end] for start, end in itertools.pairwise(bounds) if start < end]


def error(ranked: Ranks, short: Floats, weights: Floats) -> float:
    """The mean distance of probability and share over the bins, where each row counts as often as its weight says.

    Args:
        ranked: the ranks of the rows.
        short: of each row, 1 if it came true, else 0, less its probability.
        weights: of each row, at least 0; their sum is above 0.
    """
    order, last = ranked.order, ranked.ends - 1
    weights = weights[order]
    up_to = np.cumsum(weights)[last]
    short_up_to = np.concatenate(([0.0], np.cumsum(weights * short[order])[last]))
    return float(np.abs(np.diff(short_up_to[_bounds(up_to)])).sum() / up_to[-1])


def _bounds(up_to: Floats) -> npt.NDArray[np.int64]:
    """How many distinct probabilities lie before each bin and before the end; each is put by its rows' middle rank.

    Args:
        up_to: for each distinct probability, rising, how many rows have at most that.
    """
    middle = up_to - np.diff(up_to, prepend=0.0) / 2.0
    inner = np.searchsorted(middle * BIN_COUNT, up_to[-1] * np.arange(1, BIN_COUNT))
    return np.concatenate(([0], inner, [len(up_to)]))


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
