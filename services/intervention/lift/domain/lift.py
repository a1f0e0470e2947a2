"""The lift: treated users against the holdout, valid however often one looks."""

from typing import Final, NamedTuple

from comparison import shares
from comparison.sequential import half_width, ratio_p_value


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
    `alpha` at most, up to the normal approximation (`comparison.sequential.half_width`). Known from 100 users of each
    kind on, and where 5 conversions and 5 users without one are to be expected in each (`comparison.shares`).
    """
    if not shares.are_enough(counts.treated_converted, counts.treated, counts.holdout_converted, counts.holdout):
        return UNKNOWN
    treated, holdout = counts[:2], counts[2:]
    lift = counts.treated_converted / counts.treated - counts.holdout_converted / counts.holdout
    variance = sum(shares.variance(converted, users) for users, converted in (treated, holdout))
    half = half_width(variance, counts.treated + counts.holdout, alpha)
    return Estimate(lift, max(-1.0, lift - half), min(1.0, lift + half), is_known=True)


def sample_ratio_p_value(treated: int, holdout: int, holdout_share: float) -> float:
    """How well the numbers of users fit the intended share of the holdout: an always-valid p-value.

    If the assignment is right, the probability that it ever falls to p is at most p, however often one looks
    (`comparison.sequential.ratio_p_value`).

    Args:
        treated: the number of treated users.
        holdout: the number of users in the holdout.
        holdout_share: the share wanted, 0 to 1; at an end, a single user of the kind that cannot be gives 0.
    """
    if not 0 < holdout_share < 1:
        unwanted = treated if holdout_share else holdout
        return float(unwanted == 0)
    wanted = {"treated": 1 - holdout_share, "holdout": holdout_share}
    return ratio_p_value({"treated": treated, "holdout": holdout}, wanted)
