"""Groups of customers who are alike: the nearest of some centres, by recency, orders and money."""

import math
from typing import NamedTuple


class Customer(NamedTuple):
    """What customers are grouped by: days since the last order, days with an order, and money per such day."""

    days_since: float
    orders: float
    money: float


class Groups(NamedTuple):
    """Centres with their names, found by K-means on logarithms that are standardised by `means` and `scales`.

    Scaler and centres are kept, so that a customer's group changes by what they do. `silhouette` (-1 to 1) says how far
    apart the groups are, `stability` (up to 1) the mean adjusted Rand index of groups that were found in resamples.
    """

    means: tuple[float, ...]
    scales: tuple[float, ...]
    centres: tuple[tuple[float, ...], ...]
    names: tuple[str, ...]
    counts: tuple[int, ...]
    silhouette: float
    stability: float


def scaled(by: Groups, customer: Customer) -> tuple[float, ...]:
    """A customer as the centres are: values below 0 count as 0."""
    return tuple(
        (math.log1p(max(value, 0.0)) - mean) / scale
        for value, mean, scale in zip(customer, by.means, by.scales, strict=True)
    )


def group_of(by: Groups, customer: Customer) -> str:
    """The name of the nearest centre; of equally near ones the first."""
    place = scaled(by, customer)
    nearest = min(range(len(by.centres)), key=lambda number: math.dist(place, by.centres[number]))
    return by.names[nearest]


def centres(of: Groups) -> tuple[Customer, ...]:
    """The centre of each group, as a customer."""
    return tuple(
        Customer(
            *(math.expm1(value * scale + mean) for value, mean, scale in zip(centre, of.means, of.scales, strict=True))
        )
        for centre in of.centres
    )
