"""What a user spent, each currency for itself: amounts of different currencies are never added."""

from math import isfinite
from typing import Final

from services.features.domain.event import Carried, Event, is_given_back
from services.features.domain.state import State

CURRENCY_LIMIT: Final = 16
"""Currencies kept of a user, besides what was spent without telling one; amounts in further ones are left out."""


def note(state: State, event: Event) -> None:
    """Counts a purchase or takes off a refund; a copy was counted where it is a copy from."""
    if event.is_copy:
        return
    if is_given_back(event):
        _add(state, event.currency, -abs(event.amount))
    else:
        _add(state, event.currency, event.amount)
        state.purchase_count += 1


def amounts(state: State) -> dict[str, float]:
    """What was spent by currency, ascending by code; the currency that was not told, if any, is the empty one."""
    told = dict(sorted(state.purchase_amounts.items()))
    return {"": state.purchase_amount, **told} if state.purchase_amount else told


def carry_away(state: State) -> Carried:
    """All that was bought; nothing of it stays."""
    carried = Carried(state.purchase_count, amounts(state))
    state.purchase_count, state.purchase_amount, state.purchase_amounts = 0, 0.0, {}
    return carried


def receive(state: State, carried: Carried) -> None:
    """Adds what was bought on another journey."""
    state.purchase_count += carried.purchase_count
    for currency, amount in carried.purchase_amounts.items():
        _add(state, currency, amount)


def _add(state: State, currency: str, amount: float) -> None:
    kept = state.purchase_amounts
    total = amount + (kept.get(currency, 0.0) if currency else state.purchase_amount)
    if not isfinite(total):
        return
    if not currency:
        state.purchase_amount = total
    elif currency in kept or len(kept) < CURRENCY_LIMIT:
        kept[currency] = total
