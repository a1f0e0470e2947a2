"""What to recommend to a customer, and why: what is due again, goes with what they buy, is like it, or is popular."""

import enum
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from services.customers.domain import basket
from services.customers.domain.basket import Shares
from services.customers.domain.consumption import Bought, Due

_LESS_OF_A_REASON: Final = 0.6
_LESS_OF_A_CATEGORY: Final = 0.7
"""What each product that is taken leaves of the scores of others of its reason or category."""
_CANDIDATES: Final = 200


class Reason(enum.StrEnum):
    """Why a product is recommended."""

    DUE = "due_again"
    """The customer bought it before and is likely to need it again."""
    TOGETHER = "bought_together"
    """Others bought it with something that the customer bought."""
    SIMILAR = "similar"
    """It is of a category that the customer buys."""
    POPULAR = "popular_in_segment"
    """Customers of the same segment buy it."""


class Product(NamedTuple):
    """A product of the shop. `name` and `category` may be empty; `offered` says whether customers can buy it."""

    name: str
    category: str
    offered: bool


class Recommendation(NamedTuple):
    """A product and why: `because` is the product it goes with, the category it is of, or the segment.

    `because` is empty for what is due. `probability` is that of a purchase in the days that `Due` is about, of what is
    due; else None.
    """

    product: str
    name: str
    category: str
    score: float
    reason: Reason
    because: str
    probability: float | None


class Shop(NamedTuple):
    """What recommendations are made from: the products, what goes together, and what is popular in the segment."""

    products: Mapping[str, Product]
    together: basket.Together
    popular: Shares
    segment: str


def recommended(shop: Shop, of: Sequence[Bought], due: Sequence[Due], count: int) -> tuple[Recommendation, ...]:
    """At most `count` products, best first, each offered and there once.

    Each of the four reasons shares out a score of 1 among its products, and a product has the reason that gives it
    most. A customer without purchases gets what is popular. What is taken lowers the scores of others of its reason and
    of its category, so that they differ.
    """
    likely = sum(each.probability for each in due) or 1.0
    habits = {each.product: len(each.days) for each in of}
    found: dict[str, Recommendation] = {}
    for each in due:
        _offer(found, shop, each.product, each.probability / likely, Reason.DUE, "", each.probability)
    for product, share in basket.as_shares(habits).items():
        for other, likeness in basket.as_shares(shop.together.get(product, {})).items():
            if other not in habits:
                _offer(found, shop, other, share * likeness, Reason.TOGETHER, product)
    tastes = _tastes(shop, habits)
    for product, share in shop.popular.items():
        if product in habits or product not in shop.products:
            continue
        category = shop.products[product].category
        if category in tastes:
            _offer(found, shop, product, share * (1 + tastes[category]), Reason.SIMILAR, category)
        _offer(found, shop, product, share, Reason.POPULAR, shop.segment)
    return _different(sorted(found.values(), key=_place)[:_CANDIDATES], count)


def _offer(
    found: dict[str, Recommendation],
    shop: Shop,
    product: str,
    score: float,
    reason: Reason,
    because: str,
    probability: float | None = None,
) -> None:
    known = shop.products.get(product)
    if not known or not known.offered or (product in found and found[product].score >= score):
        return
    found[product] = Recommendation(product, known.name, known.category, score, reason, because, probability)


def _tastes(shop: Shop, habits: Mapping[str, int]) -> Shares:
    """The share of each category in what the customer buys."""
    counts: dict[str, float] = {}
    for product, times in habits.items():
        category = shop.products[product].category if product in shop.products else ""
        if category:
            counts[category] = counts.get(category, 0.0) + times
    return basket.as_shares(counts)


def _different(candidates: Sequence[Recommendation], count: int) -> tuple[Recommendation, ...]:
    left = {each.product: each for each in candidates}
    taken: list[Recommendation] = []
    while left and len(taken) < count:
        best = min(left.values(), key=_place)
        taken.append(left.pop(best.product))
        for product, each in left.items():
            less = _LESS_OF_A_REASON if each.reason == best.reason else 1.0
            if each.category and each.category == best.category:
                less *= _LESS_OF_A_CATEGORY
            left[product] = each._replace(score=each.score * less)
    return tuple(taken)


def _place(of: Recommendation) -> tuple[float, str]:
    return -of.score, of.product
