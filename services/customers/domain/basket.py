"""What a customer's next basket holds: what is due, what goes with what they buy, and what customers try.

A product's score is close to how often the customer is expected to buy it in the next 14 days:

- of what they bought before, the probability that it is due (`consumption`), part of it shared out anew by how often
  and how lately each product was bought; how much of it is learnt;
- of what others buy beside it more often than by chance, a share of all that the customer is expected to buy;
- of what they never bought, how often customers try it, times how active the customer is.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from services.customers.domain import consumption
from services.customers.domain.consumption import Bought, Consumption

Together: TypeAlias = Mapping[str, Mapping[str, float]]
"""For each product others that are bought beside it, with the share above chance that they are of what is beside it."""

Shares: TypeAlias = Mapping[str, float]

DAYS_AHEAD: Final = 14
TRIED_DAYS: Final = 60.0
"""A first purchase counts less the older it is, by this pace in days."""
_FAST: Final = 60.0
_SLOW: Final = 365.0
_SLOW_SHARE: Final = 0.6
"""A purchase counts less the older it is, at two paces in days."""
_BESIDE: Final = 0.3
"""The share of what a customer is expected to buy that comes with what they buy."""
_BY_CHANCE: Final = 300.0
"""How many products beside one are added to those that were seen, so that what was seen once or twice weighs little."""
_OWN_PURCHASES: Final = 5.0
"""How many purchases of a customer weigh as much as all customers, to tell how much the customer buys."""
_MOST_TOGETHER: Final = 10
_MOST_OF_A_BASKET: Final = 60


class Market(NamedTuple):
    """What all customers buy.

    `pace` is how many products a customer buys a day, 0 or more. `tries` is how often a customer is expected to buy a
    product for the first time in the next 14 days, of those that are tried most; `tried` adds that up over all. `habit`
    is how much of what is due is shared out by how often and how lately each product was bought, 0 to 1; earlier
    versions did not learn it.
    """

    pace: float
    tried: float
    tries: Mapping[str, float]
    together: Together
    habit: float = 0.5


NO_MARKET: Final = Market(0.0, 0.0, {}, {})


class Score(NamedTuple):
    """How often a product is expected to be bought, by why. `beside` is the product that it goes with most.

    `again` is for what the customer bought before, `together` for what goes with that, and `tried` for the rest.
    """

    again: float = 0.0
    together: float = 0.0
    tried: float = 0.0
    beside: str = ""

    @property
    def total(self) -> float:
        """All of it."""
        return self.again + self.together + self.tried


def together(baskets: Iterable[Sequence[str]]) -> Together:
    """Which products are bought together: for each at most 10 others.

    Args:
        baskets: the products of each basket, of which no more than the first 60 are counted.
    """
    both: dict[str, dict[str, int]] = {}
    for basket in baskets:
        products = counted(basket)
        for product in products:
            beside = both.setdefault(product, {})
            for other in products:
                if other != product:
                    beside[other] = beside.get(other, 0) + 1
    sums = {product: sum(beside.values()) for product, beside in both.items()}
    total = sum(sums.values())
    found = {product: nearest(product, beside, sums, total) for product, beside in sorted(both.items())}
    return {product: beside for product, beside in found.items() if beside}


def counted(basket: Sequence[str]) -> Sequence[str]:
    """The products of a basket that count, each once, by id."""
    return sorted(set(basket[:_MOST_OF_A_BASKET]))


def nearest(product: str, beside: Mapping[str, int], sums: Mapping[str, int], total: int) -> Mapping[str, float]:
    """The products that are bought most beside one, above chance.

    Args:
        product: the one.
        beside: by other product, how many baskets have both.
        sums: by product, the sum of its `beside`.
        total: the sum of `sums`, above 0.
    """
    its = sums[product]
    more = {other: (count - its * sums[other] / total) / (its + _BY_CHANCE) for other, count in beside.items()}
    return {other: more[other] for other in first(more, _MOST_TOGETHER) if more[other] > 0}


def scores(market: Market, model: Consumption, of: Sequence[Bought], today: int) -> Mapping[str, Score]:
    """The score of each product that the customer bought, that goes with these, or that customers try; 0 or more.

    Args:
        market: what all customers buy.
        model: how often products are needed.
        of: what the customer bought; may be empty.
        today: the day from which to look ahead, in days since 1970.
    """
    due = likely(model, of, today)
    habit = habits(of, today)
    again = sum(due.values())
    found = {
        product: Score((1 - market.habit) * due[product] + market.habit * share * again)
        for product, share in habit.items()
    }
    left = _share_out(_BESIDE * _expected(market, of, today), market.together, habit, found)
    active = consumption.activity(model, of, today)
    for product, often in market.tries.items():
        known = found.get(product, Score())
        share = max(left, 0.0) / market.tried + (0.0 if product in habit else active)
        found[product] = known._replace(tried=share * often)
    return found


def totals(of: Mapping[str, Score]) -> Mapping[str, float]:
    """All of each score."""
    return {product: each.total for product, each in of.items()}


def likely(model: Consumption, of: Sequence[Bought], today: int) -> Shares:
    """The probability, 0 to 1, that each product that a customer bought is bought in the next 14 days."""
    if not of:
        return {}
    found = consumption.chances(model, of, today, DAYS_AHEAD).probability
    return {each.product: float(found[at]) for at, each in enumerate(of)}


def habits(of: Sequence[Bought], today: int) -> Shares:
    """How often and how lately each product was bought, as shares that add up to 1."""
    return as_shares({each.product: _often(each, today) for each in of})


def first(of: Mapping[str, float], count: int) -> tuple[str, ...]:
    """The products of the highest scores, best first; of equal scores the least id."""
    return tuple(sorted(of, key=lambda product: (-of[product], product))[:count])


def as_shares(of: Mapping[str, float]) -> Shares:
    """Values as shares that add up to 1; empty if there are none above 0."""
    total = sum(of.values())
    return {product: value / total for product, value in of.items()} if total > 0 else {}


def _often(of: Bought, today: int) -> float:
    return sum(
        (1 - _SLOW_SHARE) * math.exp((day - today) / _FAST) + _SLOW_SHARE * math.exp((day - today) / _SLOW)
        for day in of.days
    )


def _share_out(wanted: float, together: Together, habit: Shares, found: dict[str, Score]) -> float:
    """Adds purchases that come beside others to the scores found; returns how many of those wanted are left."""
    left = wanted
    most: dict[str, float] = {}
    for product, share in habit.items():
        for other, more in together.get(product, {}).items():
            added = wanted * share * more
            left -= added
            known = found.get(other, Score())
            beside = product if added > most.get(other, 0.0) else known.beside
            most[other] = max(added, most.get(other, 0.0))
            found[other] = known._replace(together=known.together + added, beside=beside)
    return left


def _expected(market: Market, of: Sequence[Bought], today: int) -> float:
    """How many products a customer is expected to buy in the next 14 days, drawn towards what customers buy."""
    bought = sum(len(each.days) for each in of)
    watched = max(today - min((each.days[0] for each in of), default=today + 1) + 1, 0)
    more = (bought + _OWN_PURCHASES) / (market.pace * watched + _OWN_PURCHASES)
    return DAYS_AHEAD * market.pace * more
