"""The user's own time, open session and current page.

A session is the run of events without a gap of more than 30 minutes. Late events move no time but the beginnings.
"""

from services.features.domain import clicks, engagement, history, window
from services.features.domain.event import NAME_LIMIT, Event, Platform
from services.features.domain.state import DAY_US, SESSION_GAP_US, State

SHOWN_FOR_US = 28 * DAY_US
"""How long a user counts as using a browser or phone after an event from one."""


def meet(state: State, event: Event) -> None:
    """Takes what every kind of event reports."""
    if not state.last_us:
        state.first_us = state.last_us = state.session_start_us = event.at_us
        state.today = event.at_us // DAY_US
    if event.is_bot:
        state.is_bot = True
    platform = event.platform
    if 0 < platform < 32:
        state.platforms |= 1 << platform
        if platform != Platform.BACKEND and event.at_us > state.shown_us:
            state.shown_us = event.at_us
    zone = event.time_zone
    if zone and (zone != state.time_zone or not state.zone_is_own) and _knows_zone_better(state, event):
        state.time_zone, state.zone_is_own = zone, event.platform != Platform.BACKEND


def _knows_zone_better(state: State, event: Event) -> bool:
    """Whether to take an event's time zone: one from a server never replaces one from the user's device."""
    is_own = event.platform != Platform.BACKEND
    if not state.time_zone or is_own != state.zone_is_own:
        return is_own or not state.time_zone
    return event.at_us >= state.last_us


def is_away(state: State, event: Event) -> bool:
    """Whether a server reports something while no session is open, for a user who uses a browser or phone.

    The user is not there then: the server ran a job for the user. Users known to servers only are never away.
    """
    return (
        event.platform == Platform.BACKEND
        and event.at_us - state.last_us > SESSION_GAP_US
        and event.at_us - state.shown_us <= SHOWN_FOR_US
    )


def move_time(state: State, event: Event) -> None:
    """Moves the user's now to the event.

    A late event only moves beginnings: if it is before the open session by no more than the gap, the session began with
    it. If the session is known only by events that are not steps, a first session is opened for it.
    """
    at_us, received_us, last_us = event.at_us, event.received_us, state.last_us
    if last_us - received_us > DAY_US >= at_us - received_us:
        _forget_future(state, at_us)
        last_us = at_us
    if at_us < last_us:
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
    if not state.session_count or at_us - last_us > SESSION_GAP_US:
        _begin_session(state, at_us)
    state.last_us = at_us
    page = event.page
    if page:
        state.last_page = page[:NAME_LIMIT]


def session_start(state: State, event: Event) -> int:
    """The start of the session an applied event belongs to, in Unix microseconds.

    For an event before the latest session by more than the gap it is the event's own time, because its session is no
    longer known. For a system's event outside the latest session it is 0.
    """
    if event.is_system and not state.session_start_us <= event.at_us <= state.last_us + SESSION_GAP_US:
        return 0
    if event.platform == Platform.BACKEND and event.at_us > state.last_us + SESSION_GAP_US:
        return 0
    return event.at_us if event.at_us < state.session_start_us - SESSION_GAP_US else state.session_start_us


def _forget_future(state: State, now_us: int) -> None:
    """Resets the user's now if it is more than a day after the receipt of a later event.

    A clock was wrong, and everything the user does until then would be late. Counts at impossible times are dropped,
    and a new session begins.
    """
    for times in (
        state.errors,
        state.retries,
        state.helps,
        state.abandons,
        state.click_findings,
        state.successes,
        state.failures,
    ):
        times[:] = [at_us for at_us in times if at_us <= now_us]
    state.today = now_us // DAY_US
    state.session_days = state.page_days = state.page_marks = state.solved = b""
    state.solved_us = 0
    state.first_us, state.last_success_us = min(state.first_us, now_us), min(state.last_success_us, now_us)
    state.rage_us = state.rage_count = state.click_us = 0
    state.shown_us = min(state.shown_us, now_us)
    state.last_us = now_us
    history.forget_future(state.history, now_us)
    _begin_session(state, now_us)


def _begin_session(state: State, at_us: int) -> None:
    """Opens a session and closes the one before, of which only the engagement and what `history` needs is kept."""
    engagement.close_session(state)
    history.begin_session(state.history, at_us, (state.session_start_us, state.last_us))
    state.session_count += 1
    state.session_days = window.note_session(state.session_days, state.today)
    state.session_start_us = at_us
    state.page_exit_count = state.page_visit_count = state.first_visit_us = 0
    state.form = state.form_page = state.form_event_id = ""
    state.form_is_open, state.form_us, state.sent_us = False, 0, 0
    state.traces = {}
    state.open_signals = []
    clicks.break_chain(state)
    enter_page(state, "", "")
    state.page_before = ""


def enter_page(state: State, page: str, event_id: str) -> None:
    """Puts the user on a page; empty for none."""
    state.page_before = state.page
    state.page, state.page_event_id = page, event_id
    state.page_active_us = state.page_active_step = 0
    state.page_is_touched = state.page_is_quiet = False


def leave_page(state: State) -> None:
    """Counts a page exit if nothing was done on the page."""
    if state.page and not state.page_is_touched:
        state.page_exit_count += 1
