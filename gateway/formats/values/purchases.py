"""What the members of a purchase say: how much, in which currency, and whether the money went back.

Clients spell the members in many ways: `Revenue`, `order_total`. The first that is filled counts.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from gateway.formats.json.lenient import Warn
from gateway.formats.values import money
from mesh.errors import InvalidArgument

SHOP_NAMES: Final = (
    *("revenue", "total", "value", "amount", "price"),
    *("ordertotal", "grandtotal", "totalprice", "totalamount", "ordervalue", "totalrevenue", "transactionrevenue"),
    *("transactiontotal", "transactionamount", "purchaseamount", "paymentamount", "amounttotal", "subtotal"),
)
"""Under which names shops tell amounts, the first first; without case and separators."""
OWN_NAMES: Final = ("amount", *(name for name in SHOP_NAMES if name != "amount"))

_CURRENCY_NAMES: Final = ("currency", "currencycode")
_ORDER_NAMES: Final = ("orderid", "ordernumber", "transactionid")
_REFUND_NAMES: Final = ("isrefund", "refund")
_TRUE: Final = frozenset({"true", "yes", "1"})
_EMPTY: Final[tuple[object, ...]] = (None, "", [], {})
_NO_LETTER: Final = re.compile(r"[^a-z]+")

_NOT_TOLD: Final = "No amount was told; the purchase counts as 0."
_NO_CODE: Final = "It names no single currency, as EUR does, and was left out."
_OTHER_CURRENCY: Final = "It is another currency than the amount's own text names; it counts."


class Purchase(NamedTuple):
    """An amount, negative or 0 where it is a refund; the code of its currency, empty where that is not told."""

    amount: float
    currency: str
    is_refund: bool


def purchase(
    members: Mapping[str, msgspec.Raw], names: tuple[str, ...], warn: Warn, *, is_refund: bool = False
) -> Purchase:
    """The purchase that members tell, looked for under these names; `is_refund` where it is known to be one.

    Raises:
        InvalidArgument: `UNREADABLE_AMOUNT`.
    """
    told = _Spelt(members)
    is_refund = is_refund or told.is_true(_REFUND_NAMES)
    amount = _amount(told, names)
    if amount is None and not is_refund:
        warn("amount", _NOT_TOLD)
    value, sign = amount or money.Amount(0.0)
    is_refund = is_refund or value < 0
    return Purchase(-abs(value) if is_refund else value, _currency(told, amount, sign, warn), is_refund)


def is_told(members: Mapping[str, msgspec.Raw], names: tuple[str, ...]) -> bool:
    """Whether one of these members is a number or a text, so that it may be an amount."""
    return bool(_plain(_Spelt(members).values(names)))


def order_id(members: Mapping[str, msgspec.Raw]) -> str:
    """The id of the order that members tell; empty where they tell none."""
    return next(map(str, _plain(_Spelt(members).values(_ORDER_NAMES))), "")


class _Spelt:
    """Members by their names without case and separators; of two that are alike the first that is filled counts."""

    def __init__(self, members: Mapping[str, msgspec.Raw]) -> None:
        self._found: dict[str, list[msgspec.Raw]] = {}
        for name, raw in members.items():
            self._found.setdefault(_NO_LETTER.sub("", name.lower()), []).append(raw)

    def values(self, names: tuple[str, ...]) -> list[object]:
        """What is told under these names and is not empty."""
        decoded = [_value(raw) for name in names for raw in self._found.get(name, ())]
        return [one for one in decoded if one not in _EMPTY]

    def is_true(self, names: tuple[str, ...]) -> bool:
        """Whether one of these members is true."""
        return any(str(one).lower() in _TRUE for one in self.values(names))


def _amount(told: _Spelt, names: tuple[str, ...]) -> money.Amount | None:
    """The first amount that is told; objects and lists are none, but where there is nothing else."""
    values = told.values(names)
    first = next(iter(_plain(values) or values), None)
    return None if first is None else money.amount(first)


def _plain(values: list[object]) -> list[object]:
    return [one for one in values if isinstance(one, (int, float, str)) and not isinstance(one, bool)]


def _currency(told: _Spelt, amount: money.Amount | None, sign: str, warn: Warn) -> str:
    words = told.values(_CURRENCY_NAMES)
    if not words:
        return sign
    code = money.currency(words[0]) if isinstance(words[0], str) else ""
    if not code:
        warn("currency", _NO_CODE)
    elif amount and sign not in {"", code}:
        warn("currency", _OTHER_CURRENCY)
    return code or sign


def _value(raw: msgspec.Raw) -> object:
    """A member's value, without the space around a text.

    Raises:
        InvalidArgument: `UNREADABLE_AMOUNT`: a number has too many digits.
    """
    try:
        told = msgspec.json.decode(raw)
    except msgspec.ValidationError:
        raise InvalidArgument("UNREADABLE_AMOUNT", "The amount is too large.") from None
    return told.strip() if isinstance(told, str) else told
