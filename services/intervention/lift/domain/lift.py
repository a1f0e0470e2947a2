"""The lift: treated users against the holdout, valid however often one looks."""

import math
from typing import Final, NamedTuple

_TUNED_FOR_USERS: Final = 5_000
"""The number of users at which the interval is to be tightest; GrowthBook's default."""

_LEAST_USERS: Final = 100
"""Of each kind."""

_LEAST_EXPECTED: Final = 5
"""Conversions, and users without one, to be expected among the users of each kind if help changed nothing (Cochran)."""

_RATIO_CONCENTRATION: Final = 1_000
"""How many users' worth of belief the alternative puts on the wanted ratio: mismatches of percents are found best."""


class Counts(NamedTuple):
    """How many users were treated or in the holdout, and how many of each converted in time."""

    treated: int
    treated_converted: int
    holdout: int
    holdout_converted: int


class Estimate(NamedTuple):
    """How much larger the share of converted users is among the treated, -1 to 1, with the ends of its interval.

    Where not enough is known (`is_known`) the lift is 0 and the interval is all there can be.
    """

    lift: float
    lower: float
    upper: float
    is_known: bool


UNKNOWN: Final = Estimate(0.0, -1.0, 1.0, is_known=False)


def estimate(counts: Counts, alpha: float = 0.05) -> Estimate:
    """The difference of the ratios of conversion, and an interval that one may look at whenever one likes.

    The probability that the truth is ever outside, at any look from the first on at which the lift is known, is
    `alpha` at most, up to the normal approximation. It is the asymptotic confidence sequence of Waudby-Smith, Arbour,
    Sinha, Kennedy and Ramdas (2021, arXiv 2103.06476, equation 9), which GrowthBook publishes as its sequential test
    (GAVI; docs.growthbook.io/statistics/sequential). With n users of both kinds, s² the variance of the difference
    times n, and rho² = (-2 ln alpha + ln(1 - 2 ln alpha)) / 5000:

        difference ± s · sqrt(2 (n rho² + 1) / (n rho)² · ln(sqrt(n rho² + 1) / alpha))

    The variance of each ratio is taken at (conversions + 2) / (users + 4), after Agresti and Coull, so that none out of
    n is not taken for certainty. Known from 100 users of each kind on, and where 5 conversions and 5 users without one
    are to be expected in each: below that the normal approximation misses the truth more often than `alpha`.
    """
    if not _are_enough(counts):
        return UNKNOWN
    lift = counts.treated_converted / counts.treated - counts.holdout_converted / counts.holdout
    variance = _variance(counts.treated_converted, counts.treated) + _variance(counts.holdout_converted, counts.holdout)
    half = _half_width(variance, counts.treated + counts.holdout, alpha)
    return Estimate(lift, max(-1.0, lift - half), min(1.0, lift + half), is_known=True)


def sample_ratio_p_value(treated: int, holdout: int, holdout_share: float) -> float:
    """How well the numbers of users fit the intended share of the holdout: an always-valid p-value.

    If the assignment is right, the probability that it ever falls to p is at most p, however often one looks. It is
    1 over the Bayes factor of Lindon and Malek (2020, arXiv 2011.03567): a binomial whose ratio is Beta-distributed
    around the wanted one, against the binomial with just that ratio.

    Args:
        treated: the number of treated users.
        holdout: the number of users in the holdout.
        holdout_share: the share wanted, 0 to 1; at an end, a single user of the kind that cannot be gives 0.
    """
    if not 0 < holdout_share < 1:
        unwanted = treated if holdout_share else holdout
        return float(unwanted == 0)
    kept, held = _RATIO_CONCENTRATION * (1 - holdout_share), _RATIO_CONCENTRATION * holdout_share
    log_mixture = _log_beta(kept + treated, held + holdout) - _log_beta(kept, held)
    log_wanted = treated * math.log1p(-holdout_share) + holdout * math.log(holdout_share)
    return math.exp(min(0.0, log_wanted - log_mixture))


def _are_enough(counts: Counts) -> bool:
    fewest, users = min(counts.treated, counts.holdout), counts.treated + counts.holdout
    converted = counts.treated_converted + counts.holdout_converted
    return fewest >= _LEAST_USERS and fewest * min(converted, users - converted) >= _LEAST_EXPECTED * users


def _variance(converted: int, users: int) -> float:
    ratio = (converted + 2) / (users + 4)
    return ratio * (1 - ratio) / users


def _half_width(variance: float, users: int, alpha: float) -> float:
    log_alpha = -2 * math.log(alpha)
    spread = users * (log_alpha + math.log1p(log_alpha)) / _TUNED_FOR_USERS
    return math.sqrt(variance * 2 * (spread + 1) / spread * math.log(math.sqrt(spread + 1) / alpha))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
