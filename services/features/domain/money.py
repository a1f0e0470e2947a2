"""What a user spent, per currency: amounts of different currencies are never added.

The sum over all of them is kept beside, because the first version kept that alone: its replicas go on with it, and what
they reported has no currency.
"""

from math import isfinite
from typing import Final

from services.features.domain.event import Carried, Event, is_given_back
from services.features.domain.state import State

CURRENCY_LIMIT: Final = 16
"""Currencies kept of a user, besides what was spent without telling one; amounts in further ones are left out."""
_ROUNDING: Final = 1e-9
"""What is left of two amounts that cancel out, at most, as a share of the one."""


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
    """What was spent by currency, ascending by code, zeros left out; of no reported currency under the empty one."""
    if state.purchase_amounts:
        return dict(sorted(state.purchase_amounts.items()))
    return {"": state.purchase_amount} if state.purchase_amount else {}


def total(state: State) -> float:
    """What was spent where no more than one currency was reported; 0 where several were."""
    return state.purchase_amount if len(state.purchase_amounts.keys() - {""}) <= 1 else 0.0


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
