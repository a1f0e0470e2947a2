"""How well next baskets are told: recall beside that of personal frequency, on the same split.

The split is by time. All is learnt from the days up to a cut; told is the first basket of each customer after it, of
customers who bought before. A basket is all that a customer buys on a day. The cut comes after 80 % of the baskets;
the blend is chosen at an earlier cut, after 60 %, on the first baskets between the two, and not changed afterwards.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from offline.customers import consuming
from services.customers.domain import basket, consumption
from services.customers.domain.basket import Blend, Shares, Together
from services.customers.domain.consumption import Bought
from services.customers.domain.purchases import History
from services.customers.domain.repeats import Column

_TOLD: Final = 10
_POPULAR: Final = 200
_RESAMPLES: Final = 2_000
_BLENDS: Final = tuple(
    Blend(due=due, together=together, popular=popular)
    for due, together, popular in itertools.product((1.0, 4.0), (0.05, 0.3), (0.5, 3.0))
)

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
    """The blend that was chosen, how it did, and how personal frequency did on the same `baskets` after `cut`.

    `gains` are of the one over the other, basket by basket; there is one basket of each customer.
    """

    cut: int
    baskets: int
    blend: Blend
    ours: Recall
    personal: Recall
    gains: Gains


class _Learnt(NamedTuple):
    cut: int
    due: Mapping[str, Shares]
    together: Together
    popular: Mapping[str, float]
    before: Mapping[str, Sequence[Bought]]
    after: Mapping[str, frozenset[str]]


def told(histories: Mapping[str, History], progress: Callable[[Sequence[Blend]], Iterable[Blend]], seed: int) -> Told:
    """Chooses a blend, and compares it with personal frequency.

    Args:
        histories: what each customer bought; some must have bought on several days, and have lines.
        progress: is handed the blends to try, and returns them one by one.
        seed: of the resamples that the intervals are made of.
    """
    days = sorted(day for history in histories.values() for day in _baskets(history))
    early, late = days[int(len(days) * 0.6)], days[int(len(days) * 0.8)]
    choosing = _learnt(histories, early, late)
    blend = max(progress(_BLENDS), key=lambda each: _mean(_recalls(choosing, _ours(choosing, each))[0]))
    judging = _learnt(histories, late, days[-1])
    ours = _recalls(judging, _ours(judging, blend))
    personal = _recalls(judging, lambda customer: _frequency(judging, judging.before[customer]))
    chance = np.random.default_rng(seed)
    return Told(
        late,
        len(judging.after),
        blend,
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


def _baskets(history: History) -> Mapping[int, frozenset[str]]:
    found: dict[int, set[str]] = {}
    for order in history:
        if order.lines and not order.refund:
            found.setdefault(consumption.day_of(order.at), set()).update(line.product for line in order.lines)
    return {day: frozenset(products) for day, products in sorted(found.items())}


def _learnt(histories: Mapping[str, History], cut: int, until: int) -> _Learnt:
    known, after, baskets = {}, {}, []
    for customer, history in histories.items():
        before = consumption.bought(tuple(order for order in history if consumption.day_of(order.at) <= cut))
        if not before:
            continue
        known[customer] = before
        of = _baskets(history)
        baskets += [sorted(products) for day, products in of.items() if day <= cut]
        if following := next((products for day, products in of.items() if cut < day <= until), None):
            after[customer] = following
    model = consuming.fitted(list(known.values()), cut)
    due = {customer: basket.likely(model, known[customer], cut) for customer in after}
    return _Learnt(cut, due, basket.together(baskets), popular(known.values()), known, after)


def popular(customers: Iterable[Sequence[Bought]], most: int = _POPULAR) -> Mapping[str, float]:
    """The share of each product in what customers buy, once per customer; of those that most customers buy."""
    return shares(Counter(each.product for of in customers for each in of), most)


def shares(counts: Mapping[str, int], most: int) -> Mapping[str, float]:
    """How many customers buy each product, as shares; of those that most customers buy."""
    total = sum(counts.values())
    return {product: counts[product] / total for product in basket.first(counts, most)}


def _ours(of: _Learnt, blend: Blend) -> _Scored:
    return lambda customer: basket.scores(blend, of.due[customer], of.together, of.popular, of.before[customer], of.cut)


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
        found = frozenset(basket.first(scored(customer), _TOLD))
        for into, wanted in ((all_of_it, products), (repeat, products & known), (explore, products - known)):
            if wanted:
                into.append(len(wanted & found) / len(wanted))
    return np.array(all_of_it), np.array(repeat), np.array(explore)
