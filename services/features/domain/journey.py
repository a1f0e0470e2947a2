"""One event applied to one user: sessions, pages, forms, counts, engagement, and the signals found on the way.

A user's events are applied one by one in the order of the stream, so that the result does not depend on how the stream
was cut. Nothing reads a clock: time is what the events say.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from services.features.domain import (
    clicks,
    engagement,
    history,
    money,
    own,
    pages,
    sessions,
    settlement,
    struggle,
    window,
)
from services.features.domain.event import NAME_LIMIT, Carried, Event, Kind, Platform, is_given_back
from services.features.domain.settlement import Settled
from services.features.domain.signal import Signal, SignalType, is_late
from services.features.domain.state import DAY_US, State
from services.features.domain.vector import WINDOW_US

_CLICK_SIGNALS = frozenset({SignalType.RAGE_CLICKS, SignalType.DEAD_CLICK, SignalType.ERROR_CLICK})
_NO_STEPS = frozenset({Kind.INTERVENTION_OUTCOME, Kind.IDENTIFY})
"""Kinds that are not steps of a journey."""
_GOALS = frozenset({Kind.TASK_SUCCESS, Kind.PURCHASE})
_MARKS = frozenset({Kind.PAGE_VIEW, Kind.SESSION_START, Kind.SESSION_END})
"""Kinds that do not count as doing something on a page."""
_ECHOES: dict[int, Callable[[State, Event], bool]] = {
    Kind.PAGE_VIEW: struggle.is_echo,
    Kind.CLICK: clicks.is_echo,
}
"""Kinds that clients sometimes report twice."""
_ECHO_US = max(struggle.ECHO_US, clicks.ECHO_US)


class Found(NamedTuple):
    """What one event led to: new signals, signals that ended, and purchases that move to another user."""

    signals: Sequence[Signal] = ()
    settled: Sequence[Settled] = ()
    carried: Carried | None = None


NOTHING: Final = Found()


def apply(state: State, event: Event, video_engagement: float | None = None) -> Found:
    """Moves the state on by one event.

    Some events only count as events:
    - An intervention's outcome and an identification are no steps of the journey. But a login ends trouble with
      logging in.
    - What a system did, or a server while the user was away, was not done by the user. But a purchase still counts as
      money and ends the trouble with it.
    - An echo is the same view or click reported twice.

    Args:
        state: the user; changed in place.
        event: what happened; may be older than what was seen before.
        video_engagement: with a playback, the user's engagement over videos after it, 0 to 100.
    """
    state.event_count += 1
    kind = event.kind
    is_step = kind not in _NO_STEPS
    if event.is_system or (is_step and event.platform == Platform.BACKEND and sessions.is_away(state, event)):
        return _take_money(state, event) if kind == Kind.PURCHASE else NOTHING
    sessions.meet(state, event)
    if event.own is not None:
        own.note(state.numbers, state.words, event.own, event.at_us)
    if not is_step:
        return _identify(state, event)
    prior_us = state.last_us
    is_echo = kind in _ECHOES and event.at_us - prior_us <= _ECHO_US and _ECHOES[kind](state, event)
    sessions.move_time(state, event)
    if is_echo:
        return _take_echo(state, event)
    history.note(state.history, event, state.session_start_us)
    return _take_step(state, event, prior_us, video_engagement)


def _take_step(state: State, event: Event, prior_us: int, video_engagement: float | None) -> Found:
    kind, at_us = event.kind, event.at_us
    is_view = kind == Kind.PAGE_VIEW
    is_refresh = is_view and struggle.is_refresh(state, event)
    found = struggle.detect(state, event, prior_us)
    for signal in found:
        _count_signal(state, signal)
    effect = _EFFECTS.get(kind)
    if effect is not None:
        effect(state, event)
    settled = settlement.settle(state, event, prior_us) if kind in _GOALS and not is_given_back(event) else []
    if at_us >= state.last_us:
        state.page_is_quiet = is_view
        if kind not in _MARKS:
            state.page_is_touched = True
    if at_us >= state.session_start_us:
        value = engagement.worth(event, video_engagement, is_refresh=is_refresh)
        if value is not None:
            engagement.take(state, value)
            if state.drop_step or engagement.has_dropped(state):
                _compare_engagement(state, event, found, settled)
    return Found(found, settled) if found or settled else NOTHING


def _take_money(state: State, event: Event) -> Found:
    """Takes a purchase that a system reported, such as a payment service: it is money, and ends trouble with paying."""
    money.note(state, event)
    if is_given_back(event):
        return NOTHING
    if event.at_us >= state.form_us:
        state.form_is_open = False
    settled = settlement.settle(state, event, state.last_us)
    return Found((), settled) if settled else NOTHING


def _identify(state: State, event: Event) -> Found:
    """An identification does not change the journey. A link moves purchases away; they arrive with the known user."""
    settled = settlement.sign_in(state, event) if event.kind == Kind.IDENTIFY else []
    if event.is_link:
        return Found((), settled, money.carry_away(state))
    if event.carried is not None:
        money.receive(state, event.carried)
    return Found((), settled) if settled else NOTHING


def _take_echo(state: State, event: Event) -> Found:
    if event.kind == Kind.CLICK:
        found, settled = clicks.take_echo(state, event)
        for signal in found:
            _count_signal(state, signal)
        return Found(found, settled) if found or settled else NOTHING
    if not is_late(state, event):
        state.page_viewed_us, state.view_mark = event.at_us, pages.view_mark(event)
    return NOTHING


def _compare_engagement(state: State, event: Event, found: list[Signal], settled: list[Settled]) -> None:
    """Adds a drop of engagement to the signals found, or ends earlier drops."""
    if engagement.has_dropped(state):
        for drop in engagement.find_drop(state, event):
            settlement.keep(state, drop)
            found.append(drop)
    else:
        state.drop_step = 0
        settled += settlement.end_drop(state)


def _count_signal(state: State, signal: Signal) -> None:
    """Keeps a signal, and counts it if it is a feature itself. One that continues was counted when it began.

    Clicks that were counted singly before they turned out to be a run are now part of the run's count.
    """
    is_new = settlement.keep(state, signal)
    if signal.type in _CLICK_SIGNALS and is_new:
        if signal.run_start_us:
            state.click_findings = [
                each for each in state.click_findings if not signal.run_start_us <= each <= signal.at_us
            ]
        window.note(state.click_findings, signal.at_us, state.last_us, WINDOW_US)
    elif signal.type == SignalType.FORM_ABANDONMENT:
        window.note(state.abandons, signal.at_us, state.last_us, WINDOW_US)


def _view_page(state: State, event: Event) -> None:
    page = event.page[:NAME_LIMIT]
    if not page:
        return
    route = pages.route(page) if "?" in page else page
    state.page_marks, state.page_days = window.note_page(
        state.page_marks, state.page_days, route, event.at_us // DAY_US, state.today
    )
    if is_late(state, event):
        return
    if page != state.page:
        sessions.leave_page(state)
        sessions.enter_page(state, page, event.event_id)
        if not state.page_visit_count:
            state.first_visit_us = event.at_us
        state.page_visit_count += 1
    state.view_us = event.at_us
    state.page_viewed_us, state.view_mark = event.at_us, pages.view_mark(event)


def _end_session(state: State, event: Event) -> None:
    """A client's `session_end` leaves page and form. The session itself ends by its gap."""
    if not is_late(state, event):
        sessions.leave_page(state)
        sessions.enter_page(state, "", "")
        state.form_is_open, state.sent_us = False, 0


def _begin_form(state: State, event: Event) -> None:
    if not is_late(state, event):
        state.form = (event.target or event.page)[:NAME_LIMIT]
        state.form_page = event.page[:NAME_LIMIT]
        state.form_event_id, state.form_us = event.event_id, event.at_us
        state.form_is_open = event.kind == Kind.FORM_START
        state.sent_us = 0 if state.form_is_open else event.at_us


def _abandon_form(state: State, event: Event) -> None:
    if not is_late(state, event):
        state.form_is_open, state.sent_us = False, 0


def _err(state: State, event: Event) -> None:
    if state.sent_us:
        settlement.contradict(state, event)
    window.note(state.errors, event.at_us, state.last_us, WINDOW_US)


def _try_again(state: State, event: Event) -> None:
    if state.sent_us:
        settlement.contradict(state, event)
    window.note(state.retries, event.at_us, state.last_us, WINDOW_US)


def _ask_help(state: State, event: Event) -> None:
    window.note(state.helps, event.at_us, state.last_us, WINDOW_US)


def _fail(state: State, event: Event) -> None:
    attempts = struggle.attempts_reported(event)
    if state.sent_us:
        settlement.contradict(state, event)
    for _ in range(attempts):
        window.note(state.failures, event.at_us, state.last_us, WINDOW_US)
    for _ in range(attempts - 1):
        window.note(state.retries, event.at_us, state.last_us, WINDOW_US)


def _succeed(state: State, event: Event) -> None:
    window.note(state.successes, event.at_us, state.last_us, WINDOW_US)
    state.last_success_us = max(state.last_success_us, event.at_us)
    if not is_late(state, event):
        state.page_active_us = state.page_active_step = 0
    if event.at_us >= state.form_us and _is_of_form(state, event):
        state.form_is_open = False


def _is_of_form(state: State, event: Event) -> bool:
    """Whether a success belongs to the open form. A purchase always does."""
    if event.kind == Kind.PURCHASE:
        return True
    target, page = event.target[:NAME_LIMIT], event.page[:NAME_LIMIT]
    return target == state.form if target else page != "" and page == state.form_page


def _buy(state: State, event: Event) -> None:
    money.note(state, event)
    if not is_given_back(event):
        _succeed(state, event)


_EFFECTS: dict[int, Callable[[State, Event], None]] = {
    Kind.PAGE_VIEW: _view_page,
    Kind.FORM_START: _begin_form,
    Kind.FORM_SUBMIT: _begin_form,
    Kind.FORM_ABANDON: _abandon_form,
    Kind.ERROR: _err,
    Kind.RETRY: _try_again,
    Kind.HELP_REQUEST: _ask_help,
    Kind.TASK_SUCCESS: _succeed,
    Kind.TASK_FAILURE: _fail,
    Kind.STRUGGLE_SIGNAL: _fail,
    Kind.PURCHASE: _buy,
    Kind.SESSION_END: _end_session,
}
"""What each kind of event changes; the others only count as something done."""
