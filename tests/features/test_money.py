"""Purchases and refunds, each currency for itself, and how they move from an anonymous user to the known one."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.features.domain import money
from services.features.domain.event import Carried, Event, Kind
from services.features.domain.journey import NOTHING, apply
from services.features.domain.state import State
from services.features.domain.vector import vector
from tests.features.stored import decode, encode
from tests.features.stories import applied, at, feature


def bought(seconds: float, amount: float, currency: str = "EUR", **members: Any) -> Event:
    return at(seconds, Kind.PURCHASE, "/paid", amount=amount, currency=currency, **members)


def totals(events: list[Event]) -> tuple[int, dict[str, float]]:
    state = applied(events)[0]
    return state.purchase_count, money.amounts(state)


def test_amounts_of_different_currencies_are_never_added() -> None:
    events = [bought(0, 30.0), bought(1, 12.5, "USD"), bought(2, 20.0), bought(3, 5.0, "")]
    assert totals(events) == (4, {"": 5.0, "EUR": 50.0, "USD": 12.5})


REFUNDS = {
    "by a negative amount": bought(10, -5.0),
    "named so": bought(10, -5.0, is_refund=True),
    "named so, with a positive amount": bought(10, 5.0, is_refund=True),
    "named so, without an amount": bought(10, 0.0, is_refund=True),
    "of more than was paid": bought(10, -500.0),
}


@pytest.mark.parametrize("refund", REFUNDS.values(), ids=REFUNDS.keys())
def test_a_refund_is_no_purchase_no_success_and_no_taking_part(refund: Event) -> None:
    before = [bought(0, 30.0), at(5, Kind.TASK_FAILURE, "/pay"), at(10, Kind.PAGE_VIEW, "/account")]
    count, amounts = totals([*before, refund])
    assert count == 1
    assert amounts == {"EUR": 30.0 - abs(refund.amount)}
    for name in ("success_rate", "engagement_score"):
        assert feature(name, [*before, refund]) == feature(name, before)
    assert feature("time_since_last_success", [*before, refund]) == 10


def test_a_refund_alone_is_no_purchase() -> None:
    alone = bought(0, 0.0, "", is_refund=True)
    assert totals([alone]) == (0, {})
    assert feature("engagement_score", [alone]) == 50


def test_currencies_are_bounded() -> None:
    events = [bought(number, 1.0, f"C{number:02d}") for number in range(40)]
    count, amounts = totals([*events, bought(50, 1.0, "C03")])
    assert count == 41
    assert len(amounts) == money.CURRENCY_LIMIT
    assert amounts["C03"] == 2.0


def test_sums_stay_finite() -> None:
    assert totals([bought(0, 1e308), bought(1, 1e308), bought(2, math.inf), bought(3, 2.0, "USD")])[1] == {
        "EUR": 1e308,
        "USD": 2.0,
    }


def test_a_copied_purchase_is_a_success_and_counts_where_it_was_made() -> None:
    copy = bought(5, 30.0, is_copy=True)
    assert totals([bought(0, 10.0), copy]) == (1, {"EUR": 10.0})
    assert feature("success_rate", [at(0, Kind.ERROR), copy]) == 0.5


def test_full_refunds_leave_no_currency() -> None:
    for amounts in ([50.0], [0.1, 0.2], [33.95, 12.49, 7.77]):
        spent = [bought(second, amount, "USD") for second, amount in enumerate(amounts)]
        refunds = [bought(10 + second, -amount, "USD") for second, amount in enumerate(amounts)]
        state = applied([*spent, *refunds])[0]
        assert (money.amounts(state), state.purchase_amount) == ({}, 0.0)
        apply(state, bought(30, 30.0))
        assert (money.amounts(state), money.total(state)) == ({"EUR": 30.0}, 30.0)
    assert totals([bought(0, 0.0, "USD"), bought(1, 5.0)]) == (2, {"EUR": 5.0})
    assert totals([bought(0, 1e-8, "XBT"), bought(1, 30.0)])[1] == {"EUR": 30.0, "XBT": 1e-8}


def test_the_sum_is_given_for_at_most_one_currency() -> None:
    assert money.total(applied([bought(0, 30.0), bought(1, 5.0, "")])[0]) == 35.0
    assert money.total(applied([bought(0, 30.0), bought(1, 5.0, ""), bought(2, 1.0, "USD")])[0]) == 0.0
    assert money.total(State()) == 0.0


# Beside the first version, which kept the sum alone.


def as_first_version(state: State) -> State:
    """The state as a replica of the first version writes it again."""
    kept = msgspec.msgpack.decode(encode(state))
    return decode(msgspec.msgpack.encode(kept[: State.__struct_fields__.index("purchase_amounts")]))


def test_state_of_the_first_version_is_part_of_the_sum() -> None:
    state = as_first_version(applied([bought(0, 60.0), bought(1, 40.0)])[0])
    assert (money.amounts(state), money.total(state)) == ({"": 100.0}, 100.0)
    apply(state, bought(2, 20.0))
    assert (money.amounts(state), money.total(state)) == ({"": 100.0, "EUR": 20.0}, 120.0)
    apply(state, bought(3, -120.0, is_refund=True))
    assert money.total(state) == 0.0


def test_a_replica_of_the_first_version_loses_currencies_and_no_money() -> None:
    state = applied([bought(0, 60.0), bought(1, 5.0, "")])[0]
    apply(state, bought(2, -10.0, is_refund=True))
    written = as_first_version(state)
    written.purchase_amount += 7.0  # as that version adds
    assert (money.amounts(written), money.total(written)) == ({"": 62.0}, 62.0)
    apply(written, bought(5, 3.0))
    assert apply(written, at(9, Kind.IDENTIFY, is_link=True)).carried == Carried(2 + 1, {"": 62.0, "EUR": 3.0})


# From anonymous to known.


def test_an_anonymous_user_s_purchases_move_with_the_link() -> None:
    anonymous, known = State(), applied([bought(0, 1.0), bought(1, 7.0, "USD")])[0]
    for event in (bought(0, 30.0), bought(1, -10.0), bought(2, 5.0, ""), bought(3, 2.0, "GBP")):
        apply(anonymous, event)
    carried = apply(anonymous, at(9, Kind.IDENTIFY, is_link=True)).carried
    assert carried == Carried(3, {"": 5.0, "EUR": 20.0, "GBP": 2.0})
    assert (anonymous.purchase_count, money.amounts(anonymous)) == (0, {})
    assert apply(known, at(9, Kind.IDENTIFY, carried=carried)) is NOTHING
    assert (known.purchase_count, money.amounts(known)) == (5, {"": 5.0, "EUR": 21.0, "GBP": 2.0, "USD": 7.0})


def test_it_moves_once_and_later_purchases_with_the_next_link() -> None:
    state = applied([bought(0, 30.0)])[0]
    link = at(9, Kind.IDENTIFY, is_link=True)
    assert apply(state, link).carried == Carried(1, {"EUR": 30.0})
    assert apply(state, link).carried == Carried(0, {})
    apply(state, bought(20, 4.0))
    assert apply(state, link).carried == Carried(1, {"EUR": 4.0})


_PURCHASES = st.lists(
    st.builds(bought, st.integers(0, 99), st.integers(-50, 50).map(float), st.sampled_from(["", "EUR", "USD"])),
    max_size=12,
)


@given(_PURCHASES, _PURCHASES)
def test_nothing_is_lost_or_doubled_by_a_link(before: list[Event], after: list[Event]) -> None:
    anonymous, known = applied(before)[0], applied(after)[0]
    carried = apply(anonymous, at(100, Kind.IDENTIFY, is_link=True)).carried
    apply(known, at(100, Kind.IDENTIFY, carried=carried))
    count, amounts = totals([*after, *before])
    assert (known.purchase_count, money.amounts(known)) == (count, amounts)
    assert money.amounts(anonymous) == {}


def test_identifying_moves_nothing_else() -> None:
    before = applied([bought(0, 30.0), at(1, Kind.PAGE_VIEW, "/a")])[0]
    after = applied(
        [bought(0, 30.0), at(1, Kind.PAGE_VIEW, "/a"), at(9, Kind.IDENTIFY, carried=Carried(1, {"EUR": 1.0}))]
    )[0]
    assert vector(after) == vector(before)
