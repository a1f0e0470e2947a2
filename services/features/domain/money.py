"""What a user spent, per currency: amounts of different currencies are never added.

The sum over all currencies is kept too, because the first version keeps only that: its replicas continue to use it, and
amounts they stored have no currency.
"""

from math import isfinite
from typing import Final

from services.features.domain.event import Carried, Event, is_given_back
from services.features.domain.state import State

CURRENCY_LIMIT: Final = 16
"""Currencies kept per user, besides amounts without one; amounts in further currencies are ignored."""
_ROUNDING: Final = 1e-9
"""The largest remainder of two amounts that cancel out, as a share of one of them."""


def note(state: State, event: Event) -> None:
    """Adds a purchase or subtracts a refund. A copied event was counted in its own journey."""
    if event.is_copy:
        return
    if is_given_back(event):
        _add(state, event.currency, -abs(event.amount))
    else:
        _add(state, event.currency, event.amount)
        state.purchase_count += 1


def amounts(state: State) -> dict[str, float]:
    """Amounts spent by currency, ascending by code, without zeros; amounts without a currency under the empty code."""
    if state.purchase_amounts:
        return dict(sorted(state.purchase_amounts.items()))
    return {"": state.purchase_amount} if state.purchase_amount else {}


def total(state: State) -> float:
    """The amount spent if at most one currency was reported, else 0."""
    return state.purchase_amount if len(state.purchase_amounts.keys() - {""}) <= 1 else 0.0


def carry_away(state: State) -> Carried:
    """Takes all purchases out of the state and returns them."""
    carried = Carried(state.purchase_count, amounts(state))
    state.purchase_count, state.purchase_amount, state.purchase_amounts = 0, 0.0, {}
    return carried


def receive(state: State, carried: Carried) -> None:
    """Adds purchases of another journey."""
    state.purchase_count += carried.purchase_count
    for currency, amount in carried.purchase_amounts.items():
        _add(state, currency, amount)


def _add(state: State, currency: str, amount: float) -> None:
    kept = amounts(state)
    before = kept.get(currency, 0.0)
    after = before + amount
    is_beyond = bool(currency) and currency not in kept and len(kept.keys() - {""}) >= CURRENCY_LIMIT
    if is_beyond or not isfinite(after):
        return
    if abs(after) <= _ROUNDING * abs(before):
        kept.pop(currency, None)
    else:
        kept[currency] = after
    state.purchase_amounts = kept
    in_all = sum(kept.values())
    if isfinite(in_all):
        state.purchase_amount = in_all
