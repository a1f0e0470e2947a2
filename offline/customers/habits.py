"""Learns how much of what is due is told by habit, by maximum likelihood over what customers bought again.

Two tell how often a product is bought again: the probability that it is due, and the sum of these, shared out by habit
(`services.customers.domain.basket`). Told is a mixture of the two. What each tells of a customer adds up to the same,
so that purchases, taken as Poisson, speak for a share only by what was bought.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

import numpy as np
from scipy import optimize

from services.customers.domain import basket
from services.customers.domain.consumption import Bought, Consumption

_HALF: Final = 5.0
"""How many purchases speak for either of the two before any is seen."""


class Again(NamedTuple):
    """How often the two told a product to be bought that a customer then bought again."""

    due: float
    habit: float


def again(model: Consumption, of: Sequence[Bought], bought: AbstractSet[str], today: int) -> Iterator[Again]:
    """What was told on a day, in days since 1970, of the products of a customer that were then `bought` again."""
    wanted = [each.product for each in of if each.product in bought]
    if not wanted:
        return
    due, habit = basket.likely(model, of, today), basket.habits(of, today)
    total = sum(due.values())
    for product in wanted:
        yield Again(due[product], habit[product] * total)


def learnt(of: Sequence[Again]) -> float:
    """The share of habit that makes these purchases likeliest, above 0 and below 1; a half if there are none."""
    due, habit = np.array(of, float).reshape(-1, 2).T

    def loss(share: float) -> float:
        told = np.maximum((1 - share) * due + share * habit, 1e-300)
        return -float(np.log(told).sum() + _HALF * (np.log(share) + np.log1p(-share)))

    return float(optimize.minimize_scalar(loss, bounds=(0, 1), method="bounded").x)
