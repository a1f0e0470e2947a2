"""Rage, dead and error clicks, told by their effect and not by their number alone.

Three quick clicks on a stepper, a carousel or a toggle are use; three on a button that does nothing are rage. So a
chain is broken by a click that had an effect, and by one that changed the selection of text (a double or triple click
in a text). Where nobody watched the effect a fourth click is asked for, controls made for repeated clicks are left
out, and the signal is weaker.
"""

import re
from collections.abc import Sequence

from services.features.domain.event import NAME_LIMIT, Click, Event
from services.features.domain.signal import Signal, SignalType, is_late, place_text, signal
from services.features.domain.state import MINUTE_US, SECOND_US, ChainClick, State

CHAIN_US = SECOND_US
"""From the first to the last click of a chain."""
CHAIN_RADIUS_PIXELS = 30.0
"""From one click to the next, where they are not on the same element."""
WATCHED_CLICKS = 3
UNWATCHED_CLICKS = 4
RAGE_STRENGTH = 80.0
UNWATCHED_RAGE_STRENGTH = 60.0
RAGE_GROWTH = 10.0
"""More with every chain that follows another within 10 minutes."""
RAGE_MEMORY_US = 10 * MINUTE_US
ERROR_STRENGTH = 60.0
DEAD_STRENGTH = 40.0

_REPEATABLE = re.compile(
    r"(?:^|[^a-z])(?:next|prev|forward|back|plus|minus|increment|decrement|increase|decrease|step|spin|carousel|slide"
    r"|calendar|toggle|switch|zoom|volume)|[<>+-]$",
    re.IGNORECASE,
)


def find(state: State, event: Event) -> list[Signal]:
    """What a click tells. A late click is judged by itself, not as one of a chain."""
    click = event.click or Click()
    if click.selection_changed:
        state.chain = []
        return []
    is_fruitless = click.error_observed or click.effect_observed is False
    if not is_late(state, event):
        if click.effect_observed and not is_fruitless:
            state.chain = []
            return []
        rage = _find_rage(state, event, click, is_fruitless=is_fruitless)
        if rage is not None:
            return [rage]
    if not is_fruitless:
        return []
    place = event.target or event.page
    kind, strength, came = (
        (SignalType.ERROR_CLICK, ERROR_STRENGTH, "brought an error")
        if click.error_observed
        else (SignalType.DEAD_CLICK, DEAD_STRENGTH, "had no effect")
    )
    reason = f"A click{place_text(place)} {came}"
    return [signal(kind, strength, reason, event, evidence=[event.event_id], target=place)]


def _find_rage(state: State, event: Event, click: Click, *, is_fruitless: bool) -> Signal | None:
    """Adds the click to the chain and tells whether that makes it rage; a chain that was told begins anew."""
    if not is_fruitless and _REPEATABLE.search(event.target):
        state.chain = []
        return None
    page, target = event.page[:NAME_LIMIT], event.target[:NAME_LIMIT]
    latest = ChainClick(event.at_us, event.event_id, page, target, click.x, click.y, is_fruitless)
    chain = state.chain
    if chain and not _is_same_spot(chain[-1], latest):
        chain = []
    chain = [earlier for earlier in chain if event.at_us - earlier.at_us <= CHAIN_US]
    chain.append(latest)
    is_watched = any(each.is_fruitless for each in chain)
    if len(chain) < (WATCHED_CLICKS if is_watched else UNWATCHED_CLICKS):
        state.chain = chain
        return None
    state.chain = []
    state.rage_count = state.rage_count + 1 if event.at_us - state.rage_us <= RAGE_MEMORY_US else 1
    state.rage_us = event.at_us
    return _rage(chain, event, state.rage_count, is_watched=is_watched)


def _rage(chain: Sequence[ChainClick], event: Event, rage_count: int, *, is_watched: bool) -> Signal:
    seconds = (chain[-1].at_us - chain[0].at_us) / SECOND_US
    place = event.target or event.page
    effect = "without effect or with an error" if is_watched else "and nobody watched their effect"
    return signal(
        SignalType.RAGE_CLICKS,
        (RAGE_STRENGTH if is_watched else UNWATCHED_RAGE_STRENGTH) + RAGE_GROWTH * (rage_count - 1),
        f"{len(chain)} clicks within {seconds:.1f} s{place_text(place)} {effect}",
        event,
        evidence=[each.event_id for each in chain],
        target=place,
    )


def _is_same_spot(one: ChainClick, other: ChainClick) -> bool:
    if one.page != other.page:
        return False
    if one.target and one.target == other.target:
        return True
    if one.x is None or one.y is None or other.x is None or other.y is None:
        return False
    return (one.x - other.x) ** 2 + (one.y - other.y) ** 2 <= CHAIN_RADIUS_PIXELS**2
