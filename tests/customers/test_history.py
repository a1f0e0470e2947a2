"""A history is the same whatever the order in which events come, and however often; refunds lower their orders."""

import math
import random
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from services.customers.domain.history import (
    LINES_KEPT,
    ORDERS_KEPT,
    REFUNDS_KEPT,
    Bought,
    Facts,
    Money,
    facts,
    history,
)
from services.customers.domain.purchases import Order
from services.customers.states import PURCHASED
from tests.customers.builders import DAY_MS, back, events, line, paid, purchased


@given(sent=events(), chance=st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_give_the_same_bits(sent: list[Bought], chance: random.Random) -> None:
    again = [*sent, *chance.choices(sent, k=5)] if sent else []
    chance.shuffle(again)
    once, twice = purchased(*sent), purchased(*again)
    assert PURCHASED.encode(once) == PURCHASED.encode(twice)
    assert (history(once), facts(once)) == (history(twice), facts(twice))


@given(sent=events())
def test_a_history_is_in_order_and_has_no_order_twice(sent: list[Bought]) -> None:
    orders = history(purchased(*sent))
    assert [*orders] == sorted(orders, key=lambda each: (each.at, each.order))
    assert len({each.order for each in orders}) == len(orders)
    assert all((each.amount <= 0) == (each.refund or each.amount == 0) for each in orders)


@given(sent=events())
def test_what_is_stored_is_read_as_it_was(sent: list[Bought]) -> None:
    made = purchased(*sent)
    read = PURCHASED.decode(PURCHASED.encode(made))
    assert (history(read), facts(read)) == (history(made), facts(made))


@given(sent=events())
def test_the_figures_are_those_of_the_orders(sent: list[Bought]) -> None:
    made = purchased(*sent)
    orders, found = history(made), facts(made)
    assert found.orders == sum(not each.refund for each in orders)
    for each in found.money:
        of = [Decimal(repr(one.amount)) for one in orders if one.currency == each.currency]
        assert each.amount == float(sum(of))
        assert each.refunded >= 0
    times = [each.at for each in orders if not each.refund]
    assert (found.first, found.last) == ((times[0], times[-1]) if times else (0, 0))
    assert (found.cadence_days is None) == (len(times) < 2)


@settings(max_examples=5, deadline=None)
@given(st.integers(ORDERS_KEPT + 1, ORDERS_KEPT + 30), st.randoms(use_true_random=False))
def test_of_many_orders_the_last_are_whole_and_the_sums_are_of_all(count: int, chance: random.Random) -> None:
    sent = [paid(f"e-{number}", (number + 1) * DAY_MS, f"o-{number}", 0.1, "EUR", line()) for number in range(count)]
    shuffled = chance.sample(sent, count)
    made = purchased(*shuffled)
    assert PURCHASED.encode(made) == PURCHASED.encode(purchased(*sent))
    assert [each.order for each in history(made)] == [f"o-{number}" for number in range(count - ORDERS_KEPT, count)]
    money = Money("EUR", count, float(Decimal("0.1") * count), 0.0)
    found = facts(made)
    assert found == Facts(count, DAY_MS, count * DAY_MS, 1.0, 1.0, (money,))


def test_a_refund_lowers_its_order_also_before_it_came() -> None:
    order = paid("e-1", 5, "o-1", 20.0, "EUR", line("p", 2, 5.0), line("q", 1, 10.0))
    part = back("e-2", 9, "o-1", 5.0, "EUR", line("p", 1))
    left = Order("o-1", 5, 15.0, "EUR", False, (line("p", 1, 5.0), line("q", 1, 10.0)))
    assert history(purchased(order, part)) == history(purchased(part, order)) == (left,)
    assert history(purchased(part)) == (Order("o-1", 9, -5.0, "EUR", True, ()),)


def test_a_refund_of_unknown_amount_is_of_its_lines_or_of_all() -> None:
    order = paid("e-1", 5, "o-1", 20.0, "EUR", line("p", 2, 5.0), line("q", 1, 10.0))
    of_lines = back("e-2", 9, "o-1", 0.0, "EUR", line("p", 1, 0.0))
    (left,) = history(purchased(order, of_lines))
    assert (left.amount, left.refund, left.lines) == (15.0, False, (line("p", 1, 5.0), line("q", 1, 10.0)))
    assert history(purchased(order, back("e-2", 9, "o-1"))) == (Order("o-1", 5, 0.0, "EUR", True, ()),)
    (alone,) = history(purchased(back("e-2", 9, "o-1")))
    assert (alone.amount, math.copysign(1, alone.amount)) == (0.0, 1.0)


def test_nobody_gets_back_more_than_they_paid() -> None:
    cancelled, refunded = back("e-2", 9, "o-1", 20.0), back("e-3", 10, "o-1", 20.0)
    made = purchased(paid("e-1", 5, "o-1", 20.0), cancelled, refunded)
    assert history(made) == (Order("o-1", 5, 0.0, "EUR", True, ()),)
    assert facts(made).money == (Money("EUR", 0, 0.0, 20.0),)


def test_a_refund_in_another_currency_is_none_of_the_order() -> None:
    made = purchased(paid("e-1", 5, "o-1", 20.0), back("e-2", 9, "o-1", 4.0, "USD"))
    assert [(each.order, each.amount, each.refund) for each in history(made)] == [
        ("o-1", 20.0, False),
        ("e-2", -4.0, True),
    ]
    assert facts(made).money == (Money("EUR", 1, 20.0, 0.0), Money("USD", 0, -4.0, 4.0))


def test_an_order_that_two_events_report_counts_once_with_its_lines() -> None:
    by_the_shop, by_the_bank = paid("e-2", 6, "o-1", 20.0, "EUR", line()), paid("e-1", 5, "o-1", 20.5)
    for sent in ([by_the_shop, by_the_bank], [by_the_bank, by_the_shop]):
        assert history(purchased(*sent)) == (Order("o-1", 6, 20.0, "EUR", False, (line(),)),)


def test_what_is_kept_is_bounded() -> None:
    lines = [line(f"p-{number}") for number in range(LINES_KEPT + 5)]
    refunds = [back(f"r-{number:03}", number, "o-1", 0.01, "EUR", *lines) for number in range(REFUNDS_KEPT + 5)]
    made = purchased(paid("e-1", 0, "o-1", 1e12, "EUR", *lines), *refunds)
    (entry,) = made.entries.values()
    assert entry.bought is not None
    assert len(entry.bought.lines) == LINES_KEPT
    assert [each.event for each in entry.refunds] == [f"r-{number:03}" for number in range(REFUNDS_KEPT)]


def test_sums_are_exact() -> None:
    made = purchased(*(paid(f"e-{number}", number, amount=0.1) for number in range(100)))
    assert facts(made).money[0].amount == 10.0
    assert not math.isclose(sum([0.1] * 100), 10.0, rel_tol=0, abs_tol=0)
