"""Reads purchases from a table, a row per line or order, and sums them up per customer and day."""

import contextlib
import csv
import datetime as dt
import gzip
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from services.customers.domain.forecast import DAYS_PER_WEEK
from services.customers.domain.repeats import Column, Histories

CUSTOMER_NAMES: Final = ("customer", "customerid", "user", "userid", "masterid", "householdid", "householdkey", "id")
TIME_NAMES: Final = ("date", "time", "timestamp", "invoicedate", "orderdate", "purchasedate", "transactiontimestamp")
AMOUNT_NAMES: Final = ("amount", "sales", "salesvalue", "total", "revenue", "value", "price")
QUANTITY_NAMES: Final = ("quantity", "qty", "units")
UNIT_PRICE_NAMES: Final = ("unitprice", "priceperunit", "itemprice")
EPOCH_DAY: Final = 719_163
"""1970-01-01 as `day_of` counts days."""

Row: TypeAlias = Mapping[str, str]


class PurchaseError(Exception):
    """The file is not a table of purchases; the message says what is wrong with it."""


class Columns(NamedTuple):
    """What the caller said about the columns; what is empty is found by name."""

    customer: str = ""
    time: str = ""
    amount: str = ""


class Purchases(NamedTuple):
    """Days on which customers bought, ordered by customer and day.

    `days` are ordinals of the proleptic Gregorian calendar; `amounts` what was spent on that day less what was given
    back, at least 0: what cost nothing was bought, too. `skipped_rows` could not be read; `returned_days`, on which as
    much was given back as bought, are left out.
    """

    customers: Sequence[str]
    of: npt.NDArray[np.int64]
    days: npt.NDArray[np.int64]
    amounts: Column
    skipped_rows: int
    returned_days: int

    def until(self, day: int) -> "Purchases":
        """Those up to and on a day, of the customers who had bought by then."""
        early = self.days <= day
        kept, of = np.unique(self.of[early], return_inverse=True)
        names = [self.customers[number] for number in kept]
        return self._replace(customers=names, of=of, days=self.days[early], amounts=self.amounts[early])


def read(path: Path, columns: Columns, progress: Callable[[Iterable[Row]], Iterable[Row]]) -> Purchases:
    """Reads a CSV file, compressed by gzip or not.

    A time is a date, with or without a time of day, in ISO 8601 or as YYYYMMDD. An amount is a column of its own, or
    quantity times price per unit. Rows without a customer, a date or a number are skipped and counted.

    Raises:
        PurchaseError: columns are missing, or no row can be read.
    """
    spent_on: dict[tuple[str, int], list[float]] = {}
    skipped = 0
    with opened(path) as rows:
        header = rows.fieldnames or ()
        customer, time = column(header, columns.customer, CUSTOMER_NAMES), column(header, columns.time, TIME_NAMES)
        amount = _amount(header, columns.amount)
        if not customer or not time:
            message = f"Say the columns of customer and time (--customer, --time). It has {', '.join(header)}."
            raise PurchaseError(message)
        for row in progress(rows):
            day, spent = day_of(row[time] or ""), amount(row)
            if not row[customer] or day is None or spent is None:
                skipped += 1
                continue
            spent_on.setdefault((row[customer], day), []).append(spent)
    return summed(spent_on, skipped)


def summed(spent_on: Mapping[tuple[str, int], Sequence[float]], skipped_rows: int) -> Purchases:
    """Purchases from the amounts by customer and day, those given back negative; in whatever order they come.

    Raises:
        PurchaseError: there is no purchase.
    """
    sums = {at: math.fsum(spent) for at, spent in spent_on.items()}  # exact, in whatever order rows come
    bought = sorted(at for at, spent in sums.items() if spent > 0 or (spent == 0 and min(spent_on[at]) == 0))
    if not bought:
        raise PurchaseError("No row holds a purchase.")
    names = list(dict.fromkeys(name for name, _ in bought))
    numbers = {name: number for number, name in enumerate(names)}
    return Purchases(
        names,
        np.array([numbers[name] for name, _ in bought]),
        np.array([day for _, day in bought]),
        np.array([sums[at] for at in bought]),
        skipped_rows,
        len(sums) - len(bought),
    )


class Known(NamedTuple):
    """What is known of each customer, an entry each.

    `orders` are days with a purchase, `first` and `last` ordinals of days; `money` is what all brought; `repeat_money`
    what the orders after the first brought.
    """

    orders: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    money: Column
    repeat_money: Column

    def histories(self, day: int) -> Histories:
        """What the model of repeats needs, up to and with a day."""
        watched = (day - self.first) / DAYS_PER_WEEK
        return Histories((self.orders - 1).astype(float), (self.last - self.first) / DAYS_PER_WEEK, watched)

    def repeat_means(self) -> Column:
        """What an order after the first brought on average; 0 where there is none."""
        return self.repeat_money / np.maximum(self.orders - 1, 1)


def known(purchases: Purchases) -> Known:
    """Sums purchases up per customer."""
    _, start, orders = np.unique(purchases.of, return_index=True, return_counts=True)
    money = np.add.reduceat(purchases.amounts, start)
    return Known(
        orders,
        purchases.days[start],
        purchases.days[start + orders - 1],
        money,
        money - purchases.amounts[start],
    )


@contextlib.contextmanager
def opened(path: Path) -> Iterator["csv.DictReader[str]"]:
    """The rows of a CSV file, compressed by gzip or not."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        yield csv.DictReader(file)


def _amount(header: Sequence[str], said: str) -> Callable[[Row], float | None]:
    quantity, price = column(header, "", QUANTITY_NAMES), column(header, "", UNIT_PRICE_NAMES)
    amount = column(header, said, AMOUNT_NAMES)
    if amount:
        return lambda row: number_of(row[amount])
    if not quantity or not price:
        message = f"Say which column holds the amount (--amount). It has {', '.join(header)}."
        raise PurchaseError(message)

    def multiplied(row: Row) -> float | None:
        count, each = number_of(row[quantity]), number_of(row[price])
        return None if count is None or each is None else count * each

    return multiplied


def column(header: Sequence[str], said: str, known_names: Sequence[str]) -> str:
    """The column that was said, else one of a known name; empty if there is none.

    Raises:
        PurchaseError: there is no column of the name that was said.
    """
    if said and said not in header:
        message = f"There is no column {said}. It has {', '.join(header)}."
        raise PurchaseError(message)
    plain = {"".join(each for each in name.lower() if each.isalnum()): name for name in header}
    return said or next((plain[name] for name in known_names if name in plain), "")


def day_of(text: str) -> int | None:
    """The day of a date with or without a time, as an ordinal; None if it is none."""
    try:
        return dt.datetime.fromisoformat(text.strip()).toordinal()
    except ValueError:
        return None


def number_of(text: str | None) -> float | None:
    """A finite number; None if it is none."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
