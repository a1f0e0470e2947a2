# ruff: noqa: RUF001 - letters of other scripts are what is tried
"""Amounts of money: read as people write them, in either convention, or refused; never guessed, never silently 0."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2

from gateway.accepting.rows import Rows
from gateway.formats import native
from gateway.formats.native import EventSink
from gateway.formats.segment.reader import Reader
from gateway.formats.values import money
from mesh.errors import InvalidArgument
from tests.gateway.running import NOW_US

STAMP = native.Stamp(NOW_US, bytes(range(16)), bytes(range(8)))

READ: list[tuple[Any, float, str]] = [
    (25, 25, ""),
    (25.5, 25.5, ""),
    (-3, -3, ""),
    ("25", 25, ""),
    ("33,95", 33.95, ""),
    ("33.95", 33.95, ""),
    (" 33,95 ", 33.95, ""),
    ("$25.00", 25, ""),
    ("$ 25", 25, ""),
    ("25 EUR", 25, "EUR"),
    ("eur 25", 25, "EUR"),
    ("€ 25", 25, "EUR"),
    ("25,50 €", 25.5, "EUR"),
    ("25\u00a0€", 25, "EUR"),
    ("£1,234.56", 1234.56, "GBP"),
    ("¥1,000", 1000, ""),
    ("R$ 1.234,56", 1234.56, "BRL"),
    ("US$ 12", 12, "USD"),
    ("Rs. 500", 500, ""),
    ("CHF 1'234.50", 1234.5, "CHF"),
    ("1 234,56 zł", 1234.56, "PLN"),
    ("kr 99", 99, ""),
    ("1,234", 1234, ""),
    ("1.234", 1.234, ""),
    ("€1.234", 1234, "EUR"),
    ("1.234 EUR", 1234, "EUR"),
    ("1.200 JPY", 1200, "JPY"),
    ("₫150.000", 150000, "VND"),
    ("$ 1.234", 1234, ""),
    ("-1.234 kr", -1234, ""),
    ("€0.500", 0.5, "EUR"),
    ("€1.23", 1.23, "EUR"),
    ("KWD 1.234", 1.234, "KWD"),
    ("1.234 BHD", 1.234, "BHD"),
    ("12,345,678.90", 12345678.9, ""),
    ("12.345.678,90", 12345678.9, ""),
    ("12.345.678", 12345678, ""),
    ("1 234,56", 1234.56, ""),
    ("1\u00a0234,56", 1234.56, ""),
    ("1\u202f234,56", 1234.56, ""),
    ("1'234.56", 1234.56, ""),
    ("1\u2019234.56", 1234.56, ""),
    ("1,23,456.78", 123456.78, ""),
    ("0,500", 0.5, ""),
    ("1234,567", 1234.567, ""),
    (".5", 0.5, ""),
    ("25.", 25, ""),
    ("25,-", 25, ""),
    ("25.--", 25, ""),
    ("-25", -25, ""),
    ("\u221225,00", -25, ""),
    ("-$25", -25, ""),
    ("$-25", -25, ""),
    ("25.00-", -25, ""),
    ("($25.00)", -25, ""),
    ("+25", 25, ""),
    ("1e3", 1000, ""),
    ("٢٥٫٥٠", 25.5, ""),
    ("١٬٢٣٤٫٥٦", 1234.56, ""),
    ("２５．５０", 25.5, ""),
    ("￥１，２３４", 1234, ""),
    ("\u200e25,00\u200e", 25, ""),
]


@pytest.mark.parametrize(("written", "value", "currency"), READ, ids=[repr(case[0]) for case in READ])
def test_an_amount_is_read_as_it_was_meant(written: Any, value: float, currency: str) -> None:
    found = money.amount(written)
    assert found.value == pytest.approx(value)
    assert found.currency == currency


UNREADABLE: list[Any] = [
    *("", " ", "twelve", "free", "-", "$", "EUR", "n/a", "25 EUR incl. VAT", "25 pcs", "3 items", "10%", "25/30"),
    *(
        "1,2,3",
        "1.2.3",
        "1,234,56",
        "1 2 3",
        "25 30",
        "12.34.56",
        "1,234.567.890",
        "1'23",
        "--5",
        "-(5)",
        "(5",
        "5)",
        "1 €2",
    ),
    *(
        "€ 25 $",
        "0x19",
        "1_000",
        "²",
        "½",
        "NaN",
        "Infinity",
        "-inf",
        "1e999",
        "9" * 65,
        "1" * 30,
        "25\n30",
        "25,00,-,",
    ),
    *(True, [], {}, {"amount": 25}, float("nan"), float("inf"), 10**13, -(10**13), 10**400),
]


@pytest.mark.parametrize("written", UNREADABLE, ids=[repr(each)[:40] for each in UNREADABLE])
def test_an_ambiguous_amount_is_refused(written: Any) -> None:
    with pytest.raises(InvalidArgument) as refused:
        money.amount(written)
    assert refused.value.reason == "UNREADABLE_AMOUNT"


CONVENTIONS = [(",", "."), (".", ","), (" ", ","), ("\u202f", ","), ("\u00a0", ","), ("'", "."), ("", "."), ("", ",")]
AROUND = ["{}", "{} EUR", "EUR {}", "€{}", "{} €", " {} "]
SIGNS = [("", "", 1), ("-", "", -1), ("\u2212", "", -1), ("(", ")", -1), ("+", "", 1)]


@given(
    st.integers(0, 10**14 - 1),
    st.sampled_from(CONVENTIONS),
    st.sampled_from(AROUND),
    st.sampled_from(SIGNS),
    st.sampled_from(["0123456789", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "０１２３４５６７８９"]),
)
def test_what_is_written_with_cents_is_read_back(
    cents: int, convention: tuple[str, str], around: str, sign: tuple[str, str, int], digits: str
) -> None:
    group, point = convention
    whole = f"{cents // 100:,}".replace(",", group)
    text = around.format(f"{whole}{point}{cents % 100:02}").translate(str.maketrans("0123456789", digits))
    found = money.amount(f"{sign[0]}{text.strip()}{sign[1]}")
    assert found.value == pytest.approx(sign[2] * cents / 100)


@given(st.integers(1000, 10**12 - 1), st.sampled_from([",", " ", "\u202f", "'"]))
def test_whole_amounts_in_groups_are_read_back(amount: int, group: str) -> None:
    assert money.amount(f"{amount:,}".replace(",", group)).value == amount


@given(st.text(st.sampled_from("0123456789.,' -+()€$EURxé\u00a0\u2212"), max_size=70))
def test_any_text_is_read_as_a_number_or_refused(text: str) -> None:
    try:
        found = money.amount(text)
    except InvalidArgument as error:
        assert error.reason == "UNREADABLE_AMOUNT"  # noqa: PT017
    else:
        assert abs(found.value) <= money.AMOUNT_MOST
        assert any(letter.isdecimal() for letter in text)


@pytest.mark.parametrize(
    ("text", "code"),
    [("EUR", "EUR"), (" eur ", "EUR"), ("€", "EUR"), ("US$", "USD"), ("zł", "PLN"), ("XBT", "XBT")]
    + [(text, "") for text in ("$", "kr", "Euro", "dollars", "", "E U", "éur", "12")],
)
def test_a_currency_is_a_code_or_a_sign_that_names_one(text: str, code: str) -> None:
    assert money.currency(text) == code


Warnings = list[tuple[str, str]]


def by_segment(event: str, **properties: Any) -> tuple[event_pb2.Event, Warnings]:
    warnings: Warnings = []
    rows = Rows()
    message = {"type": "track", "userId": "ada", "event": event, "properties": properties}
    Reader().read(json.dumps(message).encode(), EventSink(rows.add, STAMP, str, lambda *one: warnings.append(one)))
    return rows.table().event(0), warnings


def by_track(**properties: Any) -> tuple[event_pb2.Event, Warnings]:
    warnings: Warnings = []
    rows = Rows()
    event = {"userId": "ada", "eventType": "purchase", "properties": properties}
    native.read_event(json.dumps(event).encode(), EventSink(rows.add, STAMP, str, lambda *one: warnings.append(one)))
    return rows.table().event(0), warnings


# Properties, and the amount, the currency and whether it is a refund; then what is warned of.
PURCHASES: list[tuple[dict[str, Any], tuple[float, str, bool], list[str]]] = [
    ({"amount": 25, "currency": "EUR"}, (25, "EUR", False), []),
    ({"amount": "25,50", "currency": "eur"}, (25.5, "EUR", False), []),
    ({"Revenue": 25, "currency": "EUR"}, (25, "EUR", False), []),
    ({"REVENUE": "$25.00"}, (25, "", False), []),
    ({"revenue": "33,95"}, (33.95, "", False), []),
    ({"revenue": "", "total": 77}, (77, "", False), []),
    ({"revenue": None, "Revenue": " ", "total": "77.5 EUR"}, (77.5, "EUR", False), []),
    ({"revenue": "", "value": "", "price": "1,234.56"}, (1234.56, "", False), []),
    ({"order_total": 5, "currencyCode": "usd"}, (5, "USD", False), []),
    ({"transactionTotal": "5", "subtotal": 4}, (5, "", False), []),
    ({"total_revenue": 5}, (5, "", False), []),
    ({"purchase-amount": 5, "price": ""}, (5, "", False), []),
    ({"value": {"nested": 1}, "price": 5}, (5, "", False), []),
    ({"revenue": "€25", "currency": "USD"}, (25, "USD", False), ["currency"]),
    ({"revenue": "€25", "currency": ""}, (25, "EUR", False), []),
    ({"revenue": 25, "currency": "dollars"}, (25, "", False), ["currency"]),
    ({"revenue": 25, "currency": 978}, (25, "", False), ["currency"]),
    ({"revenue": 25, "currency": "$"}, (25, "", False), ["currency"]),
    ({"revenue": 0, "currency": "EUR"}, (0, "EUR", False), []),
    ({}, (0, "", False), ["amount"]),
    ({"order_id": "7", "revenue": ""}, (0, "", False), ["amount"]),
    ({"revenue": -25}, (-25, "", True), []),
    ({"revenue": "\u221225,00"}, (-25, "", True), []),
    ({"revenue": 25, "isRefund": True}, (-25, "", True), []),
    ({"revenue": 25, "refund": True}, (-25, "", True), []),
    ({"is_refund": True}, (0, "", True), []),
    ({"revenue": 25, "isRefund": False}, (25, "", False), []),
]


@pytest.mark.parametrize(("properties", "expected", "warned"), PURCHASES)
@pytest.mark.parametrize("way", ["segment", "track"])
def test_a_purchase_says_the_same_on_every_way_in(
    way: str, properties: dict[str, Any], expected: tuple[float, str, bool], warned: list[str]
) -> None:
    event, warnings = by_track(**properties) if way == "track" else by_segment("Order Completed", **properties)
    assert event.event_type == event_pb2.EVENT_TYPE_PURCHASE
    found = event.purchase
    assert (found.amount, found.currency, found.is_refund) == expected
    assert [member for member, _ in warnings] == warned
    assert properties.items() <= (json.loads(event.properties) if event.properties else {}).items()


REFUNDS = [
    *("Order Refunded", "order_refunded", "Order Cancelled", "orderCanceled", "Product Returned", "Order Returned"),
    *("Refund Completed", "refund", "refund.processed", "Partial Refund Issued", "Payment Refund Succeeded"),
    *("Chargeback", "ChargeBack Received", "charge.refunded", "Order Partially Returned", "orderItemReturned"),
    *("Payment Reversed", "Transaction Voided", "Invoice Voided", "Purchase Cancelled", "Items Returned"),
    *("Return Completed", "Order Fully Refunded", "Refunded Order", "Subscription Refunded"),
]
NO_REFUNDS = [
    *("Refund Requested", "Refund Policy Viewed", "Return", "Return Requested", "User Returned", "Refund Failed"),
    *(
        "Refund Denied",
        "Subscription Cancelled",
        "Payment Cancelled",
        "Returned",
        "Chargeback Won",
        "Order Return Started",
    ),
]


@pytest.mark.parametrize("name", REFUNDS)
@pytest.mark.parametrize(
    ("properties", "amount"),
    [({"order_id": "7"}, 0), ({"revenue": 25}, -25), ({"total": -25}, -25), ({"value": "25 EUR"}, -25)],
)
def test_money_that_goes_back_is_a_refund_whatever_it_says(
    name: str, properties: dict[str, Any], amount: float
) -> None:
    event, warnings = by_segment(name, **properties)
    assert (event.event_type, event.purchase.is_refund, event.purchase.amount) == (14, True, amount)
    assert warnings == []


@pytest.mark.parametrize("name", NO_REFUNDS)
def test_talk_of_money_that_goes_back_is_no_refund(name: str) -> None:
    assert by_segment(name, revenue=25)[0].event_type == event_pb2.EVENT_TYPE_FEATURE_INTERACTION


@pytest.mark.parametrize("flag", [True, "true", "True", "yes", 1])
def test_a_flag_may_be_written_in_words(flag: object) -> None:
    assert by_segment("Order Completed", revenue=25, isRefund=flag)[0].purchase.amount == -25


@pytest.mark.parametrize("flag", [False, "false", "no", 0, "", 2, "partial"])
def test_only_true_values_mark_a_refund(flag: object) -> None:
    assert by_segment("Order Completed", revenue=25, isRefund=flag)[0].purchase.amount == 25


NO_AMOUNT: list[dict[str, Any]] = [
    {"revenue": "twelve"},
    {"revenue": True},
    {"revenue": [25]},
    {"total": {"amount": 25}},
    {"revenue": "1e999"},
    {"revenue": 1e13},
    {"Revenue": "10%", "total": 25},
]


@pytest.mark.parametrize("properties", NO_AMOUNT)
@pytest.mark.parametrize("way", ["segment", "track", "refund"])
def test_an_amount_that_cannot_be_read_is_never_taken_for_none(way: str, properties: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        if way == "track":
            by_track(**properties)
        else:
            by_segment("Order Refunded" if way == "refund" else "Order Completed", **properties)
    assert refused.value.reason == "UNREADABLE_AMOUNT"


def test_native_purchases_use_the_amount_and_segment_orders_the_revenue() -> None:
    both = {"amount": 3, "revenue": 25}
    assert by_track(**both)[0].purchase.amount == 3
    assert by_segment("Order Completed", **both)[0].purchase.amount == 25
    assert by_segment("Purchase", **both)[0].purchase.amount == 3
