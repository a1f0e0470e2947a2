"""What help changed: treated users against the holdout."""

from typing import Final, NamedTuple

from comparison import shares
from comparison.sequential import half_width
from services.analytics.domain.answer import HelpEffect

_LEAST_PAYING: Final = 30
"""Users with money, on each side."""
_ALPHA: Final = 0.05


class Side(NamedTuple):
    """One side: its users, and of a figure of theirs how many have it, its sum and the sum of its squares."""

    users: int
    having: int
    total: float
    squares: float


def of_shares(name: str, treated: Side, holdout: Side) -> HelpEffect:
    """The difference of two shares of users, in the way and with the interval of the lift (docs/lift.md)."""
    sides = (treated, holdout)
    is_known = shares.are_enough(treated.having, treated.users, holdout.having, holdout.users)
    variance = sum(shares.variance(each.having, each.users) for each in sides) if is_known else None
    return _effect(name, "", *sides, variance)


def of_money(currency: str, treated: Side, holdout: Side) -> HelpEffect:
    """The difference of money per user, with or without purchases, in one currency; the variance is the sample's."""
    sides = (treated, holdout)
    is_known = all(each.users >= shares.LEAST_UNITS and each.having >= _LEAST_PAYING for each in sides)
    return _effect("revenue", currency, *sides, sum(map(_variance_of_mean, sides)) if is_known else None)


def _effect(name: str, of: str, treated: Side, holdout: Side, variance: float | None) -> HelpEffect:
    means = [each.total / each.users if each.users else None for each in (treated, holdout)]
    if variance is None or means[0] is None or means[1] is None:
        return HelpEffect(name, of, means[0], means[1], None, None, None)
    difference = means[0] - means[1]
    half = half_width(variance, treated.users + holdout.users, _ALPHA)
    return HelpEffect(name, of, means[0], means[1], difference, difference - half, difference + half)


def _variance_of_mean(of: Side) -> float:
    return max(0.0, of.squares - of.total**2 / of.users) / (of.users - 1) / of.users
