"""What a customer bought: orders with their lines."""

from typing import NamedTuple, TypeAlias


class Line(NamedTuple):
    """One product of an order.

    `product` is its id, not empty; `name` and `category` may be empty. `quantity` is 1 or more; `price` is per piece,
    in the order's currency, 0 or more, and 0 if unknown.
    """

    product: str
    name: str
    category: str
    quantity: int
    price: float


class Order(NamedTuple):
    """An order as it stands after all refunds.

    `order` is its id, of the event that brought it if the shop gave none; `at` its time in milliseconds since 1970.
    `amount` is what was paid less what was given back, in `currency`, an ISO 4217 code or empty if unknown. `lines` are
    what the customer kept, in the order in which the shop sent them; empty if it sent none.

    `refund` says that this is no purchase: all of it was given back, or it is a refund whose order is not known; its
    amount is then 0 or less.
    """

    order: str
    at: int
    amount: float
    currency: str
    refund: bool
    lines: tuple[Line, ...]


History: TypeAlias = tuple[Order, ...]
"""A customer's orders by (`at`, `order`); no order twice. Empty: nothing was bought."""
