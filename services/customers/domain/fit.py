"""What was learnt from all customers of a tenant, and what it foretells of one of them."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from services.customers.domain import basket, consumption, groups, recommendations, repeats, segments, spending
from services.customers.domain.basket import NO_MARKET, Market, Together
from services.customers.domain.consumption import Consumption, Due
from services.customers.domain.forecast import DAYS_PER_WEEK
from services.customers.domain.groups import Customer, Groups
from services.customers.domain.migration import Moved
from services.customers.domain.performance import Window
from services.customers.domain.purchases import History
from services.customers.domain.recommendations import Product, Recommendation, Shop
from services.customers.domain.repeats import Column, Histories, Repeats
from services.customers.domain.segments import NAMES, Cuts
from services.customers.domain.spending import Spending

HORIZONS: Final = (30, 90, 365)
"""Days to look ahead."""
ALL_SEGMENTS: Final = ""
"""The segment whose popular products are those of all customers."""
_DRAWS: Final = 1_000
_TAILS: Final = (10, 90)


class BackTest(NamedTuple):
    """How the same model, fitted on the first half of the time, told the second: orders of all, errors per customer.

    `naive_error` is the error if all customers go on at their own rate.
    """

    expected: float
    happened: int
    error: float
    naive_error: float


class NextBasket(NamedTuple):
    """How baskets of `customers` after the day `cut` were told, each from what was bought until its window began.

    `recall` is the share of a basket's products that is among ten told, a mean over baskets; `personal` is that of
    what each customer bought most often. `lower` and `upper` are the ends of an interval of 95 % of their difference.
    """

    cut: int
    customers: int
    recall: float
    personal: float
    lower: float
    upper: float


class Fit(NamedTuple):
    """What was learnt until a day, from all customers of a tenant; grows at its end.

    `today` is that day, in days since 1970, and `fitted_ms` when it was learnt, in milliseconds since 1970. `spends` is
    by currency, of those in which enough customers bought again. `intervals` are of r, alpha, a and b, 80 %.
    `popular` is by segment: the shares of the products that most of its customers buy.
    """

    fitted_ms: int
    today: int
    customers: int
    buys: Repeats
    intervals: tuple[tuple[float, float], ...]
    spends: Mapping[str, Spending]
    back_test: BackTest | None
    cuts: Cuts
    consumption: Consumption
    products: Mapping[str, Product]
    together: Together
    """What earlier versions read; empty."""
    popular: Mapping[str, Mapping[str, float]]
    members: Mapping[str, int]
    """How many customers each segment has."""
    moved: Moved
    """Customers by the segment that they had in the fit before, and by that of now; see `migration`."""
    groups: Groups | None = None
    """Groups of customers who are alike; None if they are too few or all alike."""
    currency: str = ""
    """The currency of most customers. Only customers of this one are grouped."""
    moved_groups: Moved = {}  # noqa: RUF012 - a value
    """As `moved`, by group; empty if there were no groups and are none."""
    windows: tuple[Window, ...] = ()
    """What the segments brought."""
    market: Market = NO_MARKET
    """What all customers buy; earlier versions did not learn it."""
    next_basket: NextBasket | None = None
    """How next baskets were told; None if there was too little to compare."""


class Span(NamedTuple):
    """The ends of an interval of 80 %."""

    lower: float
    upper: float


class Horizon(NamedTuple):
    """Orders and money expected in the next `days`; money is None where too little is known of it."""

    days: int
    orders: float
    orders_span: Span
    money: float | None
    money_span: Span | None


class Foretold(NamedTuple):
    """What is expected of a customer. `active` is None with orders on one day only: it cannot be known.

    `group` is empty if customers are not grouped, or those of this currency are not. `currency` is that of the money:
    the one of most of the customer's orders.
    """

    segment: str
    group: str
    active: float | None
    currency: str
    horizons: tuple[Horizon, ...]
    due: tuple[Due, ...]


class Orders(NamedTuple):
    """A customer's orders by day: on how many `days`, at least one; the `first` and the `last`, in days since 1970.

    `currency` is that of most orders, and `mean` what a day with orders brought in it; `repeats_paid` is how many days
    after the first brought money in it, and `repeat_mean` how much each, 0 if none did.
    """

    days: int
    first: int
    last: int
    currency: str
    mean: float
    repeats_paid: int
    repeat_mean: float


def orders_of(history: History) -> Orders | None:
    """Sums up a history by day; None if nothing was bought. The day of the first order counts for no mean."""
    bought = [order for order in history if not order.refund]
    if not bought:
        return None
    days = sorted({consumption.day_of(order.at) for order in bought})
    currencies = [order.currency for order in bought]
    currency = min(set(currencies), key=lambda each: (-currencies.count(each), each))
    paid: dict[int, float] = {}
    for order in bought:
        if order.currency == currency:
            day = consumption.day_of(order.at)
            paid[day] = paid.get(day, 0.0) + order.amount
    later = [amount for day, amount in paid.items() if amount > 0 and day > days[0]]
    repeat_mean = sum(later) / len(later) if later else 0.0
    return Orders(len(days), days[0], days[-1], currency, sum(paid.values()) / len(paid), len(later), repeat_mean)


class Place(NamedTuple):
    """Where a customer belongs, and why: the scores for recency and frequency, 1 to 5, and what they are scored by.

    `group` is empty if customers are not grouped, or those of this currency are not.
    """

    segment: str
    group: str
    recency: int
    frequency: int
    days_since: int
    order_days: int


def place_of(fit: Fit, history: History, today: int) -> Place | None:
    """Where a customer belongs by the cuts and centres of the fit; None if nothing was bought.

    A history that goes further than `today`, in days since 1970, is seen from its last day.
    """
    orders = orders_of(history)
    return _place(fit, orders, max(today, orders.last)) if orders else None


def group_of(by: Groups | None, currency: str, orders: Orders, today: int) -> str:
    """The group of a customer; empty if there are none, or the customer pays in another currency than `currency`."""
    if not by or orders.currency != currency:
        return ""
    return groups.group_of(by, customer(orders, today))


def customer(orders: Orders, today: int) -> Customer:
    """What a customer is grouped by."""
    return Customer(float(today - orders.last), float(orders.days), orders.mean)


def foretold(fit: Fit, history: History, today: int, due_days: int, seed: int) -> Foretold | None:
    """What is expected of a customer from `today` on; None if nothing was bought.

    Args:
        fit: what was learnt from all.
        history: what the customer bought.
        today: in days since 1970; a history that goes further is seen from its last day.
        due_days: how far to look ahead for single products.
        seed: of the draws of the intervals; the same seed gives the same bits.
    """
    orders = orders_of(history)
    if not orders:
        return None
    today = max(today, orders.last)
    place = _place(fit, orders, today)
    watched, last = ((day - orders.first) / DAYS_PER_WEEK for day in (today, orders.last))
    of = Histories(np.array([orders.days - 1.0]), np.array([last]), np.array([watched]))
    spends = fit.spends.get(orders.currency)
    chance = np.random.default_rng(seed)
    return Foretold(
        place.segment,
        place.group,
        float(repeats.probability_active(fit.buys, of)[0]) if orders.days > 1 else None,
        orders.currency,
        tuple(_horizon(fit.buys, spends, of, orders, days, chance) for days in HORIZONS),
        consumption.due(fit.consumption, history, today, due_days),
    )


def recommended(fit: Fit, history: History, today: int, days: int, count: int) -> tuple[Recommendation, ...]:
    """What to recommend to a customer, best first; also to one who bought nothing."""
    place = place_of(fit, history, today)
    segment = place.segment if place else ""
    popular = fit.popular.get(segment) or fit.popular.get(ALL_SEGMENTS, {})
    of = consumption.bought(history)
    today = max([today, *(each.days[-1] for each in of)])
    shop = Shop(fit.products, popular, segment)
    due = consumption.due(fit.consumption, history, today, days)
    return recommendations.recommended(shop, of, basket.scores(fit.market, fit.consumption, of, today), due, count)


def _place(fit: Fit, orders: Orders, today: int) -> Place:
    days_since = today - orders.last
    recency, frequency = segments.scored(fit.cuts, days_since, orders.days)
    group = group_of(fit.groups, fit.currency, orders, today)
    return Place(NAMES[recency, frequency], group, recency, frequency, days_since, orders.days)


def _horizon(
    buys: Repeats, spends: Spending | None, of: Histories, orders: Orders, days: int, chance: np.random.Generator
) -> Horizon:
    weeks = days / DAYS_PER_WEEK
    expected = float(repeats.expected(buys, of, weeks)[0])
    drawn = repeats.drawn(buys, of, weeks, _DRAWS, chance)[:, 0]
    if not spends:
        return Horizon(days, expected, _span(drawn.astype(float)), None, None)
    each = spending.expected(spends, np.array([float(orders.repeats_paid)]), np.array([orders.repeat_mean]))
    money = spending.drawn(spends, orders.repeats_paid, orders.repeat_mean, drawn, chance)
    return Horizon(days, expected, _span(drawn.astype(float)), expected * float(each[0]), _span(money))


def _span(drawn: Column) -> Span:
    lower, upper = np.percentile(drawn, _TAILS)
    return Span(float(lower), float(upper))
