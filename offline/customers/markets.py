"""Learns what all customers buy: how much, what they try, and what they buy together."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from services.customers.domain import basket
from services.customers.domain.basket import DAYS_AHEAD, TRIED_DAYS, Market, Together
from services.customers.domain.consumption import Bought

_MOST_TRIED: Final = 200
_WEIGHT: Final = 1 << 20
"""The weight of a first purchase of today, so that sums are of integers: the same in any order."""


def tries(of: Sequence[Bought], today: int) -> Mapping[str, int]:
    """What a customer bought for the first time after their first day, each with its weight."""
    began = min((each.days[0] for each in of), default=today)
    return {
        each.product: round(_WEIGHT * math.exp((each.days[0] - today) / TRIED_DAYS))
        for each in of
        if each.days[0] > began
    }


def market(
    tried: Mapping[str, int], purchases: int, first: npt.NDArray[np.int32], together: Together, today: int
) -> Market:
    """What all customers buy.

    Args:
        tried: the weights of all customers, by product.
        purchases: how many products customers bought, each once a day.
        first: the day of each customer's first purchase, in days since 1970, in a fixed order; none is after today.
        together: what is bought together.
        today: the last day that is known.
    """
    watched = int((today - first.astype(np.int64) + 1).sum())
    weighed = float((TRIED_DAYS * -np.expm1((first - (today + 1)) / TRIED_DAYS)).sum()) * _WEIGHT
    most = basket.first({product: float(weight) for product, weight in tried.items()}, _MOST_TRIED)
    return Market(
        purchases / watched,
        DAYS_AHEAD * sum(tried.values()) / weighed,
        {product: DAYS_AHEAD * tried[product] / weighed for product in most},
        together,
    )


def of_all(customers: Iterable[Sequence[Bought]], together: Together, today: int) -> Market:
    """What all customers buy, from what each bought, which is something, until a day."""
    tried: dict[str, int] = {}
    purchases, first = 0, list[int]()
    for of in customers:
        for product, weight in tries(of, today).items():
            tried[product] = tried.get(product, 0) + weight
        purchases += sum(len(each.days) for each in of)
        first.append(min(each.days[0] for each in of))
    return market(tried, purchases, np.array(first, np.int32), together, today)
