"""What is added up of an arm's units in one metric; all that is concluded follows from it."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from comparison.sequential import Sample


class Sums(NamedTuple):
    """Of the units of an arm: how many, and sums of their values x and of what was known before, b.

    Not every unit has a b: those that do are counted by `known`, and the last four sums are of them alone.
    """

    units: float = 0.0
    x: float = 0.0
    xx: float = 0.0
    known: float = 0.0
    known_x: float = 0.0
    b: float = 0.0
    bb: float = 0.0
    xb: float = 0.0

    def plus(self, other: "Sums") -> "Sums":
        """Both together."""
        return Sums(*map(float.__add__, self, other))

    def less(self, other: "Sums") -> "Sums":
        """Without the units of the other."""
        return Sums(*map(float.__sub__, self, other))


NOTHING = Sums()


def of_unit(x: float, before: float | None = None) -> Sums:
    """The sums of one unit."""
    if before is None:
        return Sums(1.0, x, x * x)
    return Sums(1.0, x, x * x, 1.0, x, before, before * before, x * before)


def together(sums: Iterable[Sums]) -> Sums:
    """All together."""
    total = NOTHING
    for each in sums:
        total = total.plus(each)
    return total


def sample(sums: Sums) -> Sample:
    """The mean and variance of the values; NaN where there are too few units."""
    return _sample(sums.units, sums.x, sums.xx)


def coefficient(arms: Iterable[Sums]) -> float:
    """How much of x goes with b: cov(x, b) / var(b) within arms, pooled over all; 0 where b is not known or constant.

    CUPED (Deng, Xu, Kohavi and Walker, 2013).
    """
    spread = shared = size = 0.0
    for arm in arms:
        if arm.known:
            spread += arm.bb - arm.b * arm.b / arm.known
            shared += arm.xb - arm.b * arm.known_x / arm.known
            size += arm.bb
    return shared / spread if spread > 1e-12 * size else 0.0  # a constant b leaves rounding only


def adjusted(arms: Mapping[str, Sums]) -> Mapping[str, Sample]:
    """The samples of x less what b explains of it. A unit without b is taken to have the mean of all.

    The difference of two arms stays unbiased, as b was known before the start and no arm can have changed it.
    """
    theta = coefficient(arms.values())
    whole = together(arms.values())
    if not theta:
        return {name: sample(of) for name, of in arms.items()}
    mean = whole.b / whole.known
    found = {}
    for name, of in arms.items():
        d = of.b - of.known * mean
        dd = of.bb - 2 * mean * of.b + of.known * mean * mean
        xd = of.xb - mean * of.known_x
        found[name] = _sample(of.units, of.x - theta * d, of.xx - 2 * theta * xd + theta * theta * dd)
    return found


def _sample(units: float, x: float, xx: float) -> Sample:
    if units < 0.5:
        return Sample(0, math.nan, math.nan)
    variance = max(0.0, xx - x * x / units) / (units - 1) if units > 1.5 else math.nan
    return Sample(round(units), x / units, variance)
