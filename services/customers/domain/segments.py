"""Eight segments by recency and frequency: each customer is in one of them."""

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from services.customers.domain.repeats import Column, Counts

_SCORES: Final = 5

_ROWS: Final = {
    5: ("New", "Potential Loyalist", "Potential Loyalist", "Champions", "Champions"),
    4: ("New", "Potential Loyalist", "Potential Loyalist", "Loyal", "Loyal"),
    3: ("About to Sleep", "About to Sleep", "About to Sleep", "Loyal", "Loyal"),
    2: ("Hibernating", "Hibernating", "At Risk", "At Risk", "Can't Lose"),
    1: ("Hibernating", "Hibernating", "At Risk", "At Risk", "Can't Lose"),
}
SEGMENTS: Final = (
    "Champions", "Loyal", "Potential Loyalist", "New", "About to Sleep", "At Risk", "Can't Lose", "Hibernating",
)  # fmt: skip
"""From those who buy often and lately to those who do neither."""

NAMES: Final[Mapping[tuple[int, int], str]] = {
    (recency, frequency + 1): name for recency, names in _ROWS.items() for frequency, name in enumerate(names)
}
"""The segment of each pair of scores for recency and frequency: all 25, once each."""

Steps: TypeAlias = tuple[int, int, int, int]
"""The least value of each of the scores 2 to 5, ascending."""


def quintiles(values: Column) -> Counts:
    """Scores 1 to 5, the largest values 5.

    The score is that of the middle of the ranks that equal values share: equal values score alike, in whatever order
    they come.
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = (np.cumsum(counts) - counts / 2)[places] / values.size
    found: Counts = np.minimum(np.floor(middle * _SCORES).astype(np.int64) + 1, _SCORES)
    return found


class Scores(NamedTuple):
    """Recency and frequency of each customer, 1 to 5."""

    recency: Counts
    frequency: Counts


class Cuts(NamedTuple):
    """Where the scores begin, kept so that a customer's segment changes by what they do and not by what others do.

    `recency` is of the days since the last order, taken negative; `frequency` of the orders.
    """

    recency: Steps
    frequency: Steps


def cuts(last: Counts, orders: Counts, today: int) -> Cuts:
    """The cuts that give these customers the scores of `scores`.

    Args:
        last: the day of each customer's last order, at least one.
        orders: how many each had.
        today: the day from which recency is counted, not before any of `last`.
    """
    found = scores(last, orders)
    return Cuts(_steps(last - today, found.recency), _steps(orders, found.frequency))


def scored(by: Cuts, days_since: int, orders: int) -> tuple[int, int]:
    """Scores for recency and frequency, 1 to 5, of a customer with at least one order."""
    return _score(by.recency, -days_since), 1 if orders == 1 else _score(by.frequency, orders)


def segment_of(by: Cuts, days_since: int, orders: int) -> str:
    """The segment of a customer with at least one order."""
    return NAMES[scored(by, days_since, orders)]


def scores(last: Counts, orders: Counts) -> Scores:
    """Scores for recency and frequency, 1 to 5.

    Args:
        last: the day of each customer's last order.
        orders: how many each had. Whoever had one scores 1, however many others had one too.
    """
    frequency = np.where(orders == 1, 1, quintiles(orders.astype(float)))
    return Scores(quintiles(last.astype(float)), frequency)


def _steps(values: Counts, scored: Counts) -> Steps:
    # A score that nobody has begins after all that were seen.
    beyond = int(values.max()) + 1
    second, third, fourth, fifth = (int(values[scored >= score].min(initial=beyond)) for score in range(2, _SCORES + 1))
    return second, third, fourth, fifth


def _score(steps: Steps, value: int) -> int:
    return 1 + sum(step <= value for step in steps)
