"""What a user bought and is likely to buy: as a language model sees it, and as it is said without one."""

import json
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from services.intervention.language.domain import screening

MOST_ORDERS: Final = 20
"""Orders that are told, the newest."""
DUE_DAYS: Final = 14
"""How many days ahead products are foretold."""
EXPECTED_DAYS: Final = 30
"""How many days ahead orders are foretold."""

_MOST_PRODUCTS: Final = 5
_MOST_DUE: Final = 3
_LONGEST_NAME: Final = 60
# What all names may take as JSON, so that all there is to tell remains shorter than what a tool may find.
_LONGEST_NAMES: Final = 3_200
# One in four: a product that is due is named from here on. Whoever has left for good needs nothing again.
_LEAST_LIKELY: Final = 0.25


class Order(msgspec.Struct, frozen=True):
    """One order after all refunds. Its age is in whole days; products are by name, or by id where they have none.

    `is_refund`: all of it was given back, or it is a refund by itself. `currency` is empty where it is unknown.
    """

    days_ago: int
    amount: float
    currency: str
    is_refund: bool
    products: tuple[str, ...] = ()


class Due(msgspec.Struct, frozen=True):
    """A product that was bought before: how likely it is bought within `DUE_DAYS`, 0 to 1, and days until it is due."""

    product: str
    probability: float
    days_left: float


class Buying(msgspec.Struct, frozen=True):
    """What a user bought, by the customers service: orders the newest first, products the most likely first.

    `order_count` is over all time, without what was given back whole. None is what cannot be known: the days since the
    last order without one, the usual days between two below two, the probability that the user is still a customer,
    and the orders expected in `EXPECTED_DAYS`, before anything was learnt.
    """

    orders: tuple[Order, ...]
    order_count: int
    days_since: float | None = None
    usual_days: float | None = None
    segment: str = ""
    active: float | None = None
    expected_orders: float | None = None
    due: tuple[Due, ...] = ()


def buying_data(of: Buying | None, user_id: str) -> dict[str, object]:
    """What the user bought as the model sees it: at most `MOST_ORDERS` orders; empty for nothing.

    Names are cut to 60 characters. Of many long ones, those of the oldest orders are left out.
    """
    if of is None:
        return {}
    due, orders = of.due[:_MOST_DUE], of.orders[:MOST_ORDERS]
    told = [*((each.product,) for each in due), *(each.products[:_MOST_PRODUCTS] for each in orders)]
    named = [*_named(told, user_id)]
    return {
        "order_count": of.order_count,
        "days_since_last_order": _rounded(of.days_since),
        "usual_days_between_orders": _rounded(of.usual_days),
        "segment": of.segment,
        "probability_still_a_customer": _rounded(of.active, 2),
        f"orders_expected_in_{EXPECTED_DAYS}_days": _rounded(of.expected_orders, 1),
        "products_due": [
            {
                "name": name,
                "days_left": round(each.days_left),
                f"probability_in_{DUE_DAYS}_days": round(each.probability, 2),
            }
            for each, names in zip(due, named[: len(due)], strict=True)
            for name in names
        ],
        "last_orders": [
            {
                "days_ago": each.days_ago,
                "amount": round(each.amount, 2),
                "currency": screening.clean(each.currency)[:3],
                "given_back": each.is_refund,
                "products": names,
            }
            for each, names in zip(orders, named[len(due) :], strict=True)
        ],
    }


def sentences(of: Buying) -> list[str]:
    """What stands out of what a user bought, most important first."""
    said = [_rhythm(of)]
    if of.active is not None and of.active < 0.5:
        said.append(f"Has probably left for good: still a customer with {_percent(of.active)}.")
    said += [_due_sentence(each) for each in due_soon(of)[:1]]
    last = of.orders[:MOST_ORDERS]
    if of.order_count and (returned := sum(each.is_refund for each in last)):
        said.append(f"{returned} of the last {len(last)} orders {'was' if returned == 1 else 'were'} given back.")
    return said


def due_soon(of: Buying) -> list[Due]:
    """The products that are due within `DUE_DAYS`, if that is likely enough and their names may be shown."""
    return [
        each
        for each in of.due
        if each.days_left <= DUE_DAYS and each.probability >= _LEAST_LIKELY and _is_nameable(each.product)
    ]


def products(of: Buying) -> list[str]:
    """The names of all products that are told."""
    return [each.product for each in of.due] + [name for order in of.orders for name in order.products]


def _named(groups: Iterable[Iterable[str]], user_id: str) -> Iterator[list[str]]:
    """The names of each group as a model may see them, as long as there is room."""
    left = _LONGEST_NAMES
    for group in groups:
        shown = []
        for name in group:
            plain = screening.clean(name, user_id)
            text = plain if len(plain) <= _LONGEST_NAME else plain[: _LONGEST_NAME - 1] + "…"
            left -= len(json.dumps(text)) + 1
            if left >= 0:
                shown.append(text)
        yield shown


def _rhythm(of: Buying) -> str:
    if not of.order_count or of.days_since is None:
        return "All that was bought was given back."
    ago = int(of.days_since)
    when = "today" if ago == 0 else f"{_days(ago)} ago"
    if of.order_count == 1:
        return f"Bought once, {when}."
    said = f"Bought {of.order_count} times, last {when}"
    usual = round(of.usual_days or 0)
    if usual == 0:
        return f"{said}."
    every = "every day" if usual == 1 else f"every {usual} days"
    return f"{said}, usually {every}{': overdue' if ago > usual else ''}."


def _due_sentence(of: Due) -> str:
    left = round(of.days_left)
    when = f" in {_days(left)}" if left else ""
    return f"{of.product} is due{when} ({_percent(of.probability)} within {DUE_DAYS} days)."


def _is_nameable(product: str) -> bool:
    """Whether a name may stand in a sentence; it comes from events, so whoever sends these could speak to readers."""
    return bool(product) and len(product) <= _LONGEST_NAME and screening.is_sayable(product)


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _rounded(value: float | None, digits: int = 0) -> float | None:
    return None if value is None else round(value, digits)
