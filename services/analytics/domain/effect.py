"""What help changed: treated users against the holdout."""

import math
from typing import Final, NamedTuple

from services.analytics.domain.answer import HelpEffect

LEAST_USERS: Final = 100
"""On each side, for anything to be known."""
_LEAST_EXPECTED: Final = 5
"""Users with and without what is counted, to be expected on each side if help changed nothing (Cochran)."""
_LEAST_PAYING: Final = 30
"""Users with money, on each side."""
_TUNED_FOR_USERS: Final = 5_000
_ALPHA: Final = 0.05


class Side(NamedTuple):
    """One side: its users, and of a figure of theirs how many have it, its sum and the sum of its squares."""

    users: int
    having: int
    total: float
    squares: float


def of_shares(name: str, treated: Side, holdout: Side) -> HelpEffect:
    """The difference of two shares of users, in the way and with the interval of the lift (docs/lift.md).

    The variance of a share is taken at (having + 2) / (users + 4), after Agresti and Coull.
    """
    fewest, users = min(treated.users, holdout.users), treated.users + holdout.users
    having = treated.having + holdout.having
    is_known = fewest >= LEAST_USERS and fewest * min(having, users - having) >= _LEAST_EXPECTED * users
    return _effect(name, "", treated, holdout, sum(map(_variance_of_share, (treated, holdout))) if is_known else None)


def of_money(currency: str, treated: Side, holdout: Side) -> HelpEffect:
    """The difference of money per user, with or without purchases, in one currency; the variance is the sample's."""
    sides = (treated, holdout)
    is_known = all(each.users >= LEAST_USERS and each.having >= _LEAST_PAYING for each in sides)
    return _effect("revenue", currency, *sides, sum(map(_variance_of_mean, sides)) if is_known else None)


def _effect(name: str, of: str, treated: Side, holdout: Side, variance: float | None) -> HelpEffect:
    means = [each.total / each.users if each.users else None for each in (treated, holdout)]
    if variance is None or means[0] is None or means[1] is None:
        return HelpEffect(name, of, means[0], means[1], None, None, None)
    difference = means[0] - means[1]
    half = _half_width(variance, treated.users + holdout.users)
    return HelpEffect(name, of, means[0], means[1], difference, difference - half, difference + half)


def _variance_of_share(of: Side) -> float:
    ratio = (of.having + 2) / (of.users + 4)
    return ratio * (1 - ratio) / of.users


def _variance_of_mean(of: Side) -> float:
    return max(0.0, of.squares - of.total**2 / of.users) / (of.users - 1) / of.users


def _half_width(variance: float, users: int) -> float:
    """Half an interval that holds however often one looks.

    The asymptotic confidence sequence of Waudby-Smith and others (2021, arXiv 2103.06476, equation 9), tuned as the
    lift is.
    """
    log_alpha = -2 * math.log(_ALPHA)
    spread = users * (log_alpha + math.log1p(log_alpha)) / _TUNED_FOR_USERS
    return math.sqrt(variance * 2 * (spread + 1) / spread * math.log(math.sqrt(spread + 1) / _ALPHA))
