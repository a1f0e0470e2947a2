"""What is to be expected of customers, and how well the same model would have told what has happened since."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from offline.customers import fitting
from offline.customers.purchases import Purchases, known
from services.customers.domain import repeats, spending
from services.customers.domain.forecast import DAYS_PER_WEEK, Expected, expected
from services.customers.domain.repeats import Column, Histories, Repeats
from services.customers.domain.spending import Spending


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
    buys = fitting.repeats(histories)
    again = of.repeat_money > 0
    try:
        spends = fitting.spending(histories.repeats[again], of.repeat_means()[again])
    except fitting.FitError:
        spends = None
    each = np.full(of.orders.size, np.nan)
    if spends:
        each = spending.expected(spends, histories.repeats, of.repeat_means())
    return Forecast(
        buys,
        spends,
        repeats.probability_active(buys, histories),
        [expected(buys, histories, each, days, seed) for days in horizons],
        back_test(early, until),
    )


def back_test(purchases: Purchases, until: int) -> BackTest | None:
    """The last half of the time, told from the first; None where one is too little to learn from or to compare with."""
    split = halfway(int(purchases.days.min()), until)
    early = purchases.until(split)
    numbers = {name: number for number, name in enumerate(early.customers)}
    of = known(early)
    happened = np.zeros(of.orders.size)
    late = purchases.days > split
    for number in purchases.of[late]:
        if (at := numbers.get(purchases.customers[number])) is not None:
            happened[at] += 1
    return tested(of.histories(split), happened, split, until) if late.any() else None


def halfway(start: int, until: int) -> int:
    """The last day of the first half."""
    return start + (until - start) // 2


def tested(of: Histories, happened: Column, split: int, until: int) -> BackTest | None:
    """The days after a split, told from those before; None where these are too few to learn from.

    Args:
        of: the customers who had bought by the split, as they were then.
        happened: on how many days each bought afterwards.
        split: the last day of the first half.
        until: the last day of the second.
    """
    try:
        buys = fitting.repeats(of)
    except fitting.FitError:
        return None
    told = repeats.expected(buys, of, (until - split) / DAYS_PER_WEEK)
    naive = of.repeats / np.maximum(of.watched, 1 / DAYS_PER_WEEK) * (until - split) / DAYS_PER_WEEK
    return BackTest(
        split + 1,
        until,
        float(told.sum()),
        int(happened.sum()),
        float(np.abs(told - happened).mean()),
        float(np.abs(naive - happened).mean()),
    )
