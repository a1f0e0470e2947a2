"""What is summed up of customers, part by part: compact, and merged to the same bits whatever the parts are.

All are read twice. The first reading tells of each customer what the models of orders, money and segments need, and of
each product how often it was bought again; the second, which knows these, tells what depends on them.
"""

import itertools
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mesh.errors import Unavailable
from offline.customers import consuming, markets
from offline.customers.consuming import Again, Pairs
from services.customers.domain import basket, consumption, fit, performance, segments
from services.customers.domain.consumption import Bought, Consumption
from services.customers.domain.performance import Performances
from services.customers.domain.purchases import History
from services.customers.domain.repeats import Column, Counts
from services.customers.domain.segments import Cuts

_PAIRS_AT_ONCE: Final = 1 << 20
_HASHES: Final = 1 << 32

Days = npt.NDArray[np.int32]


class Orders(NamedTuple):
    """`fit.Orders` of customers, column by column; `currency` is a place in `currencies`."""

    days: Days
    first: Days
    last: Days
    currency: Days
    mean: Column
    repeats_paid: Days
    repeat_mean: Column


class Summed(NamedTuple):
    """What the first reading tells of some customers, who are those with an order, ordered by their ids.

    `latest` is the day of the last order of anybody, also after the limit; None if there is none. `buyers` counts the
    customers of each product.
    """

    customers: pa.LargeStringArray
    orders: Orders
    currencies: tuple[str, ...]
    latest: int | None
    buyers: Mapping[str, int]
    again: consuming.Agains


class Known(NamedTuple):
    """What the second reading knows from the first.

    `pooled` is how often products are needed, None if nothing says what was in an order. `kept` are the products that
    are learnt of, by id. Of the pairs of customers and products a `share` is taken, by customer. `split` ends the
    first half of the time. A share `tested` of the customers, 0 to 1, tests how next baskets are told.
    """

    today: int
    split: int
    cuts: Cuts
    pooled: Consumption | None
    kept: tuple[str, ...]
    share: float
    tested: float


class Words(NamedTuple):
    """What a product was called last, on which day, and by whose order: the greatest counts."""

    day: int
    customer: str
    name: str
    category: str


class Halves(NamedTuple):
    """Of each customer: on how many days they bought until the split, on which first and last, and on how many after.

    Of who had not bought by then, the first three are 0.
    """

    early: Days
    first: Days
    last: Days
    late: Days


class Together(NamedTuple):
    """How many baskets have two products, by the lower place in `kept` times their number plus the higher one."""

    places: Counts
    baskets: Counts


class Detailed(NamedTuple):
    """What the second reading tells of some customers, in the order of the first.

    `of` is the customer of each pair. `buyers` counts the customers of each product, by segment; `brought` sums up what
    segments brought. `tried` has the weights of first purchases (`markets.tries`), and `tested` what customers bought
    with whom it is tested how next baskets are told.
    """

    halves: Halves
    pairs: Pairs
    of: Days
    together: Together
    buyers: Mapping[str, Mapping[str, int]]
    words: Mapping[str, Words]
    brought: Performances
    tried: Mapping[str, int]
    tested: Mapping[str, Sequence[Bought]]


def summed(histories: Iterable[tuple[str, History]], limit: int) -> Summed:
    """The first reading of some customers, in the order of their ids; orders after the day `limit` do not count."""
    customers, rows, currencies = list[str](), list[fit.Orders](), dict[str, int]()
    latest, buyers, again = list[int](), Counter[str](), dict[tuple[str, str], Again]()
    for customer, whole in histories:
        latest = [max(latest + [consumption.day_of(order.at) for order in whole])] if whole else latest
        history = until(whole, limit)
        orders = fit.orders_of(history)
        if not orders:
            continue
        customers.append(customer)
        rows.append(orders)
        currencies.setdefault(orders.currency, len(currencies))
        bought = consumption.bought(history)
        buyers.update(each.product for each in bought)
        consuming.add(again, bought)
    columns = zip(*rows, strict=True) if rows else itertools.repeat((), len(Orders._fields))
    days, first, last, currency, mean, paid, repeat_mean = columns
    return Summed(
        pa.array(customers, pa.large_string()),
        Orders(
            days=np.array(days, np.int32),
            first=np.array(first, np.int32),
            last=np.array(last, np.int32),
            currency=np.array([currencies[each] for each in currency], np.int32),
            mean=np.array(mean, float),
            repeats_paid=np.array(paid, np.int32),
            repeat_mean=np.array(repeat_mean, float),
        ),
        tuple(currencies),
        latest[0] if latest else None,
        buyers,
        again,
    )


def detailed(histories: Iterable[tuple[str, History]], known: Known) -> Detailed:
    """The second reading of some customers, in the order of their ids."""
    halves: list[tuple[int, int, int, int]] = []
    pairs, of = array("d"), array("i")
    together, buyers, words = _Baskets(known.kept), dict[str, Counter[str]](), dict[str, Words]()
    kept, brought = frozenset(known.kept), Performances(known.cuts, known.today)
    tried, tested = Counter[str](), dict[str, Sequence[Bought]]()
    for customer, whole in histories:
        history = until(whole, known.today)
        orders = fit.orders_of(history)
        if not orders:
            continue
        halves.append(_halves(history, known.split))
        together.add([line.product for line in order.lines] for order in history if not order.refund)
        segment = segments.segment_of(known.cuts, known.today - orders.last, orders.days)
        brought.add(segment, history)
        bought = consumption.bought(history)
        if not bought or known.pooled is None:
            continue
        buyers.setdefault(segment, Counter()).update(each.product for each in bought)
        _tell(words, customer, bought, kept)
        tried.update(markets.tries(bought, known.today))
        place = zlib.crc32(customer.encode())
        if place < known.tested * _HASHES:
            tested[customer] = [Bought(each.product, "", each.category, each.days) for each in bought]
        if place < known.share * _HASHES:
            for row in consuming.pairs(known.pooled, bought, known.today):
                pairs.extend(row)
                of.append(len(halves) - 1)
    return Detailed(
        Halves(*np.array(halves, np.int32).reshape(-1, 4).T),
        Pairs(*np.array(pairs, float).reshape(-1, len(Pairs._fields)).T),
        np.array(of, np.int32),
        together.found(),
        buyers,
        words,
        brought,
        tried,
        tested,
    )


def until(history: History, day: int) -> History:
    """The orders of a history up to and on a day since 1970."""
    return tuple(order for order in history if consumption.day_of(order.at) <= day)


def _halves(history: History, split: int) -> tuple[int, int, int, int]:
    days = {consumption.day_of(order.at) for order in history if not order.refund}
    early = [day for day in days if day <= split]
    return len(early), min(early, default=0), max(early, default=0), len(days) - len(early)


def _tell(words: dict[str, Words], customer: str, bought: Iterable[Bought], kept: AbstractSet[str]) -> None:
    for each in bought:
        if each.product in kept:
            its = Words(each.days[-1], customer, each.name, each.category)
            words[each.product] = max(its, words.get(each.product, its))


class _Baskets:
    """Counts the products of baskets, and pairs of them."""

    def __init__(self, kept: Sequence[str]) -> None:
        self._places = {product: place for place, product in enumerate(kept)}
        self._size = len(kept)
        self._pairs = array("q")
        self._found = _counted([])

    def add(self, baskets: Iterable[Iterable[str]]) -> None:
        """Counts baskets."""
        for each in baskets:
            places = [
                self._places[product] for product in basket.counted([name for name in each if name in self._places])
            ]
            self._pairs.extend(one * self._size + other for one, other in itertools.combinations(places, 2))
        if len(self._pairs) > _PAIRS_AT_ONCE:
            self._sum_up()

    def found(self) -> Together:
        """What was counted."""
        self._sum_up()
        return Together(*self._found)

    def _sum_up(self) -> None:
        places, counts = np.unique(np.array(self._pairs, np.int64), return_counts=True)
        self._found = _counted([self._found, (places, counts)])
        self._pairs = array("q")


def _counted(of: Sequence[tuple[Counts, Counts]]) -> tuple[Counts, Counts]:
    """Sums of counts, by place."""
    if not of:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    places, at = np.unique(np.concatenate([each[0] for each in of]), return_inverse=True)
    counts = np.zeros(places.size, np.int64)
    np.add.at(counts, at, np.concatenate([each[1] for each in of]))
    return places, counts


def all_summed(parts: Iterable[Summed]) -> tuple[Summed, Counts]:
    """The first reading of all, in the order of their ids, and at which place of the parts each of them was.

    What a part says of products is added up at once, so that of a part only its customers stay in memory.
    """
    customers, orders, currencies = list[pa.LargeStringArray](), list[Orders](), dict[str, int]()
    latest, buyers, again = list[int](), Counter[str](), dict[tuple[str, str], Again]()
    for part in parts:
        customers.append(part.customers)
        places = np.array([currencies.setdefault(name, len(currencies)) for name in part.currencies], np.int32)
        orders.append(part.orders._replace(currency=places[part.orders.currency]))
        latest += [] if part.latest is None else [part.latest]
        buyers.update(part.buyers)
        for key, its in part.again.items():
            again[key] = again[key] + its if key in again else its
    names = pa.concat_arrays(customers)
    order = np.asarray(pc.array_sort_indices(names)).astype(np.int64)
    of_all = Orders(*(np.concatenate(columns)[order] for columns in zip(*orders, strict=True)))
    sorted_currencies = sorted(currencies)
    by_name = np.array([sorted_currencies.index(name) for name in currencies], np.int32)
    return Summed(
        names.take(pa.array(order)),
        of_all._replace(currency=by_name[of_all.currency]),
        tuple(sorted_currencies),
        max(latest, default=None),
        buyers,
        again,
    ), order


def all_detailed(parts: Iterable[Detailed], order: Counts) -> Detailed:
    """The second reading of all, with the order of the first; what a part says of products is added up at once.

    Raises:
        Unavailable: the parts do not have the customers of the first reading.
    """
    halves, pairs, of, count = list[Halves](), list[Pairs](), list[Days](), 0
    together, brought = _counted([]), list[Performances]()
    buyers, words, tried = dict[str, Counter[str]](), dict[str, Words](), Counter[str]()
    tested: dict[str, Sequence[Bought]] = {}
    for part in parts:
        halves.append(part.halves)
        pairs.append(part.pairs)
        of.append(part.of + np.int32(count))
        count += part.halves.early.size
        together = _counted([together, part.together])
        brought.append(part.brought)
        for segment, counts in part.buyers.items():
            buyers.setdefault(segment, Counter()).update(counts)
        for product, its in part.words.items():
            words[product] = max(its, words.get(product, its))
        tried.update(part.tried)
        tested.update(part.tested)
    if count != order.size:
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "The archive has changed while it was read. Do it again.")
    rank = np.empty(order.size, np.int32)
    rank[order] = np.arange(order.size, dtype=np.int32)
    of_all = rank[np.concatenate(of)]
    by_customer = np.argsort(of_all, kind="stable")
    return Detailed(
        Halves(*(np.concatenate(columns)[order] for columns in zip(*halves, strict=True))),
        Pairs(*(np.concatenate(columns)[by_customer] for columns in zip(*pairs, strict=True))),
        of_all[by_customer],
        Together(*together),
        buyers,
        words,
        performance.merged(brought),
        +tried,
        tested,
    )
