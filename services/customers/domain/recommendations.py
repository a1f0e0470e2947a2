"""What to recommend to a customer, and why: what is due again, goes with what they buy, is like it, or is popular.

The scores are those of the next basket (`basket`), of which the reason is the larger part.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from services.customers.domain import basket
from services.customers.domain.basket import Score, Shares
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

    `because` is empty for what is due, and for what all customers buy. `probability` is that of a purchase in the days
    that `Due` is about, of what is due; else None.
    """

    product: str
    name: str
    category: str
    score: float
    reason: Reason
    because: str
    probability: float | None


class Shop(NamedTuple):
    """What recommendations are made from: the products, and what is popular in the segment."""

    products: Mapping[str, Product]
    popular: Shares
    segment: str


def recommended(
    shop: Shop, of: Sequence[Bought], scores: Mapping[str, Score], due: Sequence[Due], count: int
) -> tuple[Recommendation, ...]:
    """At most `count` products, best first, each offered and there once.

    What the customer bought before is due again. Of the others, what goes with that is bought together if that is the
    larger part of its score; else it is similar if it is of a category that the customer buys, which raises its score,
    or popular. What is popular in the segment is recommended also where nothing scores, as to a customer without
    purchases before the first fit of this version. What is taken lowers the scores of others of its reason and of its
    category, so that they differ.
    """
    habits = {each.product: len(each.days) for each in of}
    tastes = _tastes(shop, habits)
    likely = {each.product: each.probability for each in due}
    found = [
        each
        for product, score in scores.items()
        if (each := _candidate(shop, product, score, tastes, likely.get(product))) is not None
    ]
    least = min((each.score for each in found), default=1.0)
    rest = (
        _candidate(shop, product, Score(tried=least * share), tastes, None)
        for product, share in shop.popular.items()
        if product not in scores and product not in habits
    )
    found += [each for each in rest if each is not None]
    return _different(sorted(found, key=_place)[:_CANDIDATES], count)


def _candidate(
    shop: Shop, product: str, score: Score, tastes: Shares, probability: float | None
) -> Recommendation | None:
    """A product as it may be recommended; None if customers cannot buy it, or nothing speaks for it."""
    known = shop.products.get(product)
    if not known or not known.offered or score.total <= 0:
        return None
    if probability is not None:
        total, reason, because = score.total, Reason.DUE, ""
    elif score.together >= score.tried:
        total, reason, because = score.total, Reason.TOGETHER, score.beside
    elif taste := tastes.get(known.category):
        total, reason, because = score.total * (1 + taste), Reason.SIMILAR, known.category
    else:
        total, reason, because = score.total, Reason.POPULAR, shop.segment if product in shop.popular else ""
    return Recommendation(product, known.name, known.category, total, reason, because, probability)


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
