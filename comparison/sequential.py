"""Statistics that hold at every look: however often one looks and whenever one stops."""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

TUNED_FOR_UNITS: Final = 5_000
"""The number of units of both arms at which the always-valid interval is tightest; GrowthBook's default."""

_RATIO_CONCENTRATION: Final = 1_000
"""How many units' worth of belief the alternative puts on the wanted shares: it finds mismatches of percents best."""


class Sample(NamedTuple):
    """One arm's outcome: the number of its units, their mean, and the variance of one unit (divisor n - 1)."""

    size: int
    mean: float
    variance: float


class Interval(NamedTuple):
    """From `lower` to `upper`, both may be infinite."""

    lower: float
    upper: float


EVERYTHING: Final = Interval(-math.inf, math.inf)


def around(middle: float, half: float) -> Interval:
    """The interval of a half width around its middle."""
    return Interval(middle - half, middle + half)


def half_width(variance: float, units: int, alpha: float) -> float:
    """Half the width of the always-valid interval of a difference of means.

    The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2021, arXiv 2103.06476,
    equation 9), as GrowthBook's sequential test (docs.growthbook.io/statistics/sequential). With n units of both arms,
    s² the variance of the difference times n, and rho² = (-2 ln alpha + ln(1 - 2 ln alpha)) / 5000:

        s · sqrt(2 (n rho² + 1) / (n rho)² · ln(sqrt(n rho² + 1) / alpha))

    Args:
        variance: of the difference, above 0.
        units: of both arms, above 0.
        alpha: the probability that it ever misses the truth, above 0 and below 1.
    """
    log_alpha = -2 * math.log(alpha)
    spread = units * (log_alpha + math.log1p(log_alpha)) / TUNED_FOR_UNITS
    return math.sqrt(variance * 2 * (spread + 1) / spread * math.log(math.sqrt(spread + 1) / alpha))


def interval(arm: Sample, control: Sample, alpha: float) -> Interval:
    """The always-valid interval of an arm less the control; everything if an arm has fewer than two units or no noise.

    Args:
        arm: the arm's outcome.
        control: the control's.
        alpha: the probability that it ever misses the truth, above 0 and below 1.
    """
    if min(arm.size, control.size) < 2:
        return EVERYTHING
    variance = arm.variance / arm.size + control.variance / control.size
    if not variance:
        return EVERYTHING
    return around(arm.mean - control.mean, half_width(variance, arm.size + control.size, alpha))


def ratio_p_value(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """How well the numbers of units fit the wanted shares, 0 to 1; 1 for fewer than two arms or no units.

    1 over the Bayes factor of Lindon and Malek (2020, arXiv 2011.03567): a Dirichlet-multinomial around the wanted
    shares against the multinomial with just these.

    Args:
        counts: units per arm.
        shares: the share wanted for each of the same arms, above 0, of any sum.
    """
    total = sum(counts.values())
    if not total or len(counts) < 2:
        return 1.0
    wanted = {arm: shares[arm] / sum(shares[each] for each in counts) for arm in counts}
    log_factor = math.lgamma(_RATIO_CONCENTRATION) - math.lgamma(_RATIO_CONCENTRATION + total)
    for arm, count in counts.items():
        believed = _RATIO_CONCENTRATION * wanted[arm]
        log_factor += math.lgamma(believed + count) - math.lgamma(believed) - count * math.log(wanted[arm])
    return math.exp(min(0.0, -log_factor))
