"""Eight segments by recency and frequency: each customer is in one of them."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from scipy import stats

from offline.customers.repeats import Column, Counts

_QUINTILES: Final = 5

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


def quintiles(values: Column) -> Counts:
    """Scores 1 to 5, the largest values 5.

    The score is that of the middle of the ranks that equal values share: equal values score alike, in whatever order
    they come.
    """
    middle = (stats.rankdata(values, method="average") - 0.5) / values.size
    found: Counts = np.minimum(np.floor(middle * _QUINTILES).astype(np.int64) + 1, _QUINTILES)
    return found


class Scores(NamedTuple):
    """Recency and frequency of each customer, 1 to 5."""

    recency: Counts
    frequency: Counts


def scores(last: Counts, orders: Counts) -> Scores:
    """Scores for recency and frequency, 1 to 5.

    Args:
        last: the day of each customer's last order.
        orders: how many each had. Whoever had one scores 1, however many others had one too.
    """
    frequency = np.where(orders == 1, 1, quintiles(orders.astype(float)))
    return Scores(quintiles(last.astype(float)), frequency)
