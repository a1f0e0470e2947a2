"""A shop whose customers buy as drawn, and what is learnt of it."""

import numpy as np

from offline.customers import refit
from offline.customers.refit import Before, Refit, Whole
from services.customers.domain.purchases import History, Line, Order

DAY_MS = 86_400_000
TODAY = 20_000
"""In days since 1970."""
NOW_MS = TODAY * DAY_MS
NOBODY = Before({}, {})


def shop(customers: int = 40, seed: int = 1) -> dict[str, History]:
    """Customers of a tenant without a name, who buy staples of their own out of 20 products in 4 categories."""
    chance = np.random.default_rng(seed)
    found: dict[str, History] = {}
    for number in range(customers):
        staples = chance.choice(20, 3, replace=False)
        gap = float(chance.gamma(2.0, 15.0)) + 3
        day = float(TODAY - chance.integers(20, 360))
        orders: list[Order] = []
        while day <= TODAY and len(orders) < 40:
            products = sorted({int(each) for each in chance.choice(staples, 2)})
            lines = tuple(Line(f"p{each}", f"Product {each}", f"c{each % 4}", 1, 5.0) for each in products)
            orders.append(Order(f"o{len(orders)}", int(day) * DAY_MS, 5.0 * len(lines), "EUR", False, lines))
            if chance.random() < 0.08:
                break
            day += max(1.0, float(chance.exponential(gap)))
        found[f"user-{number:03}"] = tuple(orders)
    return found


def learnt(before: Before = NOBODY, catalogue: frozenset[str] | None = None, customers: int = 40) -> Refit:
    """What is learnt of the shop."""
    return refit.refitted(Whole(shop(customers)), TODAY, before, catalogue, NOW_MS)
