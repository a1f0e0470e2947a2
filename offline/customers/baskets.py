"""How well next baskets are told: recall beside that of personal frequency, on the same split.

The split is by time: the last 30 % of the baskets are in six windows of 5 % each. Told is the first basket of each
customer in a window, of customers who bought before it, from the days before the window alone; how much habit tells is
learnt from the windows before it, and one before these. A basket is all that a customer buys on a day.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from offline.customers import consuming, habits, markets
from offline.customers.habits import Again
from services.customers.domain import basket
from services.customers.domain.basket import Market
from services.customers.domain.consumption import Bought, Consumption
from services.customers.domain.repeats import Column

TOLD: Final = 10
"""Products that are told of a basket."""
_POPULAR: Final = 200
_RESAMPLES: Final = 2_000
_BEFORE: Final = (0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""The baskets before each window, of all; the first window is not told."""


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
    """How the mesh and personal frequency told the same `baskets` of `customers` after `cut`, one of each per window.

    `gains` are of the one over the other, basket by basket. `habit` is what was learnt from all windows: how much of
    what is due is shared out by habit.
    """

    cut: int
    customers: int
    baskets: int
    habit: float
    ours: Recall
    personal: Recall
    gains: Gains


class _Window(NamedTuple):
    """What was learnt until `cut`: of all, and of each customer what they had bought, and their first basket after it.

    `after` is of who has a basket in the window.
    """

    cut: int
    model: Consumption
    market: Market
    popular: Mapping[str, float]
    before: Mapping[str, Sequence[Bought]]
    after: Mapping[str, frozenset[str]]


class _Row(NamedTuple):
    """The recall of a basket, or of the part of it that counts, and whose it is."""

    customer: int
    ours: float
    personal: float


def told(customers: Mapping[str, Sequence[Bought]], seed: int) -> Told | None:
    """Compares the mesh with personal frequency; None if no customer bought before and in a window.

    Args:
        customers: what each customer bought.
        seed: of the resamples that the intervals are made of.
    """
    days = sorted(day for of in customers.values() for day in _baskets(of))
    if not days:
        return None
    cuts = sorted({days[int(len(days) * share)] for share in _BEFORE} | {days[-1]})
    places = {customer: place for place, customer in enumerate(customers)}
    again: list[Again] = []
    rows: tuple[list[_Row], ...] = ([], [], [])
    for cut, until in itertools.pairwise(cuts):
        window = _window(customers, cut, until, habits.learnt(again))
        if window is None:
            continue
        if cut > cuts[0]:
            for kept, found in zip(rows, _recalls(window, places), strict=True):
                kept.extend(found)
        for customer, products in window.after.items():
            again += habits.again(window.model, window.before[customer], products, cut)
    if not rows[0]:
        return None
    columns = [np.array(each, float).reshape(-1, len(_Row._fields)).T for each in rows]
    chance = np.random.default_rng(seed)
    return Told(
        cut=cuts[1],
        customers=len({each.customer for each in rows[0]}),
        baskets=len(rows[0]),
        habit=habits.learnt(again),
        ours=Recall(*(_mean(ours) for _, ours, _ in columns)),
        personal=Recall(*(_mean(personal) for _, _, personal in columns)),
        gains=Gains(*(gain(ours - personal, of, chance) for of, ours, personal in columns)),
    )


def gain(differences: Column, of: Column, chance: np.random.Generator) -> Gain:
    """The mean of paired differences with its interval, from resamples of customers with all their baskets.

    It is the percentile interval of the bootstrap (Efron and Tibshirani, 1993). All 0 if there are no differences.

    Args:
        differences: one of each basket.
        of: whose each is, a number of the customer.
        chance: draws the resamples.
    """
    if not differences.size:
        return Gain(0.0, 0.0, 0.0)
    _, places, counts = np.unique(of, return_inverse=True, return_counts=True)
    sums = np.bincount(places, differences)
    drawn = (chance.integers(0, counts.size, counts.size) for _ in range(_RESAMPLES))
    lower, upper = np.percentile([sums[each].sum() / counts[each].sum() for each in drawn], (2.5, 97.5))
    return Gain(_mean(differences), float(lower), float(upper))


def _mean(of: Column) -> float:
    return float(of.mean()) if of.size else 0.0


def _baskets(of: Sequence[Bought]) -> Mapping[int, frozenset[str]]:
    found: dict[int, set[str]] = {}
    for each in of:
        for day in each.days:
            found.setdefault(day, set()).add(each.product)
    return {day: frozenset(products) for day, products in sorted(found.items())}


def _window(customers: Mapping[str, Sequence[Bought]], cut: int, until: int, habit: float) -> _Window | None:
    """What the days until `cut` tell of the window after it; None if nobody who bought before bought in it."""
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
        if following := next((products for day, products in its.items() if cut < day <= until), None):
            after[customer] = following
    if not after:
        return None
    together = basket.together(baskets)
    return _Window(
        cut,
        consuming.fitted(list(known.values()), cut),
        markets.of_all(known.values(), together, cut)._replace(habit=habit),
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


def _scores(of: _Window, bought: Sequence[Bought]) -> Mapping[str, float]:
    return basket.totals(basket.scores(of.market, of.model, bought, of.cut))


def _frequency(of: _Window, bought: Sequence[Bought]) -> Mapping[str, float]:
    """On how many days each product was bought; among equals, and after them, what most customers buy."""
    return {**of.popular, **{each.product: len(each.days) + of.popular.get(each.product, 0.0) for each in bought}}


def _recalls(of: _Window, places: Mapping[str, int]) -> tuple[list[_Row], list[_Row], list[_Row]]:
    """The members of `Recall` of each basket that has one, in the order of the customers."""
    found: tuple[list[_Row], list[_Row], list[_Row]] = ([], [], [])
    for customer, products in of.after.items():
        bought = of.before[customer]
        known = frozenset(each.product for each in bought)
        ours, personal = (frozenset(basket.first(scored(of, bought), TOLD)) for scored in (_scores, _frequency))
        for into, wanted in zip(found, (products, products & known, products - known), strict=True):
            if wanted:
                into.append(_Row(places[customer], *(len(wanted & each) / len(wanted) for each in (ours, personal))))
    return found
