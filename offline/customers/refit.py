"""Learns all that is foretold of customers from what all of them bought: a fit, and the segment of each customer."""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

import numpy as np

from offline.customers import baskets, consuming, fitting, grouping
from offline.customers.forecast import back_test
from offline.customers.purchases import EPOCH_DAY, Purchases, summed
from services.customers.domain import basket, consumption, fit, migration, performance, segments
from services.customers.domain.consumption import Bought, Consumption
from services.customers.domain.fit import ALL_SEGMENTS, Fit
from services.customers.domain.forecast import DAYS_PER_WEEK
from services.customers.domain.groups import Groups
from services.customers.domain.purchases import History
from services.customers.domain.recommendations import Product
from services.customers.domain.repeats import Histories
from services.customers.domain.spending import Spending

_MOST_PRODUCTS: Final = 5_000
_TOGETHER: Final = 10
_POPULAR: Final = 100
_OFFERED_DAYS: Final = 90
_SEED: Final = 1
_NOTHING: Final = Consumption(1, 1.0, 1e-6, {}, {})
"""How often products are needed where no order says what was in it."""


class Before(NamedTuple):
    """Where customers were in the fit before: the segment of each, how many were erased since, and the groups.

    `inside` is the group of each customer who was in one, and `erased_groups` how many of each were erased since.
    """

    members: Mapping[str, str]
    erased: Mapping[str, int]
    groups: Groups | None = None
    inside: Mapping[str, str] = {}
    erased_groups: Mapping[str, int] = {}


class Refit(NamedTuple):
    """A fit, the segment of each customer, and the group of each who is in one."""

    fit: Fit
    members: Mapping[str, str]
    inside: Mapping[str, str]


def refitted(
    histories: Mapping[str, History], today: int, before: Before, catalogue: AbstractSet[str] | None, now_ms: int
) -> Refit:
    """Learns from what customers bought until a day.

    Args:
        histories: what each bought.
        today: the last day that is known completely, in days since 1970.
        before: where customers were in the fit before.
        catalogue: products that can be bought; None: those that anybody bought in the 90 days before `today`.
        now_ms: the time of the fit, in milliseconds since 1970.

    Raises:
        FitError: fewer than 30 customers bought, or nobody again.
    """
    known = {name: early for name, of in sorted(histories.items()) if (early := _until(of, today))}
    orders = {name: found for name, of in known.items() if (found := fit.orders_of(of))}
    of_all = Histories(
        np.array([each.days - 1.0 for each in orders.values()]),
        np.array([(each.last - each.first) / DAYS_PER_WEEK for each in orders.values()]),
        np.array([(today - each.first) / DAYS_PER_WEEK for each in orders.values()]),
    )
    buys = fitting.repeats(of_all)
    cuts = segments.cuts(
        np.array([each.last for each in orders.values()]), np.array([each.days for each in orders.values()]), today
    )
    members = {name: segments.segment_of(cuts, today - each.last, each.days) for name, each in orders.items()}
    currencies = Counter(each.currency for each in orders.values())
    currency = min(currencies, key=lambda each: (-currencies[each], each))
    alike = [name for name, each in orders.items() if each.currency == currency]
    bought = {name: of for name in orders if (of := consumption.bought(known[name]))}
    counts = Counter(each.product for of in bought.values() for each in of)
    kept = set(basket.first(counts, _MOST_PRODUCTS))
    learnt = consuming.fitted(list(bought.values()), today) if bought else _NOTHING
    alike_groups = grouping.grouped(
        [fit.customer(orders[name], today) for name in alike], [members[name] for name in alike], before.groups, _SEED
    )
    inside = {name: fit.group_of(alike_groups, currency, orders[name], today) for name in alike if alike_groups}
    return Refit(
        Fit(
            fitted_ms=now_ms,
            today=today,
            customers=len(orders),
            buys=buys,
            intervals=fitting.repeats_intervals(buys, of_all),
            spends=_spends(orders),
            back_test=_tested(known, today),
            cuts=cuts,
            consumption=learnt._replace(products={name: learnt.products[name] for name in sorted(kept)}),
            products=_products(bought, kept, today, catalogue),
            together=_together(known, kept),
            popular=_popular(bought, members),
            members={name: sum(each == name for each in members.values()) for name in segments.SEGMENTS},
            moved=migration.moved(before.members, before.erased, members),
            groups=alike_groups,
            currency=currency,
            moved_groups=_moved_groups(before, members, inside),
            windows=_windows(known, members, cuts, today),
        ),
        members,
        inside,
    )


def _moved_groups(before: Before, members: Mapping[str, str], inside: Mapping[str, str]) -> migration.Moved:
    if not inside and not before.inside:
        return {}
    was, now = (
        {name: of.get(name, migration.NO_GROUP) for name in all_of}
        for all_of, of in ((before.members, before.inside), (members, inside))
    )
    return migration.moved(was, before.erased_groups, now)


def _windows(
    known: Mapping[str, History], members: Mapping[str, str], cuts: segments.Cuts, today: int
) -> tuple[performance.Window, ...]:
    found = performance.Performances(cuts, today)
    for name, segment in members.items():
        found.add(segment, known[name])
    return found.windows()


def _until(history: History, today: int) -> History:
    return tuple(order for order in history if consumption.day_of(order.at) <= today)


def _spends(orders: Mapping[str, fit.Orders]) -> Mapping[str, Spending]:
    """How customers spend, by currency, where enough of them bought again."""
    found = {}
    for currency in sorted({each.currency for each in orders.values()}):
        of = [each for each in orders.values() if each.currency == currency and each.repeats_paid]
        try:
            found[currency] = fitting.spending(
                np.array([float(each.repeats_paid) for each in of]), np.array([each.repeat_mean for each in of])
            )
        except fitting.FitError:
            continue
    return found


def _tested(known: Mapping[str, History], today: int) -> fit.BackTest | None:
    found = back_test(_purchases(known), today + EPOCH_DAY)
    return found and fit.BackTest(found.expected, found.happened, found.error, found.naive_error)


def _purchases(known: Mapping[str, History]) -> Purchases:
    days: dict[tuple[str, int], list[float]] = {}
    for name, history in known.items():
        for order in history:
            if not order.refund:
                day = consumption.day_of(order.at) + EPOCH_DAY
                days.setdefault((name, day), []).append(max(order.amount, 0.0))
    return summed(days, 0)


def _products(
    bought: Mapping[str, tuple[Bought, ...]], kept: AbstractSet[str], today: int, catalogue: AbstractSet[str] | None
) -> Mapping[str, Product]:
    last: dict[str, int] = {}
    words: dict[str, tuple[str, str]] = {}
    for of in bought.values():
        for each in of:
            if each.product in kept and each.days[-1] >= last.get(each.product, each.days[-1]):
                last[each.product] = each.days[-1]
                words[each.product] = each.name, each.category
    return {
        name: Product(*words[name], offered=name in catalogue if catalogue is not None else today - day < _OFFERED_DAYS)
        for name, day in sorted(last.items())
    }


def _together(known: Mapping[str, History], kept: AbstractSet[str]) -> basket.Together:
    baskets_of_all = (
        [line.product for line in order.lines if line.product in kept]
        for history in known.values()
        for order in history
        if not order.refund
    )
    found = basket.together(baskets_of_all)
    return {name: {other: beside[other] for other in basket.first(beside, _TOGETHER)} for name, beside in found.items()}


def _popular(bought: Mapping[str, tuple[Bought, ...]], members: Mapping[str, str]) -> Mapping[str, Mapping[str, float]]:
    found = {ALL_SEGMENTS: baskets.popular(bought.values(), _POPULAR)}
    for segment in segments.SEGMENTS:
        inside = [of for name, of in bought.items() if members[name] == segment]
        if inside:
            found[segment] = baskets.popular(inside, _POPULAR)
    return found
