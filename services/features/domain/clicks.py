"""Rage, dead and error clicks, recognised by their effect and not by their number alone.

Three quick clicks on a stepper, a carousel or a toggle are use; three on a button that does nothing are rage. So a
chain is broken by a click that had an effect or changed a value, and by one that changed the selection of text (a
double or triple click in a text). If the client did not watch the effect, four clicks are needed, controls made for
repeated clicks are excluded by their role or, as a last hint, by their name, and the signal is weaker.

A run of clicks is one rage, however long. It is reported when it becomes one, and again with each further click within
a second; each report replaces the one before.
"""

from collections.abc import Collection, Sequence

import msgspec

from services.features.domain import settlement, window
from services.features.domain.event import NAME_LIMIT, Click, Event
from services.features.domain.naming.repeats import is_repeated_name, is_repeated_role
from services.features.domain.settlement import Settled
from services.features.domain.signal import (
    EVIDENCE_LIMIT,
    Signal,
    SignalType,
    is_coarse,
    is_late,
    place_text,
    signal,
)
from services.features.domain.state import MINUTE_US, SECOND_US, ChainClick, State

CHAIN_US = SECOND_US
"""The longest time from the first to the last click of a chain; once it is rage, from one click to the next."""
CHAIN_RADIUS_PIXELS = 30.0
"""The greatest distance from one click to the next if they are not on the same element."""
WATCHED_CLICKS = 3
UNWATCHED_CLICKS = 4
RAGE_STRENGTH = 80.0
UNWATCHED_RAGE_STRENGTH = 60.0
RAGE_GROWTH = 10.0
"""Added for every run that follows another within 10 minutes, and for every three clicks of a watched run."""
RAGE_MEMORY_US = 10 * MINUTE_US
ERROR_STRENGTH = 60.0
DEAD_STRENGTH = 40.0
ECHO_US = 10_000
"""Two clicks this close together are one click reported twice."""
SHORTEST_SECONDS = 0.1
"""The shortest duration reported for a run; clocks resolve no less."""

_RETRACTED = frozenset({SignalType.DEAD_CLICK, SignalType.RAGE_CLICKS})


def is_echo(state: State, event: Event) -> bool:
    """Whether a click is one reported twice, as for a label and for its input: the second of two on one page at once.

    If the clock has whole seconds only, two clicks on one element may be any time apart and count as two.
    """
    if not -ECHO_US <= event.at_us - state.click_us <= ECHO_US:
        return False
    if not state.click_us or event.page[:NAME_LIMIT] not in {"", state.last_page}:
        return False
    return not is_coarse(event.at_us, state.click_us) or state.click_mark != window.mark(event.target)


def take_echo(state: State, event: Event) -> tuple[list[Signal], list[Settled]]:
    """Takes the second report of a click, for what only it reports.

    If it had an effect, the first was neither a dead click nor rage. If it had none, or an error, so did the first.
    """
    first_us, state.click_us = state.click_us, 0
    click = event.click or Click()
    if any(each.at_us == first_us and each.type == SignalType.ERROR_CLICK for each in state.open_signals):
        return [], []
    if was_fruitless(click):
        return _take_trouble(state, event, click, first_us)
    if not (click.effect_observed or click.value_changed):
        return [], []
    break_chain(state)
    return [], _retract(state, first_us, _RETRACTED)


def _take_trouble(state: State, event: Event, click: Click, first_us: int) -> tuple[list[Signal], list[Settled]]:
    """Judges the first click again by what its echo reports, unless it is known to have been as fruitless."""
    first = state.chain[-1] if state.chain and state.chain[-1].at_us == first_us else None
    is_known = first is not None and first.is_fruitless
    is_reported = is_known and state.run_length > 0
    if is_reported or not (click.error_observed or (first is not None and not is_known)):
        return [], []
    settled = _retract(state, first_us, {SignalType.DEAD_CLICK})
    if first is not None:
        state.chain = state.chain[:-1]
        state.run_length = max(0, state.run_length - 1)
        click = msgspec.structs.replace(click, x=first.x, y=first.y)
        event = msgspec.structs.replace(event, page=first.page, target=first.target, click=click)
    found = find(state, event)
    state.click_us = 0
    return found, settled


def _retract(state: State, at_us: int, types: Collection[int]) -> list[Settled]:
    """Takes back the signals found at the click of that time."""
    settled = settlement.end(state, lambda each: each.at_us == at_us and each.type in types)
    if settled and at_us in state.click_findings:
        state.click_findings.remove(at_us)
    return settled


def find(state: State, event: Event) -> list[Signal]:
    """The signals of a click. A late click is judged by itself, not as part of a chain."""
    state.click_us, state.click_mark = event.at_us, window.mark(event.target)
    click = event.click or Click()
    if click.selection_changed:
        break_chain(state)
        return []
    is_fruitless = was_fruitless(click)
    if not is_late(state, event):
        if click.effect_observed and not is_fruitless:
            break_chain(state)
            return []
        rage = _find_rage(state, event, click, is_fruitless=is_fruitless)
        if rage is not None:
            return [rage]
    if not is_fruitless:
        return []
    place = event.target or event.page
    kind, strength, effect = (
        (SignalType.ERROR_CLICK, ERROR_STRENGTH, "brought an error")
        if click.error_observed
        else (SignalType.DEAD_CLICK, DEAD_STRENGTH, "had no effect")
    )
    reason = f"A click{place_text(place)} {effect}"
    return [signal(kind, strength, reason, event, evidence=[event.event_id], target=place)]


def was_fruitless(click: Click) -> bool:
    """Whether a click is known to have led nowhere. A changed value is an effect, whatever else was watched."""
    return click.error_observed or (click.effect_observed is False and not click.value_changed)


def break_chain(state: State) -> None:
    """Ends the chain of clicks, and with it a rage that it has become."""
    if state.chain:
        state.chain, state.run_length = [], 0


def _find_rage(state: State, event: Event, click: Click, *, is_fruitless: bool) -> Signal | None:
    """Adds the click to the chain and says whether that makes it rage, or makes the rage longer."""
    if not is_fruitless and (click.value_changed or is_repeated_role(click.role) or is_repeated_name(event.target)):
        break_chain(state)
        return None
    page, target = event.page[:NAME_LIMIT], event.target[:NAME_LIMIT]
    latest = ChainClick(event.at_us, event.event_id, page, target, click.x, click.y, is_fruitless)
    if state.chain and not _follows(latest, state.chain[-1]):
        break_chain(state)
    if state.run_length:
        # Older clicks are dropped, but it stays known whether any click of the run was watched.
        latest = msgspec.structs.replace(latest, is_fruitless=is_fruitless or _is_watched(state.chain))
        state.run_length += 1
        state.chain = [*state.chain, latest][-EVIDENCE_LIMIT:]
    else:
        state.chain = [earlier for earlier in state.chain if event.at_us - earlier.at_us <= CHAIN_US]
        state.chain.append(latest)
        if len(state.chain) < (WATCHED_CLICKS if _is_watched(state.chain) else UNWATCHED_CLICKS):
            return None
        state.run_start_us, state.run_length = state.chain[0].at_us, len(state.chain)
        state.rage_count = state.rage_count + 1 if event.at_us - state.rage_us <= RAGE_MEMORY_US else 1
    state.rage_us = event.at_us
    return _rage(state, event)


def _rage(state: State, event: Event) -> Signal:
    is_watched = _is_watched(state.chain)
    folds = state.run_length // WATCHED_CLICKS - 1 if is_watched else 0
    strength = RAGE_STRENGTH if is_watched else UNWATCHED_RAGE_STRENGTH
    seconds = max(SHORTEST_SECONDS, (event.at_us - state.run_start_us) / SECOND_US)
    place = event.target or event.page
    effect = "without effect or with an error" if is_watched else "and nobody watched their effect"
    found = signal(
        SignalType.RAGE_CLICKS,
        strength + RAGE_GROWTH * (state.rage_count - 1 + folds),
        f"{state.run_length} clicks within {seconds:.1f} s{place_text(place)} {effect}",
        event,
        evidence=[each.event_id for each in state.chain],
        target=place,
    )
    return msgspec.structs.replace(found, run_start_us=state.run_start_us)


def _is_watched(chain: Sequence[ChainClick]) -> bool:
    return any(each.is_fruitless for each in chain)


def _follows(one: ChainClick, other: ChainClick) -> bool:
    """Whether a click comes within a second of the one before and on the same spot."""
    if one.at_us - other.at_us > CHAIN_US or one.page != other.page:
        return False
    if one.target and one.target == other.target:
        return True
    if one.x is None or one.y is None or other.x is None or other.y is None:
        return False
    return (one.x - other.x) ** 2 + (one.y - other.y) ** 2 <= CHAIN_RADIUS_PIXELS**2
