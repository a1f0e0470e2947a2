"""What a customer's next basket holds: what they buy often and lately, what is due, and what goes with it.

A product's score is the sum of four shares, each of which adds up to 1 over all products: how often the customer bought
it, where a basket counts less the older it is, at two paces; how likely it is bought in the next days; how often others
bought it together with what the customer buys; and how many customers buy it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from services.customers.domain import consumption
from services.customers.domain.consumption import Bought, Consumption

Together: TypeAlias = Mapping[str, Mapping[str, float]]
"""For each product others that are bought with it, with how much more often than by chance, 0 or more."""

Shares: TypeAlias = Mapping[str, float]

DAYS_AHEAD: Final = 14
_MOST_TOGETHER: Final = 20
_MOST_OF_A_BASKET: Final = 60
_BY_CHANCE: Final = 5.0
"""How many baskets are added to those of a product, so that what was seen once or twice weighs little."""


class Blend(NamedTuple):
    """How a score is made: the paces in days, the share of the slow one, and the weights beside that of habit, 1."""

    fast: float = 60.0
    slow: float = 365.0
    slow_share: float = 0.6
    due: float = 4.0
    together: float = 0.05
    popular: float = 3.0


def together(baskets: Iterable[Sequence[str]]) -> Together:
    """Which products are bought together: for each at most 20 others, by the cosine of the baskets that have them.

    Args:
        baskets: the products of each basket, of which no more than the first 60 are counted.
    """
    both: dict[str, dict[str, int]] = {}
    alone: dict[str, int] = {}
    for basket in baskets:
        products = counted(basket)
        for product in products:
            alone[product] = alone.get(product, 0) + 1
            beside = both.setdefault(product, {})
            for other in products:
                if other != product:
                    beside[other] = beside.get(other, 0) + 1
    return {product: nearest(product, beside, alone) for product, beside in sorted(both.items()) if beside}


def counted(basket: Sequence[str]) -> Sequence[str]:
    """The products of a basket that count, each once, by id."""
    return sorted(set(basket[:_MOST_OF_A_BASKET]))


def nearest(product: str, beside: Mapping[str, int], alone: Mapping[str, int]) -> Mapping[str, float]:
    """The products that are bought most with one, from the baskets that have both and those that have each."""
    cosines = {
        other: count / math.sqrt((alone[product] + _BY_CHANCE) * (alone[other] + _BY_CHANCE))
        for other, count in beside.items()
    }
    return {other: cosines[other] for other in first(cosines, _MOST_TOGETHER)}


def likely(model: Consumption, of: Sequence[Bought], today: int, days: int = DAYS_AHEAD) -> Shares:
    """How likely each product that a customer bought is bought in the next days; adds up to 1, empty for nobody."""
    if not of:
        return {}
    found = consumption.chances(model, of, today, days).probability
    return as_shares({each.product: float(found[at]) for at, each in enumerate(of)})


def scores(
    blend: Blend, due: Shares, beside: Together, popular: Shares, of: Sequence[Bought], today: int
) -> Mapping[str, float]:
    """The score of each product that the customer bought or that is bought with it, and of the `popular`; 0 or more.

    Args:
        blend: how a score is made.
        due: what `likely` says of the customer.
        beside: what is bought together.
        popular: the share of customers who buy a product.
        of: what the customer bought; may be empty.
        today: the day from which to look ahead, in days since 1970.
    """
    habit = as_shares({each.product: _often(blend, each, today) for each in of})
    found: dict[str, float] = {}
    for weight, shares in (
        (1.0, habit),
        (blend.due, due),
        (blend.together, as_shares(_beside(habit, beside))),
        (blend.popular, popular),
    ):
        for product, share in shares.items():
            found[product] = found.get(product, 0.0) + weight * share
    return found


def first(of: Mapping[str, float], count: int) -> tuple[str, ...]:
    """The products of the highest scores, best first; of equal scores the least id."""
    return tuple(sorted(of, key=lambda product: (-of[product], product))[:count])


def as_shares(of: Mapping[str, float]) -> Shares:
    """Values as shares that add up to 1; empty if there are none above 0."""
    total = sum(of.values())
    return {product: value / total for product, value in of.items()} if total > 0 else {}


def _often(blend: Blend, of: Bought, today: int) -> float:
    return sum(
        (1 - blend.slow_share) * math.exp((day - today) / blend.fast)
        + blend.slow_share * math.exp((day - today) / blend.slow)
        for day in of.days
    )


def _beside(habit: Shares, beside: Together) -> Shares:
    found: dict[str, float] = {}
    for product, share in habit.items():
        for other, likeness in beside.get(product, {}).items():
            found[other] = found.get(other, 0.0) + share * likeness
    return found
