"""When a customer needs a product again: the days between its purchases, drawn towards those of other customers.

The days between two purchases of a product are a sum of `stages` equal exponential waits, of a rate that a customer
has for a product. Rates are Gamma over customers, around the rate of the product; that is drawn towards the rate of its
category, and that towards the rate of all (gamma-Poisson at each level). With one stage purchases come as by chance;
with more, a product is due some time after it was bought. Times are in whole days of UTC.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from services.customers.domain.purchases import History
from services.customers.domain.repeats import Column

_DAY_MS: Final = 86_400_000
_NODES: Final = 160
_TAILS: Final = (0.1, 0.9)
_OWN_PURCHASES: Final = 3.0
"""How many purchases of a customer weigh as much as all customers of the fit, to tell how active the customer is."""


class Consumption(NamedTuple):
    """What the fit found: purchases per day and customer of each product, after its first purchase."""

    stages: int
    shape: float
    """How alike customers are, above 0; many: all buy a product at its rate."""
    of_all: float
    categories: Mapping[str, float]
    products: Mapping[str, float]

    def rate(self, product: str, category: str) -> float:
        """Purchases per day, above 0: the category's for a product, and that of all for a category, not known."""
        return self.products.get(product) or self.categories.get(category) or self.of_all


class Bought(NamedTuple):
    """A product in a customer's history; `days` since 1970 on which it was bought, ascending, no day twice."""

    product: str
    name: str
    category: str
    days: tuple[int, ...]


class Chances(NamedTuple):
    """Probability of a purchase in the days asked about, of each product, and the ends of an interval of 80 %.

    The interval is of what the customer's own rate may be.
    """

    probability: Column
    lower: Column
    upper: Column


class Due(NamedTuple):
    """A product that the customer bought before.

    `times` is on how many days, `last` the last of them. `usual` is the days between purchases, drawn towards those of
    others; `left` how many of them are left, 0 when the product is due.
    """

    product: str
    name: str
    category: str
    times: int
    last: int
    usual: float
    left: float
    probability: float
    lower: float
    upper: float


def day_of(milliseconds: int) -> int:
    """The day since 1970, of UTC."""
    return milliseconds // _DAY_MS


def bought(history: History) -> tuple[Bought, ...]:
    """The products of a history by id, with the name and category that they had last; refunds are no purchases."""
    days: dict[str, set[int]] = {}
    words: dict[str, tuple[str, str]] = {}
    for order in history:
        if order.refund:
            continue
        for line in order.lines:
            days.setdefault(line.product, set()).add(day_of(order.at))
            name, category = words.get(line.product, ("", ""))
            words[line.product] = line.name or name, line.category or category
    return tuple(Bought(product, *words[product], tuple(sorted(days[product]))) for product in sorted(days))


def activity(model: Consumption, of: Sequence[Bought], today: int) -> float:
    """How much more than others the customer buys again, around 1: purchases after the first, over those expected."""
    again = sum(len(each.days) - 1 for each in of)
    others = sum(model.rate(each.product, each.category) * (today - each.days[0]) for each in of)
    return (again + _OWN_PURCHASES) / (others + _OWN_PURCHASES)


def chances(model: Consumption, of: Sequence[Bought], today: int, days: int) -> Chances:
    """How likely each product is bought in the `days` after `today`, both in days; `today` is not before a purchase."""
    gaps, total, since = _gaps(of, today)
    rates, weights = _rates(model, *_posterior(model, of, today, gaps, total), since)
    silent = _waits(model.stages, rates * since[:, np.newaxis])
    within = 1 - _waits(model.stages, rates * (since[:, np.newaxis] + days)) / np.maximum(silent, 1e-300)
    # A higher rate buys sooner, so that quantiles of the rate are quantiles of the probability.
    reached = np.cumsum(weights, axis=1)
    lower, upper = (
        np.take_along_axis(within, np.argmax(reached >= tail, axis=1)[:, np.newaxis], axis=1)[:, 0] for tail in _TAILS
    )
    return Chances(np.clip((within * weights).sum(axis=1), 0, 1), np.clip(lower, 0, 1), np.clip(upper, 0, 1))


def due(model: Consumption, history: History, today: int, days: int) -> tuple[Due, ...]:
    """The products of a history, those most likely bought in the next `days` first; empty without lines."""
    of = bought(history)
    if not of:
        return ()
    found = chances(model, of, today, days)
    gaps, total, _ = _gaps(of, today)
    shape, rate = _posterior(model, of, today, gaps, total)
    usual = model.stages * rate / shape
    all_of_them = (
        Due(
            *(each.product, each.name, each.category, len(each.days), each.days[-1]),
            float(usual[at]),
            max(0.0, each.days[-1] + float(usual[at]) - today),
            *(float(column[at]) for column in found),
        )
        for at, each in enumerate(of)
    )
    return tuple(sorted(all_of_them, key=lambda each: (-each.probability, each.product)))


def _gaps(of: Sequence[Bought], today: int) -> tuple[Column, Column, Column]:
    """How many gaps each product has, the days they take together, and those since its last purchase."""
    gaps = np.array([float(len(each.days) - 1) for each in of])
    total = np.array([float(each.days[-1] - each.days[0]) for each in of])
    return gaps, total, np.array([float(max(today - each.days[-1], 0)) for each in of])


def _posterior(
    model: Consumption, of: Sequence[Bought], today: int, gaps: Column, total: Column
) -> tuple[Column, Column]:
    """Shape and rate of the Gamma of each product's rate per stage, given its gaps."""
    own = activity(model, of, today)
    expected = np.array([model.rate(each.product, each.category) for each in of]) * own * model.stages
    return model.shape + model.stages * gaps, model.shape / expected + total


def _rates(model: Consumption, shape: Column, rate: Column, since: Column) -> tuple[Column, Column]:
    """Possible rates of each product, ascending, and how likely each is, given that it was not bought since."""
    most = np.log(shape + 6 * np.sqrt(shape) + 10)
    least = np.log(shape) - 4 / np.sqrt(shape) - 6 / shape
    logs = least[:, np.newaxis] + (most - least)[:, np.newaxis] * np.linspace(0, 1, _NODES)
    rates = np.exp(logs) / rate[:, np.newaxis]
    silent = np.log(np.maximum(_waits(model.stages, rates * since[:, np.newaxis]), 1e-300))
    likely = shape[:, np.newaxis] * logs - np.exp(logs) + silent
    weights = np.exp(likely - likely.max(axis=1, keepdims=True))
    return rates, weights / weights.sum(axis=1, keepdims=True)


def _waits(stages: int, scaled: Column) -> Column:
    """The probability that a wait of so many stages is longer than a time, which is given times its rate."""
    terms = sum(scaled**stage / math.factorial(stage) for stage in range(stages))
    found: Column = terms * np.exp(-scaled)
    return found
