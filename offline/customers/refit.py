"""Learns all that is foretold of customers from what all of them bought: a fit, and the segment of each customer."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from offline.customers import baskets, consuming, fitting, forecast, grouping, markets, summaries
from offline.customers.baskets import Told
from offline.customers.members import Defaulted, Members
from offline.customers.purchases import PurchaseError
from offline.customers.summaries import Detailed, Known, Orders, Summed, Words
from services.customers.domain import basket, consumption, fit, migration, segments
from services.customers.domain.basket import Market
from services.customers.domain.consumption import Consumption
from services.customers.domain.fit import ALL_SEGMENTS, Fit, NextBasket
from services.customers.domain.forecast import DAYS_PER_WEEK
from services.customers.domain.groups import Customer, Groups, group_of
from services.customers.domain.purchases import History
from services.customers.domain.recommendations import Product
from services.customers.domain.repeats import Histories
from services.customers.domain.spending import Spending

_MOST_PRODUCTS: Final = 5_000
_MOST_PAIRS: Final = 500_000
"""Pairs of customers and products from which the waits between purchases are learnt, if there are more."""
_MOST_TESTED: Final = 15_000
"""Pairs of customers and products that test how next baskets are told, if there are more."""
_POPULAR: Final = 100
_OFFERED_DAYS: Final = 90
_SEED: Final = 1
_NOTHING: Final = Consumption(1, 1.0, 1e-6, {}, {})
"""How often products are needed where no order says what was in it."""


class Source(Protocol):
    """What customers bought, in parts: each customer is in one of them, and in the same at each reading."""

    def summed(self, limit: int) -> Iterable[Summed]:
        """The first reading of each part, to be read once: orders after the day `limit` do not count."""

    def detailed(self, known: Known) -> Iterable[Detailed]:
        """The second reading of each part, in the order of the first, to be read once."""


class Whole(NamedTuple):
    """What customers bought, in memory and in one part."""

    histories: Mapping[str, History]

    def summed(self, limit: int) -> Sequence[Summed]:
        """See `Source`."""
        return [summaries.summed(sorted(self.histories.items()), limit)]

    def detailed(self, known: Known) -> Sequence[Detailed]:
        """See `Source`."""
        return [summaries.detailed(sorted(self.histories.items()), known)]


class Before(NamedTuple):
    """Where customers were in the fit before: the segment of each, how many were erased since, and the groups.

    `grouped` is the group of each customer who was in one, and `erased_groups` how many of each were erased since.
    """

    members: Mapping[str, str]
    erased: Mapping[str, int]
    groups: Groups | None = None
    grouped: Mapping[str, str] = {}
    erased_groups: Mapping[str, int] = {}


class Refit(NamedTuple):
    """A fit, the segment of each customer, and the group of each who is in one."""

    fit: Fit
    members: Mapping[str, str]
    grouped: Mapping[str, str]


def refitted(
    source: Source, until: int | None, before: Before, catalogue: AbstractSet[str] | None, now_ms: int
) -> Refit:
    """Learns from what customers bought until a day.

    Args:
        source: what each bought.
        until: the last day that is known completely, in days since 1970; None: that of the last order, at most today.
        before: where customers were in the fit before.
        catalogue: products that can be bought; None: those that anybody bought in the 90 days before that day.
        now_ms: the time of the fit, in milliseconds since 1970.

    Raises:
        PurchaseError: there is no order.
        FitError: fewer than 30 customers bought, or nobody again.
        Unavailable: the archive cannot be read, or somebody was erased between the readings.
    """
    now = consumption.day_of(now_ms)
    of, order = summaries.all_summed(source.summed(now if until is None else until))
    if of.latest is None:
        raise PurchaseError("The archive holds no purchase of this tenant.")
    today = min(of.latest, now) if until is None else until
    orders = of.orders
    of_all = Histories(
        orders.days.astype(float) - 1,
        (orders.last - orders.first) / DAYS_PER_WEEK,
        (today - orders.first) / DAYS_PER_WEEK,
    )
    buys = fitting.repeats(of_all)
    cuts = segments.cuts(orders.last.astype(np.int64), orders.days.astype(np.int64), today)
    inside = _inside(cuts, orders, today)
    pairs = sum(each.customers for each in of.again.values())
    known = Known(
        today,
        forecast.halfway(int(orders.first.min()), today),
        cuts,
        consuming.rates(of.again, today) if of.again else None,
        tuple(sorted(basket.first(of.buyers, _MOST_PRODUCTS))),
        *(min(most / pairs, 1.0) if pairs else 1.0 for most in (_MOST_PAIRS, _MOST_TESTED)),
    )
    more = summaries.all_detailed(source.detailed(known), order)
    members = Members(of.customers, inside, segments.SEGMENTS)
    counts = np.bincount(orders.currency, minlength=len(of.currencies))
    usual = int(counts.argmax())  # of equal ones the first by name
    alike = orders.currency == usual
    groups = grouping.grouped(
        np.column_stack([today - orders.last, orders.days, orders.mean])[alike], inside[alike], before.groups, _SEED
    )
    grouped = _grouped(groups, of.customers.filter(pa.array(alike)), orders, alike, today) if groups else {}
    told = baskets.told(dict(sorted(more.tested.items())), _SEED)
    learnt = consuming.shaped(known.pooled, more.pairs) if known.pooled else _NOTHING
    popular = {
        ALL_SEGMENTS: of.buyers,
        **{name: more.buyers[name] for name in segments.SEGMENTS if name in more.buyers},
    }
    return Refit(
        Fit(
            fitted_ms=now_ms,
            today=today,
            customers=len(of.customers),
            buys=buys,
            intervals=fitting.repeats_intervals(buys, of_all),
            spends=_spends(orders, of.currencies),
            back_test=_tested(more, known),
            cuts=cuts,
            consumption=learnt._replace(products={name: learnt.products[name] for name in known.kept}),
            products=_products(more.words, today, catalogue),
            together={},
            popular={segment: baskets.shares(counts, _POPULAR) for segment, counts in popular.items()},
            members={name: int((inside == at).sum()) for at, name in enumerate(segments.SEGMENTS)},
            moved=migration.moved(before.members, before.erased, members),
            groups=groups,
            currency=of.currencies[usual],
            moved_groups=_moved_groups(before, members, grouped),
            windows=more.brought.windows(),
            market=_market(of, more, known, pairs, told),
            next_basket=_next_basket(told) if told else None,
        ),
        members,
        grouped,
    )


def _inside(cuts: segments.Cuts, orders: Orders, today: int) -> npt.NDArray[np.uint8]:
    """The place of each customer's segment among `segments.SEGMENTS`."""
    places = {name: place for place, name in enumerate(segments.SEGMENTS)}
    found = (
        places[segments.segment_of(cuts, today - int(last), int(days))]
        for last, days in zip(orders.last, orders.days, strict=True)
    )
    return np.fromiter(found, np.uint8, orders.last.size)


def _grouped(
    by: Groups, customers: pa.LargeStringArray, orders: Orders, alike: npt.NDArray[np.bool_], today: int
) -> Mapping[str, str]:
    """The group of each of the customers who are `alike` in their currency."""
    places = {name: place for place, name in enumerate(by.names)}
    columns = zip(today - orders.last[alike], orders.days[alike], orders.mean[alike], strict=True)
    found = (places[group_of(by, Customer(float(since), float(days), float(mean)))] for since, days, mean in columns)
    return Members(customers, np.fromiter(found, np.uint8, len(customers)), by.names)


def _moved_groups(before: Before, members: Mapping[str, str], grouped: Mapping[str, str]) -> migration.Moved:
    if not grouped and not before.grouped:
        return {}
    return migration.moved(
        Defaulted(before.members, before.grouped, migration.NO_GROUP),
        before.erased_groups,
        Defaulted(members, grouped, migration.NO_GROUP),
    )


def _spends(orders: Orders, currencies: Sequence[str]) -> Mapping[str, Spending]:
    """How customers spend, by currency, where enough of them bought again."""
    found = {}
    for place, currency in enumerate(currencies):
        its = (orders.currency == place) & (orders.repeats_paid > 0)
        try:
            found[currency] = fitting.spending(orders.repeats_paid[its].astype(float), orders.repeat_mean[its])
        except fitting.FitError:
            continue
    return found


def _tested(more: Detailed, known: Known) -> fit.BackTest | None:
    halves, split = more.halves, known.split
    early = halves.early > 0
    if not halves.late.any():
        return None
    of = Histories(
        halves.early[early].astype(float) - 1,
        (halves.last - halves.first)[early] / DAYS_PER_WEEK,
        (split - halves.first)[early] / DAYS_PER_WEEK,
    )
    found = forecast.tested(of, halves.late[early].astype(float), split, known.today)
    return found and fit.BackTest(found.expected, found.happened, found.error, found.naive_error)


def _products(words: Mapping[str, Words], today: int, catalogue: AbstractSet[str] | None) -> Mapping[str, Product]:
    def is_offered(product: str, last: int) -> bool:
        return product in catalogue if catalogue is not None else today - last < _OFFERED_DAYS

    return {
        product: Product(its.name, its.category, offered=is_offered(product, its.day))
        for product, its in sorted(words.items())
    }


def _market(of: Summed, more: Detailed, known: Known, pairs: int, told: Told | None) -> Market:
    purchases = pairs + sum(each.purchases for each in of.again.values())
    found = markets.market(more.tried, purchases, of.orders.first, _together(more, known.kept), known.today)
    return found._replace(habit=told.habit) if told else found


def _next_basket(told: Told) -> NextBasket:
    gain = told.gains.all
    return NextBasket(told.cut, told.customers, told.ours.all, told.personal.all, gain.lower, gain.upper)


def _together(more: Detailed, kept: Sequence[str]) -> basket.Together:
    """For each product those that are bought with it most; the pairs are looked up from both sides."""
    of = more.together
    one, other = np.divmod(of.places, max(len(kept), 1))
    sides, others = np.concatenate([one, other]), np.concatenate([other, one])
    order = np.argsort(sides, kind="stable")
    starts = np.searchsorted(sides[order], np.arange(len(kept) + 1))
    counts = np.concatenate([of.baskets, of.baskets])
    sums = np.zeros(len(kept), np.int64)
    np.add.at(sums, sides, counts)
    by_product, total = dict(zip(kept, sums.tolist(), strict=True)), int(sums.sum())
    found = {}
    for place, product in enumerate(kept):
        its = order[starts[place] : starts[place + 1]]
        beside = {kept[at]: int(count) for at, count in zip(others[its], counts[its], strict=True)}
        if nearest := basket.nearest(product, beside, by_product, total) if beside else {}:
            found[product] = nearest
    return found
