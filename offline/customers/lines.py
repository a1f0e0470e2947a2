"""Reads what customers bought, product by product, from a table with a row per line of an order."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from offline.customers.purchases import (
    CUSTOMER_NAMES,
    EPOCH_DAY,
    QUANTITY_NAMES,
    TIME_NAMES,
    UNIT_PRICE_NAMES,
    Columns,
    PurchaseError,
    Row,
    column,
    day_of,
    number_of,
    opened,
)
from services.customers.domain.purchases import History, Line, Order

_PRODUCT_NAMES: Final = ("product", "productid", "sku", "item", "itemid", "stockcode", "description")
_CATEGORY_NAMES: Final = ("category", "productcategory", "department")
_DAY_MS: Final = 86_400_000


class ProductColumns(NamedTuple):
    """What the caller said about the columns of a product; what is empty is found by name, a category need not be."""

    product: str = ""
    category: str = ""


def read(
    path: Path, columns: Columns, of: ProductColumns, progress: Callable[[Iterable[Row]], Iterable[Row]]
) -> Mapping[str, History]:
    """What each customer bought, by name; all of a day is one order. Rows of a quantity below 1 are not counted.

    Raises:
        PurchaseError: columns are missing, or no row can be read.
    """
    days: dict[str, dict[int, list[Line]]] = {}
    with opened(path) as rows:
        header = rows.fieldnames or ()
        customer, time = column(header, columns.customer, CUSTOMER_NAMES), column(header, columns.time, TIME_NAMES)
        product, category = (
            column(header, of.product, _PRODUCT_NAMES),
            column(header, of.category, _CATEGORY_NAMES),
        )
        quantity, price = column(header, "", QUANTITY_NAMES), column(header, "", UNIT_PRICE_NAMES)
        if not customer or not time or not product:
            message = f"Say the columns of customer, time and product (--product). It has {', '.join(header)}."
            raise PurchaseError(message)
        for row in progress(rows):
            day, count = day_of(row[time] or ""), number_of(row[quantity]) if quantity else 1.0
            if not row[customer] or not row[product] or day is None or count is None or count < 1:
                continue
            each = (number_of(row[price]) if price else None) or 0.0
            line = Line(row[product], "", row[category] if category else "", int(count), each)
            days.setdefault(row[customer], {}).setdefault(day - EPOCH_DAY, []).append(line)
    if not days:
        raise PurchaseError("No row holds a product that was bought.")
    return {name: tuple(_order(day, found[day]) for day in sorted(found)) for name, found in sorted(days.items())}


def _order(day: int, lines: Iterable[Line]) -> Order:
    ordered = tuple(sorted(lines))
    amount = sum(line.quantity * line.price for line in ordered)
    return Order(str(day), day * _DAY_MS, amount, "", refund=False, lines=ordered)
