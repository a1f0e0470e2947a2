"""What was ordered: read as shops write it, on every way in; a line that cannot be read costs the purchase nothing."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1.event_pb2 import OrderLine

from gateway.formats import rendering
from tests.gateway.test_money import by_segment, by_track

BEANS = {"product_id": "p-1", "sku": "B-250", "name": "Beans", "category": "Coffee", "price": 9.9, "quantity": 2}
READ_BEANS = OrderLine(product_id="p-1", name="Beans", category="Coffee", quantity=2, price=9.9)

READ: list[tuple[object, list[OrderLine], int]] = [
    ([BEANS], [READ_BEANS], 0),
    ([{"productId": "p-1"}], [OrderLine(product_id="p-1", quantity=1)], 0),
    ([{"sku": 17, "quantity": "3", "price": "€ 2,50"}], [OrderLine(product_id="17", quantity=3, price=2.5)], 0),
    ([{"name": "Beans"}], [OrderLine(product_id="Beans", name="Beans", quantity=1)], 0),
    ([{"item_id": "i", "item_name": "I", "qty": -2}], [OrderLine(product_id="i", name="I", quantity=2)], 0),
    ([{"id": "kilos", "quantity": 0.5, "price": 8}], [OrderLine(product_id="kilos", quantity=1, price=4)], 0),
    (
        [{"id": "p", "price": "much"}, {"id": "q", "price": 1e15}],
        [OrderLine(product_id=i, quantity=1) for i in "pq"],
        1,
    ),
    ([{"id": "p", "quantity": 0}, {"id": "q", "quantity": 1e9}, BEANS], [READ_BEANS], 1),
    ([{}, "p-1", None, 5, {"price": 3}, {"id": ""}, BEANS], [READ_BEANS], 1),
    ([BEANS] * 101, [READ_BEANS] * 100, 1),
    ([], [], 0),
    ("p-1, p-2", [], 0),
    ({"0": BEANS}, [], 0),
    (None, [], 0),
]


@pytest.mark.parametrize(("sent", "expected", "warnings"), READ)
@pytest.mark.parametrize("name", ["products", "lines", "Line Items"])
@pytest.mark.parametrize("way", ["track", "segment"])
def test_lines_are_read_alike_on_every_way_in(
    way: str, name: str, sent: object, expected: list[OrderLine], warnings: int
) -> None:
    more: dict[str, Any] = {"revenue": 25, "order_id": "o-1", name: sent}
    event, warned = by_track(**more) if way == "track" else by_segment("Order Completed", **more)
    assert event.purchase.order_id == "o-1"
    assert list(event.purchase.lines) == expected
    assert [member for member, _ in warned] == ["lines"] * warnings


@pytest.mark.parametrize(
    "order", [{"orderId": "o-1"}, {"order_id": "o-1"}, {"orderNumber": "o-1"}, {"Order ID": "o-1"}]
)
def test_a_refund_names_the_order_it_belongs_to(order: dict[str, Any]) -> None:
    event, warned = by_segment("Order Refunded", **order, products=[BEANS])
    assert (event.purchase.order_id, event.purchase.is_refund, event.purchase.amount) == ("o-1", True, 0)
    assert list(event.purchase.lines) == [READ_BEANS]
    assert warned == []


@pytest.mark.parametrize(("sent", "read"), [(1001, "1001"), ("", ""), (None, ""), (["o"], ""), (True, "")])
def test_an_order_may_be_numbered_or_have_no_id(sent: object, read: str) -> None:
    assert by_track(amount=5, orderId=sent)[0].purchase.order_id == read


def test_an_order_whose_properties_were_not_kept_is_read_back() -> None:
    sent = {"amount": 19.8, "currency": "EUR", "orderId": "o-1", "products": [BEANS, {"name": "Filters"}]}
    event, _ = by_track(**sent)
    event.ClearField("properties")
    written = rendering.write_event(event)["properties"]
    assert by_track(**json.loads(msgspec.json.encode(written)))[0].purchase == event.purchase


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name", "price", "quantity"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(products=_JSON)
def test_no_line_costs_a_purchase(products: object) -> None:
    purchase = by_track(amount=5, currency="EUR", products=products)[0].purchase
    assert (purchase.amount, purchase.currency) == (5, "EUR")
    assert all(line.product_id and 0 < line.quantity <= 1_000_000 and line.price >= 0 for line in purchase.lines)
