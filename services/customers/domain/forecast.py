"""What is to be expected of customers: orders and money in the days to come, each with an interval."""

from typing import Final, NamedTuple

import numpy as np

from services.customers.domain import repeats
from services.customers.domain.repeats import Column, Histories, Repeats

DAYS_PER_WEEK: Final = 7
_DRAWS: Final = 400
_CUSTOMERS_AT_ONCE: Final = 10_000
_TAILS: Final = (10, 90)


class Expected(NamedTuple):
    """Orders of each customer in the next `days`, with the ends of an interval of 80 %, and the money they bring.

    `total` and `total_interval` are of all customers together. Intervals are of what chance does if the model is true;
    the back-test shows how far it is.
    """

    days: int
    orders: Column
    lower: Column
    upper: Column
    money: Column
    total: float
    total_interval: tuple[float, float]


def expected(buys: Repeats, histories: Histories, each: Column, days: int, seed: int) -> Expected:
    """What customers buy in the next days.

    Args:
        buys: how they buy.
        histories: what they bought.
        each: what each spends per order; NaN where nothing is known of it.
        days: how far to look ahead, at least 1.
        seed: of the draws that the intervals are made of; the same seed gives the same bits.
    """
    orders = repeats.expected(buys, histories, days / DAYS_PER_WEEK)
    chance = np.random.default_rng([seed, days])
    lower, upper = np.empty(orders.size), np.empty(orders.size)
    totals = np.zeros(_DRAWS)
    for start in range(0, orders.size, _CUSTOMERS_AT_ONCE):
        part = slice(start, start + _CUSTOMERS_AT_ONCE)
        some = Histories(*(column[part] for column in histories))
        drawn = repeats.drawn(buys, some, days / DAYS_PER_WEEK, _DRAWS, chance)
        lower[part], upper[part] = np.percentile(drawn, _TAILS, axis=0)
        totals += drawn.sum(axis=1)
    ends = np.percentile(totals, _TAILS)
    return Expected(days, orders, lower, upper, orders * each, float(orders.sum()), (float(ends[0]), float(ends[1])))
