"""What the customers of each segment bring in the days before a fit, and how many of them come again."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from services.customers.domain import consumption, segments
from services.customers.domain.purchases import History
from services.customers.domain.segments import SEGMENTS, Cuts

WINDOWS: Final = (30, 90, 365)
"""Days."""
_MILLION: Final = 1_000_000


class Performance(NamedTuple):
    """What a segment brought in a window.

    `orders` and `money`, by currency, are of who is in the segment at its end: orders that were not given back whole,
    and what was paid less what went back. `starting` is how many were in it when the window began, `returning` how many
    of these ordered in the window.
    """

    orders: int
    money: Mapping[str, float]
    starting: int
    returning: int


class Window(NamedTuple):
    """A window of so many days that ends with the last day of the fit, by segment: all eight, in their order."""

    days: int
    segments: Mapping[str, Performance]


class _Sums:
    def __init__(self) -> None:
        self.orders = self.starting = self.returning = 0
        # In millionths: whole numbers add up to the same in any order.
        self.money: dict[str, int] = {}

    def pay(self, currency: str, millionths: int) -> None:
        self.money[currency] = self.money.get(currency, 0) + millionths

    def add(self, other: "_Sums") -> None:
        self.orders += other.orders
        self.starting += other.starting
        self.returning += other.returning
        for currency, millionths in other.money.items():
            self.pay(currency, millionths)


class Performances:
    """Adds up customer by customer; their order changes nothing.

    Args:
        cuts: of the segments.
        today: the last day of the windows, in days since 1970.
    """

    def __init__(self, cuts: Cuts, today: int) -> None:
        self.cuts = cuts
        self.today = today
        self.sums = {(days, name): _Sums() for days in WINDOWS for name in SEGMENTS}

    def add(self, segment: str, history: History) -> None:
        """Adds a customer who is in a segment on the last day; no order of the history is later."""
        days = sorted({consumption.day_of(order.at) for order in history if not order.refund})
        for window in WINDOWS:
            start = self.today - window
            sums = self.sums[window, segment]
            for order in history:
                if consumption.day_of(order.at) > start:
                    sums.orders += not order.refund
                    sums.pay(order.currency, round(order.amount * _MILLION))
            before = [day for day in days if day <= start]
            if before:
                began = self.sums[window, segments.segment_of(self.cuts, start - before[-1], len(before))]
                began.starting += 1
                began.returning += len(before) < len(days)

    def windows(self) -> tuple[Window, ...]:
        """What was added."""
        return tuple(Window(days, {name: _told(self.sums[days, name]) for name in SEGMENTS}) for days in WINDOWS)


def merged(parts: Sequence[Performances]) -> Performances:
    """All that several have added up, at least one, of the same cuts and day."""
    found = Performances(parts[0].cuts, parts[0].today)
    for part in parts:
        for key, sums in part.sums.items():
            found.sums[key].add(sums)
    return found


def shares(of: Iterable[Performance]) -> list[Mapping[str, float]]:
    """The share of each segment in what all bring, by currency, 0 where that is not above 0."""
    each_of = [*of]
    totals: dict[str, float] = {}
    for each in each_of:
        for currency, amount in each.money.items():
            totals[currency] = totals.get(currency, 0.0) + amount
    return [
        {
            currency: amount / totals[currency] if totals[currency] > 0 else 0.0
            for currency, amount in each.money.items()
        }
        for each in each_of
    ]


def _told(of: _Sums) -> Performance:
    money = {currency: amount / _MILLION for currency, amount in sorted(of.money.items())}
    return Performance(of.orders, money, of.starting, of.returning)
