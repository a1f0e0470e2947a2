"""The 13 behavioural features, each defined once: what it means, its unit, its window, and how it is computed.

Serving, training and `ListFeatureDefinitions` all use this table.

- **Now** is the moment asked about, never earlier than the user's latest event. Online it is the time of that event;
  an offline snapshot may ask later, and then windows empty, the session ends and engagement fades, as time passes.
- **Last 30 minutes** is the half-open span (now - 30 min, now] of event time. Counts stop at 64.
- **Current session** is the run of events without a gap of more than 30 minutes. It is over when more than 30 minutes
  have passed since its last event; then its features have their empty values.
- **Last 28 days** are the UTC day of now and the 27 before it.
- **Late events**, those older than the user's latest, count in the 30-minute windows and the 28 days by their own
  time. One before the current session by no more than the gap belongs to it, and the session began then. Otherwise they
  never begin a session, and they never change the page, where only the order makes sense.
- **Bots** count like any user; the profile says that they are bots.
- **An echo** is the same thing reported twice: a view of one page again within 300 ms (a page that is built twice, two
  tag managers), the second of two clicks on a page within 10 ms (a label and its input). It counts as an event, but in
  no feature.
- **What a system did** (`is_system`) is in no feature either, nor what a server reports outside a session of a user
  whom a browser or a phone has shown within 28 days.
- **A refund** is neither a purchase nor a success, whatever its amount, and says nothing of engagement.

A value is always finite and never negative.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from services.features.domain import history, window
from services.features.domain.state import DAY_US, MINUTE_US, NEUTRAL_ENGAGEMENT, SECOND_US, SESSION_GAP_US, State

SCHEMA_VERSION: Final = "features-1"
"""Changes whenever a feature is added, moved or changes its meaning."""

WINDOW_US: Final = 30 * MINUTE_US
ENGAGEMENT_HALF_LIFE_US: Final = 7 * DAY_US
LONGEST_WITHOUT_SUCCESS_US: Final = 365 * DAY_US


class Definition(msgspec.Struct, frozen=True):
    """What a feature means and how it is computed."""

    name: str
    meaning: str
    unit: str
    window: str
    empty_value: float
    """The value without any events."""
    compute: Callable[[State, int], float]
    """From a state and now, in Unix microseconds, not before the state's latest event."""


def _error_count(state: State, now_us: int) -> float:
    return float(window.count(state.errors, now_us - WINDOW_US)) if state.errors else 0.0


def _retry_count(state: State, now_us: int) -> float:
    return float(window.count(state.retries, now_us - WINDOW_US)) if state.retries else 0.0


def _help_requests(state: State, now_us: int) -> float:
    return float(window.count(state.helps, now_us - WINDOW_US)) if state.helps else 0.0


def _session_duration(state: State, now_us: int) -> float:
    if now_us - state.last_us > SESSION_GAP_US:
        return 0.0
    return (state.last_us - state.session_start_us) / SECOND_US


def _page_exits(state: State, now_us: int) -> float:
    if now_us - state.last_us > SESSION_GAP_US:
        return 0.0
    return float(state.page_exit_count)


def _form_abandons(state: State, now_us: int) -> float:
    return float(window.count(state.abandons, now_us - WINDOW_US)) if state.abandons else 0.0


def _click_frustration(state: State, now_us: int) -> float:
    return float(window.count(state.click_findings, now_us - WINDOW_US)) if state.click_findings else 0.0


def _success_rate(state: State, now_us: int) -> float:
    if not state.failures and not state.errors:
        return 1.0
    since_us = now_us - WINDOW_US
    successes = window.count(state.successes, since_us)
    attempts = successes + window.count(state.failures, since_us) + window.count(state.errors, since_us)
    return successes / attempts if attempts else 1.0


def _engagement_score(state: State, now_us: int) -> float:
    idle_us = now_us - state.last_us
    if not idle_us or not state.last_us:
        return state.engagement
    fade: float = 0.5 ** (idle_us / ENGAGEMENT_HALF_LIFE_US)
    return state.engagement * fade


def _time_since_last_success(state: State, now_us: int) -> float:
    if not state.last_us:
        return 0.0
    elapsed_us = now_us - (state.last_success_us or state.first_us)
    return min(LONGEST_WITHOUT_SUCCESS_US, elapsed_us) / SECOND_US


def _session_count(state: State, now_us: int) -> float:
    if now_us == state.last_us:
        return float(len(state.session_days))
    return float(window.count_days(state.session_days, state.today, now_us // DAY_US))


def _unique_pages_visited(state: State, now_us: int) -> float:
    if now_us == state.last_us:
        return float(len(state.page_days))
    return float(window.count_days(state.page_days, state.today, now_us // DAY_US))


def _average_time_per_page(state: State, now_us: int) -> float:
    if not state.page_visit_count or now_us - state.last_us > SESSION_GAP_US:
        return 0.0
    return (state.last_us - state.first_visit_us) / state.page_visit_count / SECOND_US


DEFINITIONS: Final = (
    Definition(
        "error_count",
        "Errors shown to the user: `error` events.",
        "count 0-64",
        "last 30 minutes",
        0.0,
        _error_count,
    ),
    Definition(
        "retry_count",
        "Tries of something that had failed: `retry` events, and of the attempts a `struggle_signal` reports all but "
        "the first, at most 9 a signal.",
        "count 0-64",
        "last 30 minutes",
        0.0,
        _retry_count,
    ),
    Definition(
        "help_requests",
        "How often the user asked for help: `help_request` events.",
        "count 0-64",
        "last 30 minutes",
        0.0,
        _help_requests,
    ),
    Definition(
        "session_duration",
        "Time from the first to the latest event of the session.",
        "seconds",
        "current session",
        0.0,
        _session_duration,
    ),
    Definition(
        "page_exits",
        "Pages left with nothing done on them: nothing but views of the page stands between its first view and that of "
        "the next page, or a `session_end`.",
        "count",
        "current session",
        0.0,
        _page_exits,
    ),
    Definition(
        "form_abandons",
        "Forms begun and left: `form_abandon` events, and a `session_end` while a form was begun and neither sent nor "
        "done with: a `task_success` of the form and any `purchase` close it.",
        "count 0-64",
        "last 30 minutes",
        0.0,
        _form_abandons,
    ),
    Definition(
        "click_frustration",
        "Clicks that led nowhere: dead clicks, error clicks and rage clicks; a rage counts once with all the clicks of "
        "its run, however long it goes on.",
        "count 0-64",
        "last 30 minutes",
        0.0,
        _click_frustration,
    ),
    Definition(
        "success_rate",
        "Successes among all attempts whose end is known. Successes are `task_success` and `purchase` (not a refund); "
        "failures are `task_failure`, `error` and each attempt a `struggle_signal` reports, at most 10 a signal. "
        "A sent form is neither until one of these says so.",
        "ratio 0-1",
        "last 30 minutes",
        1.0,
        _success_rate,
    ),
    Definition(
        "engagement_score",
        "How much the user takes part: a moving average over about 8 events of what each is worth, from 0 (a reported "
        "struggle) over 50 (a page view) to 100 (a success); a playback is worth the user's video engagement. "
        "Halves with every 7 days without an event.",
        "score 0-100",
        "whole history, the last 8 events weigh most",
        NEUTRAL_ENGAGEMENT,
        _engagement_score,
    ),
    Definition(
        "time_since_last_success",
        "Time since the last `task_success` or `purchase` (not a refund); where there was none, since the user's first "
        "event.",
        "seconds, at most 365 days",
        "whole history",
        0.0,
        _time_since_last_success,
    ),
    Definition(
        "session_count",
        "Sessions begun, the current one included.",
        "count 0-64",
        "last 28 days",
        0.0,
        _session_count,
    ),
    Definition(
        "unique_pages_visited",
        "Different pages viewed. Pages that differ by their query only are one: of `/search?q=loan&page=2` it is "
        "`/search`, of `/#/list?page=2` it is `/#/list`.",
        "count 0-128",
        "last 28 days",
        0.0,
        _unique_pages_visited,
    ),
    Definition(
        "average_time_per_page",
        "Time from the first page view to the latest event, divided by the number of times a page was entered; a page "
        "loaded again is not entered again, one with another query is.",
        "seconds",
        "current session",
        0.0,
        _average_time_per_page,
    ),
)
"""In the order of the vector."""

FEATURE_NAMES: Final = tuple(definition.name for definition in DEFINITIONS)
FEATURE_COUNT: Final = len(DEFINITIONS)

_COMPUTE: Final = tuple(definition.compute for definition in DEFINITIONS)


def vector(state: State, at_us: int | None = None) -> list[float]:
    """The features in the order of `DEFINITIONS`, as of the user's latest event, or of `at_us` where that is later."""
    now_us = state.last_us if at_us is None or at_us < state.last_us else at_us
    return [compute(state, now_us) for compute in _COMPUTE]


def past(state: State, at_us: int | None = None) -> list[float]:
    """The features of history, in the order of `history.DEFINITIONS`, as of the same moment as `vector`."""
    now_us = state.last_us if at_us is None or at_us < state.last_us else at_us
    return history.values(state.history, state.last_us, state.session_start_us, now_us)
