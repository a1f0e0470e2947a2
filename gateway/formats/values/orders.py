"""Products as shops write them: the id and the lines of an order, and what is recommended to a customer.

Segment calls the lines `products`, Google `items`; the first of these names that holds lines counts. A line that cannot
be read costs the purchase nothing: it is left out with a warning.
"""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from gateway.formats.json.lenient import Warn, number
from gateway.formats.schema import LINES_MOST, QUANTITY_MOST, RECOMMENDED_MOST
from gateway.formats.values import money
from gateway.formats.values.spelling import AnySpelling, plain
from mesh.errors import InvalidArgument

_ORDER_NAMES: Final = ("orderid", "ordernumber", "transactionid")
_LINES_NAMES: Final = ("lines", "products", "items", "lineitems", "orderlines", "orderitems")
_PRODUCT_NAMES: Final = ("productid", "sku", "itemid", "id", "variantid")
_NAME_NAMES: Final = ("name", "productname", "itemname", "title", "product")
_CATEGORY_NAMES: Final = ("category", "productcategory", "itemcategory")
_QUANTITY_NAMES: Final = ("quantity", "qty", "count")
_PRICE_NAMES: Final = ("price", "unitprice", "itemprice")
_PRODUCTS_NAMES: Final = ("products", "recommendations")
_REASON_NAMES: Final = ("reason",)

_TOO_MANY: Final = f"An order has at most {LINES_MOST} lines; the others were left out."
_NO_PRODUCT: Final = "A line without a product's id or name, or that is no object, was left out."
_TOO_MANY_RECOMMENDED: Final = f"At most {RECOMMENDED_MOST} products are recommended; the others were left out."
_NOTHING_RECOMMENDED: Final = "A product without an id or name, or that is no object, was left out."
_NO_QUANTITY: Final = f"A quantity must lie between 0 and {QUANTITY_MOST:,}; its line was left out."
_NO_PRICE: Final = "A price cannot be read; its line was taken without one."

_decode_lines: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Line(NamedTuple):
    """One product of an order; see `journeymesh.common.v1.OrderLine`."""

    product_id: str
    name: str
    category: str
    quantity: int
    price: float


class Recommended(NamedTuple):
    """One product that is recommended; see `journeymesh.common.v1.RecommendedProduct`."""

    product_id: str
    name: str
    reason: str


def order_id(members: Mapping[str, msgspec.Raw]) -> str:
    """The id of the order; empty if there is none, or it is a number with too many digits."""
    try:
        return _text(AnySpelling(members), _ORDER_NAMES)
    except InvalidArgument:
        return ""


def lines(members: Mapping[str, msgspec.Raw], warn: Warn) -> list[Line]:
    """The lines of the order in the shop's order, at most `LINES_MOST`; empty if there are none."""
    found = next(filter(None, map(_elements, AnySpelling(members).raws(_LINES_NAMES))), [])
    if len(found) > LINES_MOST:
        warn("lines", _TOO_MANY)
    notes: dict[str, None] = {}
    read = [_line(raw, notes) for raw in found[:LINES_MOST]]
    for note in notes:
        warn("lines", note)
    return [line for line in read if line is not None]


def recommended(members: Mapping[str, msgspec.Raw], warn: Warn) -> list[Recommended]:
    """What is recommended to a customer, best first, at most `RECOMMENDED_MOST`; empty if nothing is."""
    found = next(filter(None, map(_elements, AnySpelling(members).raws(_PRODUCTS_NAMES))), [])
    if len(found) > RECOMMENDED_MOST:
        warn("products", _TOO_MANY_RECOMMENDED)
    read = [*map(_recommended, found[:RECOMMENDED_MOST])]
    if None in read:
        warn("products", _NOTHING_RECOMMENDED)
    return [each for each in read if each is not None]


def _recommended(raw: msgspec.Raw) -> Recommended | None:
    try:
        spelt = AnySpelling(_decode_members(raw))
        product, name, reason = (_text(spelt, names) for names in (_PRODUCT_NAMES, _NAME_NAMES, _REASON_NAMES))
    except (msgspec.ValidationError, InvalidArgument):
        return None
    return Recommended(product or name, name, reason) if product or name else None


def _elements(raw: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return _decode_lines(raw)
    except msgspec.ValidationError:
        return []


def _line(raw: msgspec.Raw, notes: dict[str, None]) -> Line | None:
    try:
        spelt = AnySpelling(_decode_members(raw))
        product, name, category = (_text(spelt, names) for names in (_PRODUCT_NAMES, _NAME_NAMES, _CATEGORY_NAMES))
        quantity = _quantity(spelt)
    except (msgspec.ValidationError, InvalidArgument):
        product = name = ""
        quantity = None
    if not product and not name:
        notes[_NO_PRODUCT] = None
        return None
    if quantity is None:
        notes[_NO_QUANTITY] = None
        return None
    price = _price(spelt, notes)
    if quantity != int(quantity):  # half a kilo: one piece, at what it cost
        quantity, price = 1, price * quantity
    return Line(product or name, name, category, int(quantity), price)


def _text(spelt: AnySpelling, names: tuple[str, ...]) -> str:
    return next(map(str, plain(spelt.values(names))), "")


def _quantity(spelt: AnySpelling) -> float | None:
    """How many pieces, 1 if it is not said; lines of returns may count downwards. None if it is no quantity."""
    said = spelt.values(_QUANTITY_NAMES)
    found = abs(number(said[0]) or 0.0) if said else 1.0
    return found if 0 < found <= QUANTITY_MOST else None


def _price(spelt: AnySpelling, notes: dict[str, None]) -> float:
    try:
        said = plain(spelt.values(_PRICE_NAMES))
        price = abs(money.amount(said[0]).value) if said else 0.0
    except InvalidArgument:
        price = math.nan
    if price <= money.AMOUNT_MOST:
        return price
    notes[_NO_PRICE] = None
    return 0.0
