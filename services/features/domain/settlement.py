"""What a success ends: the signals of its task, page or form, whatever their type.

A success (a `task_success`, or a `purchase` that is not a refund) ends the signals found so far
- at the same target or on the same page;
- at its form and on the form's page, if it belongs to a form: a purchase belongs to the form begun or sent last, and
  the next success after a form was sent belongs to that form;
- about paying, wherever they were, if it is a purchase;
- just before it, on the page where the user is or was, if it is a `task_success` without a target.

Success elsewhere ends nothing. Two types have no place of their own: `RAPID_NAVIGATION` ends with any success,
`ENGAGEMENT_DROP` when engagement recovers.

A purchase reported by a system ends the same signals. An identified user has logged in, which is a success of whatever
is named like a login or a sign-up, and of nothing else.

The names of the last 16 successes are remembered, so that a failure from before a success counts as no trouble when it
arrives late.
"""

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from services.features.domain import window
from services.features.domain.event import NAME_LIMIT, Event, Kind
from services.features.domain.naming.paying import names_paying
from services.features.domain.naming.signing_in import names_signing_in
from services.features.domain.pages import route
from services.features.domain.signal import Signal, SignalType
from services.features.domain.state import MINUTE_US, OpenSignal, State

LIFETIME_US: Final = 30 * MINUTE_US
"""How long a signal counts; scoring has the same bound."""
SENT_US: Final = 10 * MINUTE_US
"""The next success within this time after a form was sent belongs to the form."""
JUST_BEFORE_US: Final = MINUTE_US
"""A success without a target is taken to be about the trouble within this time before it."""
SINGLE_CLICKS: Final = frozenset({SignalType.DEAD_CLICK, SignalType.ERROR_CLICK})
"""Signals of a single click, until it turns out to be part of a run."""
OPEN_LIMIT: Final = 16
SOLVED_LIMIT: Final = 16

_ENTRY: Final = struct.Struct(">q4s4s")
_TIME_BYTES: Final = 8
_NO_NAME: Final = {""}
_NAMELESS: Final = window.mark("")
_PAYING: Final = "\0paying"
_SIGNING_IN: Final = "\0signing in"


class Settled(msgspec.Struct, frozen=True, gc=False):
    """A signal that has ended, identified by its type, when it was found, and its target."""

    type: int
    at_us: int
    target: str


class _Place(NamedTuple):
    """Where a success happened: names of targets and pages, and whether it is a payment.

    One that names no target also stands for what was found at `found_us` or later on one of `near` pages, or from
    `latest_us` on wherever.
    """

    names: set[str]
    is_payment: bool
    near: frozenset[str] = frozenset()
    found_us: int = 0
    latest_us: int = 0

    def holds(self, target: str, page: str, at_us: int) -> bool:
        """Whether something at this target, on this page, is of the place; of one without names, what names none.

        A page that is reported without its query is the same as with one.
        """
        names = self.names
        if self.near and at_us >= self.found_us and (page in self.near or at_us >= self.latest_us):
            return True
        if target in names or page in names:
            return bool(target or page)
        if not names and not target and not page:
            return True
        if "?" in page and route(page) in names:
            return True
        if "?" not in page and any("?" in name and route(name) == page for name in names):
            return True
        return self.is_payment and (names_paying(target) or names_paying(page))


def keep(state: State, signal: Signal) -> bool:
    """Keeps a signal that is reported, and answers whether it is new: not an earlier one that goes on.

    Above the limit the oldest goes that has a later one of its type, as in scoring.
    """
    kept, since_us = state.open_signals, state.last_us - LIFETIME_US
    if kept and kept[0].at_us <= since_us:
        kept[:] = [each for each in kept if each.at_us > since_us]
    count_before = len(kept)
    run = signal.run_start_us
    if run:
        kept[:] = [each for each in kept if each.run_start_us != run or each.type != signal.type]
    is_new = len(kept) == count_before
    if run and is_new:
        kept[:] = [each for each in kept if each.type not in SINGLE_CLICKS or not run <= each.at_us <= signal.at_us]
    kept.append(OpenSignal(signal.type, signal.at_us, signal.target, signal.page, signal.since_us, run))
    if len(kept) > OPEN_LIMIT:
        last_of_type = {each.type: index for index, each in enumerate(kept)}
        del kept[next((index for index, each in enumerate(kept) if last_of_type[each.type] != index), 0)]
    return is_new


def settle(state: State, event: Event, prior_us: int) -> list[Settled]:
    """Ends what a success ends, be it late; also what was kept for signals to come.

    Args:
        state: the user; changed in place.
        event: the success, of which `state` knows already.
        prior_us: the latest event before it.
    """
    names = _solve(state, event)
    searched = state.traces.pop(SignalType.RAPID_NAVIGATION, None)
    if searched and event.at_us < state.last_us:
        state.traces[SignalType.RAPID_NAVIGATION] = [trace for trace in searched if trace.at_us > event.at_us]
    if not state.traces and not state.open_signals and not state.chain:
        return []
    place = _place(state, event, names, prior_us)
    for kind, traces in state.traces.items():
        state.traces[kind] = [
            trace
            for trace in traces
            if trace.at_us > event.at_us or not place.holds(trace.target, trace.page, trace.at_us)
        ]
    if state.chain and place.holds(state.chain[-1].target, state.chain[-1].page, state.chain[-1].at_us):
        state.chain, state.run_length = [], 0
    ended = end(state, lambda open_signal: _is_ended(open_signal, place, event.at_us))
    for each in ended:
        if each.type == SignalType.RAGE_CLICKS:
            state.rage_us = state.rage_count = 0
        elif each.type == SignalType.FORM_ABANDONMENT and each.at_us > event.at_us and each.at_us in state.abandons:
            state.abandons.remove(each.at_us)  # the form was done with before it was said to be left
    return ended


def sign_in(state: State, event: Event) -> list[Settled]:
    """Ends trouble with logging in or signing up, which a login has overcome, and its form."""
    login = _entry(event.at_us, _SIGNING_IN, "")
    # Some clients identify with every page: of logins one is remembered.
    known = [each for each in _entries(state.solved) if each[_TIME_BYTES:] != login[_TIME_BYTES:]]
    state.solved = b"".join([*known, login][-SOLVED_LIMIT:])
    state.solved_us = max(state.solved_us, event.at_us)
    if state.form_is_open and event.at_us >= state.form_us and _is_of_signing_in(state.form, state.form_page):
        state.form_is_open = False
    for kind, traces in state.traces.items():
        state.traces[kind] = [
            trace for trace in traces if trace.at_us > event.at_us or not _is_of_signing_in(trace.target, trace.page)
        ]
    return end(state, lambda each: event.at_us >= each.since_us and _is_of_signing_in(each.target, each.page))


def _is_of_signing_in(target: str, page: str) -> bool:
    return names_signing_in(target) or names_signing_in(page)


def end(state: State, is_over: Callable[[OpenSignal], bool]) -> list[Settled]:
    """Ends the open signals of which that holds, in the order they were reported."""
    over = [each for each in state.open_signals if is_over(each)]
    if over:
        state.open_signals = [each for each in state.open_signals if each not in over]
    return [Settled(each.type, each.at_us, each.target) for each in over]


def end_drop(state: State) -> list[Settled]:
    """Ends the drops of engagement, which is back."""
    return end(state, lambda each: each.type == SignalType.ENGAGEMENT_DROP)


def was_solved(state: State, event: Event, form: str = "") -> bool:
    """Whether the user succeeded at the place of an event, or at a form, when it had happened already."""
    names = {event.target[:NAME_LIMIT], event.page[:NAME_LIMIT], form} - {""}
    marks = {window.mark(name) for name in names}
    if any(map(names_paying, names)):
        marks.add(window.mark(_PAYING))
    if any(map(names_signing_in, names)):
        marks.add(window.mark(_SIGNING_IN))
    return any(
        event.at_us < at_us and (target in marks or page in marks or (not marks and target == page == _NAMELESS))
        for at_us, target, page in _ENTRY.iter_unpack(state.solved)
    )


def _solve(state: State, event: Event) -> set[str]:
    """The names of the place of a success, which are remembered as solved."""
    target, page = event.target[:NAME_LIMIT], event.page[:NAME_LIMIT]
    is_payment = event.kind == Kind.PURCHASE
    names = {target, page} - _NO_NAME
    solved = state.solved + _entry(event.at_us, target, page)
    if is_payment:
        solved += _entry(event.at_us, _PAYING, "")
    form = state.form
    is_sent = state.sent_us > 0 and 0 <= event.at_us - state.sent_us <= SENT_US
    state.sent_us = 0 if is_sent else state.sent_us
    is_of_form = is_payment or is_sent or form in names or state.form_page in names
    if form and event.at_us >= state.form_us and is_of_form:
        solved += _entry(event.at_us, form, state.form_page)
        names |= {form, state.form_page} - _NO_NAME
    state.solved = solved[-SOLVED_LIMIT * _ENTRY.size :]
    state.solved_us = max(state.solved_us, event.at_us)
    return names


def contradict(state: State, event: Event) -> None:
    """Takes a failure: at the form that was sent, it says how that ended."""
    if {event.target[:NAME_LIMIT], event.page[:NAME_LIMIT]} & {state.form, state.form_page}:
        state.sent_us = 0


def _place(state: State, event: Event, names: set[str], prior_us: int) -> _Place:
    """Where a success happened. Without a target it is also of the page before, where nothing was done on this one yet.

    Without a page it is of the page that the user is on, and of what was found last.
    """
    is_payment = event.kind == Kind.PURCHASE
    if event.target or is_payment or event.at_us < state.last_us:
        return _Place(names, is_payment)
    near = {"", event.page[:NAME_LIMIT] or state.page or state.last_page}
    if state.page in near and not state.page_is_touched:
        near.add(state.page_before)
    latest_us = event.at_us if event.page else prior_us
    return _Place(names, is_payment, frozenset(near), event.at_us - JUST_BEFORE_US, latest_us)


def _is_ended(open_signal: OpenSignal, place: _Place, at_us: int) -> bool:
    if open_signal.type == SignalType.ENGAGEMENT_DROP or at_us < open_signal.since_us:
        return False
    if open_signal.type == SignalType.RAPID_NAVIGATION:
        return True
    return place.holds(open_signal.target, open_signal.page, open_signal.at_us)


def _entries(solved: bytes) -> list[bytes]:
    return [solved[begin : begin + _ENTRY.size] for begin in range(0, len(solved), _ENTRY.size)]


def _entry(at_us: int, target: str, page: str) -> bytes:
    return _ENTRY.pack(at_us, window.mark(target), window.mark(page))
