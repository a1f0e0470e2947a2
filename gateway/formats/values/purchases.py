"""The members of a purchase: how much, in which currency, and whether it is a refund.

Clients spell the members in many ways: `Revenue`, `order_total`. The first one with a value counts.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from gateway.formats.json.lenient import Warn
from gateway.formats.values import money
from gateway.formats.values.spelling import AnySpelling, plain

SHOP_NAMES: Final = (
    *("revenue", "total", "value", "amount", "price"),
    *("ordertotal", "grandtotal", "totalprice", "totalamount", "ordervalue", "totalrevenue", "transactionrevenue"),
    *("transactiontotal", "transactionamount", "purchaseamount", "paymentamount", "amounttotal", "subtotal"),
)
"""The names under which shops send amounts, in order of preference; without case and separators."""
OWN_NAMES: Final = ("amount", *(name for name in SHOP_NAMES if name != "amount"))

_CURRENCY_NAMES: Final = ("currency", "currencycode")
_REFUND_NAMES: Final = ("isrefund", "refund")

_NO_AMOUNT: Final = "No amount was told; the purchase counts as 0."
_NO_CODE: Final = "It names no single currency, as EUR does, and was left out."
_OTHER_CURRENCY: Final = "It is another currency than the amount's own text names; it counts."


class Purchase(NamedTuple):
    """An amount, not positive if it is a refund, and its currency code, empty if unknown."""

    amount: float
    currency: str
    is_refund: bool


def purchase(
    members: Mapping[str, msgspec.Raw], names: tuple[str, ...], warn: Warn, *, is_refund: bool = False
) -> Purchase:
    """The purchase that members describe, its amount under one of these names; `is_refund` if known to be one.

    Raises:
        InvalidArgument: `UNREADABLE_AMOUNT`.
    """
    spelt = AnySpelling(members)
    is_refund = is_refund or spelt.is_true(_REFUND_NAMES)
    amount = _amount(spelt, names)
    if amount is None and not is_refund:
        warn("amount", _NO_AMOUNT)
    value, sign = amount or money.Amount(0.0)
    is_refund = is_refund or value < 0
    return Purchase(-abs(value) if is_refund else value, _currency(spelt, amount, sign, warn), is_refund)


def has_amount(members: Mapping[str, msgspec.Raw], names: tuple[str, ...]) -> bool:
    """Whether one of these members is a number or a text, and so may be an amount."""
    return bool(plain(AnySpelling(members).values(names)))


def _amount(spelt: AnySpelling, names: tuple[str, ...]) -> money.Amount | None:
    """The first amount; objects and lists count only if there is nothing else."""
    values = spelt.values(names)
    first = next(iter(plain(values) or values), None)
    return None if first is None else money.amount(first)


def _currency(spelt: AnySpelling, amount: money.Amount | None, sign: str, warn: Warn) -> str:
    words = spelt.values(_CURRENCY_NAMES)
    if not words:
        return sign
    code = money.currency(words[0]) if isinstance(words[0], str) else ""
    if not code:
        warn("currency", _NO_CODE)
    elif amount and sign not in {"", code}:
        warn("currency", _OTHER_CURRENCY)
    return code or sign
