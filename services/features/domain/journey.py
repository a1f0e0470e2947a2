"""One event applied to one user: sessions, pages, forms, counts, engagement, and the signals found on the way.

A user's events are applied one by one in the order of the stream, so that the result does not depend on how the stream
was cut. Nothing reads a clock: time is what the events say.
"""

from collections.abc import Callable
from math import isfinite

from services.features.domain import engagement, struggle, window
from services.features.domain.event import NAME_LIMIT, Event, Kind
from services.features.domain.signal import Signal, SignalType, is_late
from services.features.domain.state import DAY_US, SESSION_GAP_US, State
from services.features.domain.vector import WINDOW_US

_CLICK_SIGNALS = frozenset({SignalType.RAGE_CLICKS, SignalType.DEAD_CLICK, SignalType.ERROR_CLICK})
_NO_STEPS = frozenset({Kind.INTERVENTION_OUTCOME, Kind.IDENTIFY})
"""Kinds that are no steps of a journey."""
_MARKS = frozenset({Kind.PAGE_VIEW, Kind.SESSION_START, Kind.SESSION_END})
"""Kinds by which nothing is done on a page."""


def apply(state: State, event: Event, video_engagement: float | None = None) -> list[Signal]:
    """Moves the state on by one event and answers with the signals found.

    An intervention's outcome and an identification are counted as events and else left out: they tell of our doing, and
    of who the user is, not of the journey.

    Args:
        state: the user; changed in place.
        event: what happened; may be older than what was seen before.
        video_engagement: with a playback, the user's engagement over videos after it, 0 to 100.
    """
    _meet(state, event)
    if event.kind in _NO_STEPS:
        return []
    prior_us = state.last_us
    _move_time(state, event)
    is_refresh = event.kind == Kind.PAGE_VIEW and struggle.is_refresh(state, event)
    found = struggle.detect(state, event, prior_us)
    for signal in found:
        _count_signal(state, signal)
    effect = _EFFECTS.get(event.kind)
    if effect is not None:
        effect(state, event)
    if not is_late(state, event):
        state.page_is_quiet = event.kind == Kind.PAGE_VIEW
        if event.kind not in _MARKS:
            state.page_is_touched = True
    if event.at_us >= state.session_start_us:
        value = engagement.worth(event, video_engagement, is_refresh=is_refresh)
        if value is not None:
            engagement.take(state, value)
            found += engagement.find_drop(state, event)
    return found


def session_start(state: State, event: Event) -> int:
    """The start of the session an event belongs to, once it is applied: Unix microseconds.

    One that lies before the latest session by more than the gap stands for itself: its session is no longer known.
    """
    return event.at_us if event.at_us < state.session_start_us - SESSION_GAP_US else state.session_start_us


def _meet(state: State, event: Event) -> None:
    """Takes what every event tells, whatever its kind."""
    if not state.event_count:
        state.first_us = state.last_us = state.session_start_us = event.at_us
        state.today = event.at_us // DAY_US
    state.event_count += 1
    if event.is_bot:
        state.is_bot = True
    if 0 < event.platform < 32:
        state.platforms |= 1 << event.platform


def _move_time(state: State, event: Event) -> None:
    """Moves the user's own now on to the event; a late event moves nothing but the beginnings.

    One that lies before the open session by no more than the gap belongs to it: the session began with it. Where only
    what is no step was seen, that stands for a session of which nothing was known.
    """
    at_us = event.at_us
    if at_us < state.last_us:
        state.first_us = min(state.first_us, at_us)
        if state.session_start_us - SESSION_GAP_US <= at_us < state.session_start_us:
            if not state.session_count:
                _begin_session(state, at_us)
            state.session_start_us = at_us
        return
    day = at_us // DAY_US
    if day > state.today:
        state.page_marks, state.page_days = window.advance_pages(state.page_marks, state.page_days, state.today, day)
        state.session_days = window.advance_days(state.session_days, state.today, day)
        state.today = day
    if not state.session_count or at_us - state.last_us > SESSION_GAP_US:
        _begin_session(state, at_us)
    state.last_us = at_us
    if event.page:
        state.last_page = event.page[:NAME_LIMIT]
    if event.time_zone:
        state.time_zone = event.time_zone


def _begin_session(state: State, at_us: int) -> None:
    """Closes the session before, of which only the engagement is kept, and opens one."""
    engagement.close_session(state)
    state.session_count += 1
    state.session_days = window.note_session(state.session_days, state.today)
    state.session_start_us = at_us
    state.page_exit_count = state.page_visit_count = state.first_visit_us = 0
    state.form = state.form_page = state.form_event_id = ""
    state.form_is_open = False
    state.traces = {}
    state.chain = []
    _enter_page(state, "", "")
    state.page_before = ""


def _enter_page(state: State, page: str, event_id: str) -> None:
    state.page_before = state.page
    state.page, state.page_event_id = page, event_id
    state.page_active_us = state.page_active_step = 0
    state.page_is_touched = state.page_is_quiet = False


def _leave_page(state: State) -> None:
    if state.page and not state.page_is_touched:
        state.page_exit_count += 1


def _count_signal(state: State, signal: Signal) -> None:
    """Counts the signals that are features themselves."""
    if signal.type in _CLICK_SIGNALS:
        window.note(state.click_findings, signal.at_us, state.last_us, WINDOW_US)
    elif signal.type == SignalType.FORM_ABANDONMENT:
        window.note(state.abandons, signal.at_us, state.last_us, WINDOW_US)


def _view_page(state: State, event: Event) -> None:
    page = event.page[:NAME_LIMIT]
    if not page:
        return
    state.page_marks, state.page_days = window.note_page(
        state.page_marks, state.page_days, page, event.at_us // DAY_US, state.today
    )
    if is_late(state, event):
        return
    if page != state.page:
        _leave_page(state)
        _enter_page(state, page, event.event_id)
        if not state.page_visit_count:
            state.first_visit_us = event.at_us
        state.page_visit_count += 1
    state.page_viewed_us = event.at_us


def _end_session(state: State, event: Event) -> None:
    """The client's own end of a session leaves page and form; the session itself ends by its gap."""
    if not is_late(state, event):
        _leave_page(state)
        _enter_page(state, "", "")
        state.form_is_open = False


def _begin_form(state: State, event: Event) -> None:
    if not is_late(state, event):
        state.form = (event.target or event.page)[:NAME_LIMIT]
        state.form_page = event.page[:NAME_LIMIT]
        state.form_event_id = event.event_id
        state.form_is_open = event.kind == Kind.FORM_START


def _abandon_form(state: State, event: Event) -> None:
    if not is_late(state, event):
        state.form_is_open = False


def _err(state: State, event: Event) -> None:
    window.note(state.errors, event.at_us, state.last_us, WINDOW_US)


def _try_again(state: State, event: Event) -> None:
    window.note(state.retries, event.at_us, state.last_us, WINDOW_US)


def _ask_help(state: State, event: Event) -> None:
    window.note(state.helps, event.at_us, state.last_us, WINDOW_US)


def _fail(state: State, event: Event) -> None:
    told = struggle.attempts_told(event)
    for _ in range(told):
        window.note(state.failures, event.at_us, state.last_us, WINDOW_US)
    for _ in range(told - 1):
        window.note(state.retries, event.at_us, state.last_us, WINDOW_US)


def _succeed(state: State, event: Event) -> None:
    window.note(state.successes, event.at_us, state.last_us, WINDOW_US)
    state.last_success_us = max(state.last_success_us, event.at_us)
    if not is_late(state, event):
        struggle.settle(state, event)


def _buy(state: State, event: Event) -> None:
    total = state.purchase_amount + event.amount
    if isfinite(total):
        state.purchase_amount = total
    if event.amount >= 0:
        state.purchase_count += 1
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
