"""How a customer's history grows: by purchases and refunds that come late, twice, or in any order.

What is kept is a function of the set of events alone, as long as a customer has no more than `ORDERS_KEPT` orders:
any order of arrival and any repetition gives the same bits. Of customers with more, the latest are kept whole and the
others as sums; an event that arrives once its order is among the sums counts as an order of its own.

Money is decimal, in millionths, so that sums are exact.
"""

import itertools
import statistics
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from services.customers.domain.purchases import History, Line, Order
from services.customers.domain.traits import Trait

ORDERS_KEPT: Final = 200
"""Orders that are kept with their lines; of older ones only sums are."""
LINES_KEPT: Final = 50
"""Lines that are kept of a purchase or a refund, the first."""
REFUNDS_KEPT: Final = 50
"""Refunds that count for one order, the first."""

_MILLIONTH: Final = Decimal("0.000001")
_NONE: Final = Decimal(0)
_DAY_MS: Final = 86_400_000


class Report(msgspec.Struct, array_like=True, frozen=True, order=True):
    """What an event says of an order. A refund's amount is positive; None if it says only that money went back."""

    at: int
    event: str
    amount: Decimal | None
    currency: str
    lines: tuple[Line, ...]


class Entry(msgspec.Struct, array_like=True):
    """An order: the report of it that counts, None while only refunds have come; its refunds, the earliest first."""

    bought: Report | None = None
    refunds: list[Report] = []


class Sums(msgspec.Struct, array_like=True):
    """Orders that are no longer kept whole, of one currency: how many, what they brought, and what went back."""

    orders: int = 0
    amount: Decimal = _NONE
    refunded: Decimal = _NONE


class Purchased(msgspec.Struct, array_like=True):
    """All that is kept of a customer.

    `entries` are by the order's id; `older` are sums by currency. `first` is the time of the first order among the
    sums, in milliseconds since 1970; 0 if there is none. `traits` are by name.
    """

    entries: dict[str, Entry] = {}
    older: dict[str, Sums] = {}
    first: int = 0
    traits: dict[str, Trait] = {}


class Bought(NamedTuple):
    """A purchase or a refund, as an event tells it.

    `event` is its id, of a copy that of the original. `at` is milliseconds since 1970. `amount` is below 0, or 0 if
    unknown, for a refund. `order` and `currency` may be empty.
    """

    event: str
    at: int
    order: str
    amount: float
    currency: str
    is_refund: bool
    lines: tuple[Line, ...]


def add(to: Purchased, bought: Bought) -> None:
    """Adds a purchase or a refund; one that was added before changes nothing."""
    order = bought.order or bought.event
    entry = to.entries.setdefault(order, Entry(None, []))
    amount = Decimal(repr(bought.amount)).quantize(_MILLIONTH)
    lines = bought.lines[:LINES_KEPT]
    if bought.is_refund:
        report = Report(bought.at, bought.event, -amount if amount else None, bought.currency, lines)
        known = {each.event: each for each in entry.refunds}
        known[report.event] = min(report, known.get(report.event, report), key=_when)
        entry.refunds = sorted(known.values(), key=_when)[:REFUNDS_KEPT]
    else:
        report = Report(bought.at, bought.event, amount, bought.currency, lines)
        entry.bought = min(report, entry.bought or report, key=_weight)
    if len(to.entries) > ORDERS_KEPT:
        _let_go(to)


def history(of: Purchased) -> History:
    """The orders that are kept whole."""
    return tuple(sorted((order for name, each in of.entries.items() for order in _orders(name, each)), key=_place))


class Money(NamedTuple):
    """What a customer brought in one currency, empty if unknown.

    `orders` are purchases that were not given back whole; `amount` is what they brought less all that went back,
    `refunded` what went back.
    """

    currency: str
    orders: int
    amount: float
    refunded: float


class Facts(NamedTuple):
    """A customer in figures, over all time.

    `orders` are purchases that were not given back whole. `first` and `last` are their times in milliseconds since
    1970, 0 if there is none. `cadence_days` is the mean time between two orders, `usual_days` the median between those
    that are kept whole; None below two orders. `money` is by currency, in their order.
    """

    orders: int
    first: int
    last: int
    cadence_days: float | None
    usual_days: float | None
    money: tuple[Money, ...]


def facts(of: Purchased) -> Facts:
    """The figures of a customer."""
    sums = {currency: Sums(each.orders, each.amount, each.refunded) for currency, each in of.older.items()}
    for name, entry in of.entries.items():
        _count(sums, name, entry)
    times = sorted(each.at for each in history(of) if not each.refund)
    first = min(filter(None, (of.first, *times[:1])), default=0)
    last = times[-1] if times else of.first
    orders = sum(each.orders for each in sums.values())
    gaps = [(after - before) / _DAY_MS for before, after in itertools.pairwise(times)]
    return Facts(
        orders,
        first,
        last,
        (last - first) / _DAY_MS / (orders - 1) if orders > 1 else None,
        statistics.median(gaps) if gaps else None,
        tuple(
            Money(currency, each.orders, float(each.amount), float(each.refunded))
            for currency, each in sorted(sums.items())
        ),
    )


def _when(report: Report) -> tuple[object, ...]:
    return report.at, report.event, report.amount is None, report.amount or _NONE, report.currency, report.lines


def _weight(report: Report) -> tuple[object, ...]:
    """Of several reports of one order the first with lines counts."""
    return not report.lines, *_when(report)


def _place(order: Order) -> tuple[int, str]:
    return order.at, order.order


def _orders(name: str, entry: Entry) -> list[Order]:
    """An entry as orders: the purchase as it stands, and refunds that are none of it."""
    bought = entry.bought
    if bought is None:
        return [_alone(each, name if place == 0 else each.event) for place, each in enumerate(entry.refunds)]
    its, others = _matching(bought, entry.refunds)
    paid = bought.amount or _NONE
    left = _left(bought, its)
    kept = _kept_lines(bought.lines, its)
    is_returned = bool(its) and left <= _NONE and (paid > _NONE or not kept)
    whole = Order(
        name, bought.at, float(left if its else paid), bought.currency, is_returned, () if is_returned else kept
    )
    return [whole, *(_alone(each, each.event) for each in others)]


def _alone(refund: Report, name: str) -> Order:
    return Order(name, refund.at, float(-(refund.amount or _NONE)), refund.currency, refund=True, lines=())


def _matching(bought: Report, refunds: Iterable[Report]) -> tuple[list[Report], list[Report]]:
    """The refunds in the order's currency, or that name none; and the others."""
    its: list[Report] = []
    others: list[Report] = []
    for each in refunds:
        (its if each.currency in {"", bought.currency} or not bought.currency else others).append(each)
    return its, others


def _left(bought: Report, refunds: Iterable[Report]) -> Decimal:
    """What is left of an order after refunds, 0 or more: nobody gets back more than they paid."""
    left = paid = bought.amount or _NONE
    prices = {line.product: line.price for line in bought.lines}
    for each in refunds:
        if each.amount is not None:
            left -= each.amount
        elif each.lines:
            left -= sum((_worth(line, prices) for line in each.lines), _NONE)
        else:
            left -= paid
    return max(left, _NONE)


def _worth(line: Line, prices: Mapping[str, float]) -> Decimal:
    price = line.price or prices.get(line.product, 0.0)
    return (Decimal(repr(price)) * line.quantity).quantize(_MILLIONTH)


def _kept_lines(lines: Iterable[Line], refunds: Iterable[Report]) -> tuple[Line, ...]:
    """The lines less what was given back."""
    back: dict[str, int] = {}
    for line in (line for each in refunds for line in each.lines):
        back[line.product] = back.get(line.product, 0) + line.quantity
    kept = []
    for line in lines:
        taken = min(line.quantity, back.get(line.product, 0))
        if taken:
            back[line.product] -= taken
        if taken < line.quantity:
            kept.append(line._replace(quantity=line.quantity - taken))
    return tuple(kept)


def _count(sums: dict[str, Sums], name: str, entry: Entry) -> None:
    """Adds an entry to the sums of its currencies."""
    bought = entry.bought
    for each in _orders(name, entry):
        its = sums.setdefault(each.currency, Sums())
        amount = Decimal(repr(each.amount)).quantize(_MILLIONTH)
        is_whole = bought is not None and each.order == name
        its.orders += not each.refund
        its.amount += amount
        its.refunded += ((bought.amount or _NONE) if bought is not None and is_whole else _NONE) - amount


def _let_go(of: Purchased) -> None:
    """Turns the earliest entry into sums."""
    name = min(of.entries, key=lambda each: (_began(of.entries[each]), each))
    entry = of.entries.pop(name)
    _count(of.older, name, entry)
    times = [each.at for each in _orders(name, entry) if not each.refund]
    of.first = min(filter(None, (of.first, *times)), default=0)


def _began(entry: Entry) -> int:
    return entry.bought.at if entry.bought else entry.refunds[0].at
