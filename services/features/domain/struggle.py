"""Signs of struggle, one detector per kind of event. `detect` looks at the state before the event changes it.

Windows run on event time. Where only the number counts (failures, form errors, help) late events count as well; where
the order matters (pages, calculations, chains of clicks) they are left out. A signal is reported at the event that
completes it, and again at events that raise it. What a success ends is in `settlement`.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

import msgspec

from services.features.domain import clicks, settlement
from services.features.domain.event import NAME_LIMIT, Event, Kind
from services.features.domain.pages import is_paging, view_mark
from services.features.domain.signal import (
    Signal,
    SignalType,
    at_least,
    counted,
    ids,
    is_coarse,
    is_late,
    place_text,
    remember,
    repetition,
    signal,
)
from services.features.domain.state import MINUTE_US, SECOND_US, State, Trace

WINDOW_US = 10 * MINUTE_US
CALCULATION_WINDOW_US = REFRESH_WINDOW_US = 5 * MINUTE_US
NAVIGATION_WINDOW_US = REFRESH_GAP_US = 60 * SECOND_US
QUICK_BACK_US = 10 * SECOND_US
LONG_ON_PAGE_US = 5 * MINUTE_US
ECHO_US = 300_000
"""Two views of a page this close together are one view reported twice: nobody reloads that fast."""
ECHOES_US = SECOND_US
"""A series of views of one page counts as one view reported twice for at most this long; after that it is reloading."""
LONGEST_PAUSE_US = 2 * MINUTE_US
"""A longer pause counts as this long, because the user was away."""
ATTEMPT_LIMIT = 10
"""An event reports at most this many attempts."""

_FORM_NAME = re.compile(r"(?:^|[^A-Za-z])(?:[Ff]orms?|FORMS?)(?:\Z|[^a-z])|[a-z]Forms?(?:\Z|[^a-z])")
_CALCULATION_NAMES = ("calc", "simulat", "estimat", "quote")
_FORM_CODES = frozenset(
    {"required", "invalid", "invalid_format", "invalid_value", "out_of_range", "too_short", "too_long", "mismatch"}
)


def detect(state: State, event: Event, prior_us: int) -> list[Signal]:
    """The signals found at an event that `state.last_us` already knows of; before it, `prior_us` was the latest."""
    kind, at_us, last_us = event.kind, event.at_us, state.last_us
    found: list[Signal] = []
    detector = _DETECTORS.get(kind)
    if detector is not None:
        if state.solved and at_us < max(state.solved_us, last_us) and _was_solved(state, event):
            return found
        found = detector(state, event)
    if state.page and at_us >= last_us and kind != Kind.VIDEO_PLAYBACK:
        found += _long_time_on_page(state, event, prior_us)
    return found


def is_echo(state: State, event: Event) -> bool:
    """Whether a page view repeats the one before, as from a page built twice or with two tags: the same page at once.

    Its address may differ: a page may remove the tracking from it, and one tag may report less of it than another. A
    page viewed again for more than a second is being reloaded. If the clock has whole seconds only, a view reported as
    a refresh is one.
    """
    is_at_once = -ECHO_US <= event.at_us - state.page_viewed_us <= ECHO_US
    if not is_at_once or not event.page or state.page != event.page[:NAME_LIMIT]:
        return False
    if event.at_us - state.view_us > ECHOES_US and state.view_us:
        return False
    return not (event.is_refresh and is_coarse(event.at_us, state.page_viewed_us))


def is_refresh(state: State, event: Event) -> bool:
    """Whether a page view reloads the same address: as the client reports, or within 60 s with nothing between.

    A reported refresh of another address than the user's page is navigation: some clients report every page after a
    reload as one.
    """
    if event.is_refresh:
        return not state.page or is_late(state, event) or _is_here(state, event)
    if not state.page_is_quiet or not _is_here(state, event):
        return False
    return 0 < event.at_us - state.page_viewed_us <= REFRESH_GAP_US and not is_late(state, event)


def _is_here(state: State, event: Event) -> bool:
    """Whether an event is of the address that the user is on."""
    return event.page != "" and state.page == event.page[:NAME_LIMIT] and state.view_mark == view_mark(event)


def attempts_reported(event: Event) -> int:
    """Failed attempts one event reports: what a struggle signal counts, at most 10; else 1."""
    return min(max(event.attempt_count, 1), ATTEMPT_LIMIT) if event.kind == Kind.STRUGGLE_SIGNAL else 1


def _was_solved(state: State, event: Event) -> bool:
    """Whether a late event reports trouble from before a success at its place."""
    return settlement.was_solved(state, event, _form_of(state, event) if event.kind == Kind.ERROR else "")


def _failure(state: State, event: Event) -> list[Signal]:
    form = _form_of(state, event) if event.kind == Kind.ERROR else ""
    if form:
        return _form_error(state, event, form)
    attempts = attempts_reported(event)
    traces = remember(
        state, SignalType.REPEATED_FAILURES, event, WINDOW_US, page=event.page, target=event.target, count=attempts
    )
    here = [trace for trace in traces if _is_same_place(trace, event)]
    count = sum(trace.count for trace in here)
    if count < 2:
        return []
    place = event.target or event.page
    retries = sum(trace.count for trace in here if trace.kind == Kind.RETRY)
    tried = (counted(count - retries, "failed attempt", "failed attempts"), counted(retries, "retry", "retries"))
    reason = _begun(f"{at_least(traces)}{' and '.join(filter(None, tried))}{place_text(_common_place(here))}")
    strength = repetition(0.6, count)
    return [signal(SignalType.REPEATED_FAILURES, strength, reason, event, evidence=ids(here), target=place)]


def _common_place(traces: Sequence[Trace]) -> str:
    """The target that all name, else the page that all are on, else nothing."""
    for names in ({trace.target for trace in traces}, {trace.page for trace in traces}):
        if len(names) == 1 and names != {""}:
            return names.pop()
    return ""


def _form_error(state: State, event: Event, form: str) -> list[Signal]:
    traces = remember(state, SignalType.FORM_ERRORS, event, WINDOW_US, page=event.page, target=form)
    here = [trace for trace in traces if trace.target == form]
    if len(here) < 2:
        return []
    reason = _begun(f"{at_least(traces)}{len(here)} errors in the form {form}")
    strength = repetition(0.6, len(here))
    return [signal(SignalType.FORM_ERRORS, strength, reason, event, evidence=ids(here), target=form)]


def _help(state: State, event: Event) -> list[Signal]:
    traces = remember(state, SignalType.HELP_SEEKING, event, WINDOW_US, page=event.page, target=event.target)
    if len(traces) < 2:
        return []
    reason = _begun(f"{at_least(traces)}{len(traces)} requests for help within 10 minutes")
    strength = repetition(0.5, len(traces))
    return [signal(SignalType.HELP_SEEKING, strength, reason, event, evidence=ids(traces), target=event.page)]


def _abandonment(state: State, event: Event) -> list[Signal]:
    begun = state.form if state.form_is_open and not is_late(state, event) else ""
    if event.kind == Kind.SESSION_END and not begun:
        return []
    form = begun if event.kind == Kind.SESSION_END else event.target or begun or event.page
    reason = f"The form {form[:NAME_LIMIT]} was begun and left" if form else "A form was begun and left"
    if not begun:
        return [signal(SignalType.FORM_ABANDONMENT, 60.0, reason, event, evidence=[event.event_id], target=form)]
    evidence, page = [state.form_event_id, event.event_id], state.form_page
    left = signal(SignalType.FORM_ABANDONMENT, 60.0, reason, event, evidence=evidence, target=form, page=page)
    return [msgspec.structs.replace(left, since_us=state.form_us)]


def _page_view(state: State, event: Event) -> list[Signal]:
    page = event.page[:NAME_LIMIT]
    if is_refresh(state, event):
        traces = remember(state, SignalType.PAGE_REFRESHES, event, REFRESH_WINDOW_US, page=page, target="")
        here = [trace for trace in traces if trace.page == page]
        if len(here) < 3:
            return []
        reason = f"{page or 'A page'} was loaded again {at_least(traces)}{len(here)} times within 5 minutes"
        strength = repetition(0.75, len(here))
        return [signal(SignalType.PAGE_REFRESHES, strength, reason, event, evidence=ids(here), target=page)]
    if not page or is_late(state, event) or page == state.page:
        return []
    return _quick_back(state, event, page) + _rapid_navigation(state, event, page)


def _quick_back(state: State, event: Event, page: str) -> list[Signal]:
    left = state.page
    is_quick = 0 < event.at_us - state.page_viewed_us <= QUICK_BACK_US
    if page != state.page_before or state.page_is_touched or not is_quick or is_paging(page, left):
        return []
    traces = remember(state, SignalType.QUICK_BACKS, event, WINDOW_US, page=left, target="")
    if len(traces) < 2:
        return []
    reason = _begun(f"{at_least(traces)}{len(traces)} pages left at once for the page before, last {left}")
    strength = repetition(0.7, len(traces))
    return [signal(SignalType.QUICK_BACKS, strength, reason, event, evidence=ids(traces), target=left)]


def _rapid_navigation(state: State, event: Event, page: str) -> list[Signal]:
    if is_paging(page, state.page):
        return []
    traces = remember(state, SignalType.RAPID_NAVIGATION, event, NAVIGATION_WINDOW_US, page=page, target="")
    if len(traces) < 6:
        return []
    state.traces[SignalType.RAPID_NAVIGATION] = []
    reason = f"{len(traces)} pages within a minute"
    return [signal(SignalType.RAPID_NAVIGATION, 60.0, reason, event, evidence=ids(traces), target=page)]


def _calculation(state: State, event: Event) -> list[Signal]:
    place = event.target or event.page
    if is_late(state, event) or not _is_calculation(event.page, event.target):
        return []
    traces = remember(
        state,
        SignalType.REPEATED_RECALCULATION,
        event,
        CALCULATION_WINDOW_US,
        page=event.page,
        target=event.target,
    )
    here = [trace for trace in traces if trace.target == event.target[:NAME_LIMIT] and _is_same_place(trace, event)]
    count = len(here)
    if count < 4 or count % 2:
        return []
    reason = f"The same calculation {at_least(traces)}{count} times within 5 minutes{place_text(place)}"
    strength = 70.0 + 5.0 * (count - 4)
    return [signal(SignalType.REPEATED_RECALCULATION, strength, reason, event, evidence=ids(here), target=place)]


def _long_time_on_page(state: State, event: Event, prior_us: int) -> list[Signal]:
    """A signal for every 5 active minutes on one page without a success, if anything was done there."""
    page = event.page
    if page and page != state.page and page[:NAME_LIMIT] != state.page:
        return []
    pause_us = event.at_us - prior_us
    state.page_active_us = active_us = state.page_active_us + min(LONGEST_PAUSE_US, pause_us)
    if active_us < LONG_ON_PAGE_US:
        return []
    step = state.page_active_us // LONG_ON_PAGE_US
    if step <= state.page_active_step or not state.page_is_touched or event.kind in {Kind.TASK_SUCCESS, Kind.PURCHASE}:
        return []
    state.page_active_step = step
    minutes = state.page_active_us // MINUTE_US
    reason = f"{minutes} minutes{place_text(state.page)} without a success"
    strength = min(80.0, 50.0 + 2.0 * (minutes - 5))
    evidence, here = [state.page_event_id, event.event_id], state.page
    return [signal(SignalType.LONG_TIME_ON_PAGE, strength, reason, event, evidence=evidence, target=here, page=here)]


def _begun(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


@lru_cache(maxsize=4096)
def _is_calculation(page: str, target: str) -> bool:
    """Whether the names suggest a calculator. Cached: a product has few names and many events."""
    names = f"{page} {target}".lower()
    return any(name in names for name in _CALCULATION_NAMES)


def _form_of(state: State, event: Event) -> str:
    """The form an error belongs to: one of this session, or reported by the error's target or code; empty for none."""
    if state.form and event.target[:NAME_LIMIT] == state.form:
        return state.form
    code = event.error_code.lower()
    is_named = _FORM_NAME.search(event.target) is not None
    if not is_named and "validation" not in code and code not in _FORM_CODES:
        return ""
    if is_named:
        return event.target[:NAME_LIMIT]
    if state.form and event.page[:NAME_LIMIT] in {"", state.form_page}:
        return state.form
    return (event.page or event.target)[:NAME_LIMIT]


def _is_same_place(trace: Trace, event: Event) -> bool:
    """Whether both are about the same target or, if one of them names none, about the same page."""
    if trace.target and event.target:
        return trace.target == event.target[:NAME_LIMIT]
    return trace.page == event.page[:NAME_LIMIT]


_DETECTORS: dict[int, Callable[[State, Event], list[Signal]]] = {
    Kind.ERROR: _failure,
    Kind.TASK_FAILURE: _failure,
    Kind.RETRY: _failure,
    Kind.STRUGGLE_SIGNAL: _failure,
    Kind.HELP_REQUEST: _help,
    Kind.FORM_ABANDON: _abandonment,
    Kind.SESSION_END: _abandonment,
    Kind.PAGE_VIEW: _page_view,
    Kind.FEATURE_INTERACTION: _calculation,
    Kind.CLICK: clicks.find,
}
