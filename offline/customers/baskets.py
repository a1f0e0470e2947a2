"""How well next baskets are told: recall beside that of personal frequency, on the same split.

The split is by time. All is learnt from the days up to a cut, after which come 20 % of the baskets; told is the first
basket of each customer after it, of customers who bought before. A basket is all that a customer buys on a day.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from offline.customers import consuming, markets
from services.customers.domain import basket
from services.customers.domain.basket import Market
from services.customers.domain.consumption import Bought, Consumption
from services.customers.domain.repeats import Column

TOLD: Final = 10
"""Products that are told of a basket."""
_POPULAR: Final = 200
_RESAMPLES: Final = 2_000
_SHARE: Final = 0.8
"""The baskets before the cut, of all."""

_Scored: TypeAlias = Callable[[str], Mapping[str, float]]


class Recall(NamedTuple):
    """Of the products in a basket the share that is among 10 told, a mean over baskets.

    `repeat` is of the products that the customer had bought before, `explore` of the others; each over the baskets that
    have one.
    """

    all: float
    repeat: float
    explore: float


class Gain(NamedTuple):
    """A mean gain over personal frequency, and the interval of 95 % in which it lies."""

    mean: float
    lower: float
    upper: float


class Gains(NamedTuple):
    """The gains of each member of `Recall`."""

    all: Gain
    repeat: Gain
    explore: Gain


class Told(NamedTuple):
    """How the mesh and personal frequency told the same `baskets` after `cut`, one of each customer.

    `gains` are of the one over the other, basket by basket.
    """

    cut: int
    baskets: int
    ours: Recall
    personal: Recall
    gains: Gains


class _Learnt(NamedTuple):
    cut: int
    model: Consumption
    market: Market
    popular: Mapping[str, float]
    before: Mapping[str, Sequence[Bought]]
    after: Mapping[str, frozenset[str]]


def told(customers: Mapping[str, Sequence[Bought]], seed: int) -> Told | None:
    """Compares the mesh with personal frequency; None if no customer bought before and after the cut.

    Args:
        customers: what each customer bought.
        seed: of the resamples that the intervals are made of.
    """
    days = sorted(day for of in customers.values() for day in _baskets(of))
    if not days:
        return None
    judging = _learnt(customers, days[int(len(days) * _SHARE)])
    if judging is None:
        return None
    ours = _recalls(judging, lambda customer: _scores(judging, customer))
    personal = _recalls(judging, lambda customer: _frequency(judging, judging.before[customer]))
    chance = np.random.default_rng(seed)
    return Told(
        judging.cut,
        len(judging.after),
        Recall(*map(_mean, ours)),
        Recall(*map(_mean, personal)),
        Gains(*(gain(one - other, chance) for one, other in zip(ours, personal, strict=True))),
    )


def gain(differences: Column, chance: np.random.Generator) -> Gain:
    """The mean of paired differences, one of each customer, with its interval from resamples of customers.

    It is the percentile interval of the bootstrap (Efron and Tibshirani, 1993). All 0 if there are no differences.
    """
    if not differences.size:
        return Gain(0.0, 0.0, 0.0)
    means = [chance.choice(differences, differences.size).mean() for _ in range(_RESAMPLES)]
    lower, upper = np.percentile(means, (2.5, 97.5))
    return Gain(_mean(differences), float(lower), float(upper))


def _mean(of: Column) -> float:
    return float(of.mean()) if of.size else 0.0


def _baskets(of: Sequence[Bought]) -> Mapping[int, frozenset[str]]:
    found: dict[int, set[str]] = {}
    for each in of:
        for day in each.days:
            found.setdefault(day, set()).add(each.product)
    return {day: frozenset(products) for day, products in sorted(found.items())}


def _learnt(customers: Mapping[str, Sequence[Bought]], cut: int) -> _Learnt | None:
    known, after, baskets = {}, {}, []
    for customer, of in customers.items():
        before = [
            each._replace(days=tuple(day for day in each.days if day <= cut)) for each in of if each.days[0] <= cut
        ]
        if not before:
            continue
        known[customer] = before
        its = _baskets(of)
        baskets += [sorted(products) for day, products in its.items() if day <= cut]
        if following := next((products for day, products in its.items() if cut < day), None):
            after[customer] = following
    if not after:
        return None
    together = basket.together(baskets)
    return _Learnt(
        cut,
        consuming.fitted(list(known.values()), cut),
        markets.of_all(known.values(), together, cut),
        popular(known.values()),
        known,
        after,
    )


def popular(customers: Iterable[Sequence[Bought]], most: int = _POPULAR) -> Mapping[str, float]:
    """The share of each product in what customers buy, once per customer; of those that most customers buy."""
    return shares(Counter(each.product for of in customers for each in of), most)


def shares(counts: Mapping[str, int], most: int) -> Mapping[str, float]:
    """How many customers buy each product, as shares; of those that most customers buy."""
    total = sum(counts.values())
    return {product: counts[product] / total for product in basket.first(counts, most)}


def _scores(of: _Learnt, customer: str) -> Mapping[str, float]:
    return basket.totals(basket.scores(of.market, of.model, of.before[customer], of.cut))


def _frequency(of: _Learnt, bought: Sequence[Bought]) -> Mapping[str, float]:
    """On how many days each product was bought; among equals, and after them, what most customers buy."""
    return {**of.popular, **{each.product: len(each.days) + of.popular.get(each.product, 0.0) for each in bought}}


def _recalls(of: _Learnt, scored: _Scored) -> tuple[Column, Column, Column]:
    """The members of `Recall` of each basket that has one, in the order of the customers."""
    all_of_it: list[float] = []
    repeat: list[float] = []
    explore: list[float] = []
    for customer, products in of.after.items():
        known = frozenset(each.product for each in of.before[customer])
        found = frozenset(basket.first(scored(customer), TOLD))
        for into, wanted in ((all_of_it, products), (repeat, products & known), (explore, products - known)):
            if wanted:
                into.append(len(wanted & found) / len(wanted))
    return np.array(all_of_it), np.array(repeat), np.array(explore)
