"""What is to be expected of customers, and how well the same model would have told what has happened since."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from offline.customers import repeats, spending
from offline.customers.purchases import Purchases, known
from offline.customers.repeats import Column, Histories, Repeats
from offline.customers.spending import Spending

_DAYS_PER_WEEK: Final = 7
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


class BackTest(NamedTuple):
    """What the model, fitted on what was before `from_day`, told about the days until `until_day`.

    `error` is the mean absolute error of a customer's orders, `naive_error` what it is if all go on at their own rate.
    """

    from_day: int
    until_day: int
    expected: float
    happened: int
    error: float
    naive_error: float


class Forecast(NamedTuple):
    """The models, what they expect, and how they did before; `spends` is None where too few bought again."""

    buys: Repeats
    spends: Spending | None
    active: Column
    horizons: Sequence[Expected]
    back_test: BackTest | None


def forecast(purchases: Purchases, until: int, horizons: Sequence[int], seed: int) -> Forecast:
    """Fits both models on what is known until a day, and tells what comes in the days after it.

    Args:
        purchases: all there are; what is later than `until` is not looked at.
        until: the last day that is known completely, an ordinal.
        horizons: numbers of days to look ahead, each at least 1.
        seed: of the draws that the intervals are made of.

    Raises:
        FitError: fewer than 30 customers, or nobody bought again.
    """
    early = purchases.until(until)
    of = known(early)
    histories = of.histories(until)
    buys = repeats.fitted(histories)
    again = of.repeat_money > 0
    try:
        spends = spending.fitted(histories.repeats[again], of.repeat_means()[again])
    except repeats.FitError:
        spends = None
    each = np.full(of.orders.size, np.nan)
    if spends:
        each = spending.expected(spends, histories.repeats, of.repeat_means())
    return Forecast(
        buys,
        spends,
        repeats.probability_active(buys, histories),
        [_expected(buys, histories, each, days, seed) for days in horizons],
        _back_test(early, until),
    )


def _expected(buys: Repeats, histories: Histories, each: Column, days: int, seed: int) -> Expected:
    orders = repeats.expected(buys, histories, days / _DAYS_PER_WEEK)
    chance = np.random.default_rng([seed, days])
    lower, upper = np.empty(orders.size), np.empty(orders.size)
    totals = np.zeros(_DRAWS)
    for start in range(0, orders.size, _CUSTOMERS_AT_ONCE):
        part = slice(start, start + _CUSTOMERS_AT_ONCE)
        some = Histories(*(column[part] for column in histories))
        drawn = repeats.drawn(buys, some, days / _DAYS_PER_WEEK, _DRAWS, chance)
        lower[part], upper[part] = np.percentile(drawn, _TAILS, axis=0)
        totals += drawn.sum(axis=1)
    ends = np.percentile(totals, _TAILS)
    return Expected(days, orders, lower, upper, orders * each, float(orders.sum()), (float(ends[0]), float(ends[1])))


def _back_test(purchases: Purchases, until: int) -> BackTest | None:
    """The last half of the time, told from the first; None where one is too little to learn from or to compare with."""
    start = int(purchases.days.min())
    split = start + (until - start) // 2
    early = purchases.until(split)
    of = known(early)
    histories = of.histories(split)
    try:
        buys = repeats.fitted(histories)
    except repeats.FitError:
        return None
    expected = repeats.expected(buys, histories, (until - split) / _DAYS_PER_WEEK)
    numbers = {name: number for number, name in enumerate(early.customers)}
    happened = np.zeros(of.orders.size)
    late = purchases.days > split
    if not late.any():
        return None
    for number in purchases.of[late]:
        if (at := numbers.get(purchases.customers[number])) is not None:
            happened[at] += 1
    naive = histories.repeats / np.maximum(histories.watched, 1 / _DAYS_PER_WEEK) * (until - split) / _DAYS_PER_WEEK
    return BackTest(
        split + 1,
        until,
        float(expected.sum()),
        int(happened.sum()),
        float(np.abs(expected - happened).mean()),
        float(np.abs(naive - happened).mean()),
    )
