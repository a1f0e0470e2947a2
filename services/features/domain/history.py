"""A user's past in bounded memory, and the features of schema 2 that tell how this user's present compares with it.

What is kept: for each of the last 56 UTC days, in one byte each, how many events, successes, actions and troubles there
were; the pauses before the last 8 sessions, and the size and length of the last 8 that ended; how many sessions began
at which time of the day. It begins with the first event that a version with history sees.

- **Now** is what it is for the first 13 features (`vector`).
- **Last N days** are the UTC day of now and the N - 1 before it. A day's counts stop at 255.
- **Actions** are all kinds but views of pages, reports of trouble, and beginnings and ends of sessions.
- **Troubles** are `error`, `retry`, `help_request`, `task_failure`, `struggle_signal` and `form_abandon`.
- **Late events** count on their own day. They change no session.
- **Echoes**, and what a system did, count nowhere.

A value is always finite and never negative.
"""

from typing import Final, NamedTuple

import msgspec

from services.features.domain.event import Event, Kind, is_given_back

HISTORY_VERSION: Final = "history-1"
"""Changes whenever a feature of history is added, moved or changes its meaning."""

SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US
DAYS_KEPT: Final = 56
SESSIONS_KEPT: Final = 8
DAY_PARTS: Final = 8
LONGEST_S: Final = 365.0 * 86_400.0
GREATEST_RATIO: Final = 100.0

_DAY_MOST: Final = 255
_DAY_PART_US: Final = DAY_US // DAY_PARTS
_WEEK: Final = 7
_MONTH: Final = 28

_SUCCESS, _ACTION, _TROUBLE = "successes", "actions", "troubles"
_GROUP_OF: Final = {
    Kind.TASK_SUCCESS: _SUCCESS,
    Kind.PURCHASE: _SUCCESS,
    Kind.FEATURE_INTERACTION: _ACTION,
    Kind.CLICK: _ACTION,
    Kind.FORM_START: _ACTION,
    Kind.FORM_SUBMIT: _ACTION,
    Kind.VIDEO_PLAYBACK: _ACTION,
    Kind.FORM_ABANDON: _TROUBLE,
    Kind.ERROR: _TROUBLE,
    Kind.RETRY: _TROUBLE,
    Kind.HELP_REQUEST: _TROUBLE,
    Kind.TASK_FAILURE: _TROUBLE,
    Kind.STRUGGLE_SIGNAL: _TROUBLE,
}


class History(msgspec.Struct, array_like=True, gc=False):
    """The past of one user; `History()` is that of an unknown user.

    `events`, `successes`, `actions` and `troubles` have one byte per day, oldest first; the last is `day`. They are as
    long as there is something to tell, up to 56; a shorter one has zeros before it.
    """

    first_us: int = 0
    """The first event known here: Unix microseconds, 0 for none."""
    day: int = 0
    """The UTC day of the latest event, in days since 1970."""
    events: bytes = b""
    successes: bytes = b""
    actions: bytes = b""
    troubles: bytes = b""
    pauses_s: list[int] = []
    """The pauses before the last 8 sessions, oldest first; seconds."""
    sizes: list[int] = []
    """How many events the last 8 sessions that ended had, oldest first."""
    lengths_s: list[int] = []
    """How long they took; seconds."""
    session_size: int = 0
    """Events of the current session."""
    session_count: int = 0
    event_count: int = 0
    success_count: int = 0
    day_parts: bytes = bytes(DAY_PARTS)
    """Sessions begun in each eighth of the UTC day; all are halved when one reaches 255."""


def begin_session(history: History, at_us: int, before: tuple[int, int]) -> None:
    """Opens a session and closes the one before.

    Args:
        history: the user's past.
        at_us: when the new session begins.
        before: the first and the latest event of the session before; not looked at where there was none.
    """
    if history.session_size:
        start_us, end_us = before
        history.sizes = [*history.sizes[-SESSIONS_KEPT + 1 :], history.session_size]
        history.lengths_s = [*history.lengths_s[-SESSIONS_KEPT + 1 :], max(0, end_us - start_us) // SECOND_US]
        history.pauses_s = [*history.pauses_s[-SESSIONS_KEPT + 1 :], max(0, at_us - end_us) // SECOND_US]
    history.session_size = 0
    history.session_count += 1
    part = at_us % DAY_US // _DAY_PART_US
    parts = history.day_parts
    if parts[part] >= _DAY_MOST:
        parts = bytes(count // 2 for count in parts)
    history.day_parts = parts[:part] + bytes((parts[part] + 1,)) + parts[part + 1 :]


def note(history: History, event: Event, session_start_us: int) -> None:
    """Counts an event, after `begin_session` where it begins one."""
    at_us = event.at_us
    day = at_us // DAY_US
    if not history.first_us:
        history.first_us, history.day = at_us, day
    elif at_us < history.first_us:
        history.first_us = at_us
    if day > history.day:
        _advance(history, day)
    history.event_count += 1
    if at_us >= session_start_us:
        history.session_size += 1
    age = history.day - day
    group = _GROUP_OF.get(event.kind)
    if group == _SUCCESS:
        if is_given_back(event):
            group = None
        else:
            history.success_count += 1
    if age < DAYS_KEPT:
        history.events = _counted(history.events, age)
        if group:
            setattr(history, group, _counted(getattr(history, group), age))


def forget_future(history: History, now_us: int) -> None:
    """Drops the days, which a wrong clock put into the future, when the user's now goes back to `now_us`."""
    history.first_us, history.day = min(history.first_us, now_us), now_us // DAY_US
    history.events = history.successes = history.actions = history.troubles = b""


def _advance(history: History, day: int) -> None:
    gone = min(DAYS_KEPT, day - history.day)
    history.day = day
    for name in ("events", _SUCCESS, _ACTION, _TROUBLE):
        days = getattr(history, name)
        if days:
            setattr(history, name, (days + bytes(gone))[-DAYS_KEPT:].lstrip(b"\0"))


def _counted(days: bytes, age: int) -> bytes:
    """The days with one more on the day `age` days before the last."""
    if age >= len(days):
        return b"\1" + bytes(age - len(days)) + days
    at = len(days) - 1 - age
    return days[:at] + bytes((min(_DAY_MOST, days[at] + 1),)) + days[at + 1 :]


class Definition(NamedTuple):
    """What a feature means: its name, meaning, unit with range, window, and its value without any events."""

    name: str
    meaning: str
    unit: str
    window: str
    empty_value: float


_WHOLE: Final = "whole history"
_SESSIONS: Final = "last 8 sessions"
_COUNT: Final = "count"
_SECONDS: Final = "seconds, at most 365 days"
_RATIO: Final = "ratio 0-100"

DEFINITIONS: Final = (
    Definition("time_since_first_event", "Time since the user's first event.", _SECONDS, _WHOLE, 0.0),
    Definition("time_since_last_event", "Time since the user's latest event.", _SECONDS, _WHOLE, 0.0),
    Definition("events_today", "Events of the UTC day of now.", "count 0-255", "today", 0.0),
    Definition("events_7_days", "Events.", "count 0-1785", "last 7 days", 0.0),
    Definition("events_28_days", "Events.", "count 0-7140", "last 28 days", 0.0),
    Definition("successes_7_days", "`task_success` and `purchase`.", "count 0-1785", "last 7 days", 0.0),
    Definition("successes_28_days", "`task_success` and `purchase`.", "count 0-7140", "last 28 days", 0.0),
    Definition("actions_7_days", "Things done, beyond looking at pages.", "count 0-1785", "last 7 days", 0.0),
    Definition("actions_28_days", "Things done, beyond looking at pages.", "count 0-7140", "last 28 days", 0.0),
    Definition("troubles_7_days", "Reports of trouble.", "count 0-1785", "last 7 days", 0.0),
    Definition("troubles_28_days", "Reports of trouble.", "count 0-7140", "last 28 days", 0.0),
    Definition("active_days_7", "Days with an event.", "count 0-7", "last 7 days", 0.0),
    Definition("active_days_28", "Days with an event.", "count 0-28", "last 28 days", 0.0),
    Definition("active_days_56", "Days with an event.", "count 0-56", "last 56 days", 0.0),
    Definition(
        "active_weeks_8", "Weeks with an event; a week ends with the day of now.", "count 0-8", "last 56 days", 0.0
    ),
    Definition(
        "active_share", "Days with an event among the days since the first one.", "ratio 0-1", "last 56 days", 0.0
    ),
    Definition(
        "day_streak", "Days in a row with an event, up to the latest day with one.", "count 0-56", "last 56 days", 0.0
    ),
    Definition("last_pause", "The pause before the current or latest session.", _SECONDS, _SESSIONS, 0.0),
    Definition("usual_pause", "The mean pause before a session.", _SECONDS, _SESSIONS, 0.0),
    Definition("longest_pause", "The longest pause before a session.", _SECONDS, _SESSIONS, 0.0),
    Definition("idle_to_usual", "Time since the latest event, relative to the usual pause.", _RATIO, _SESSIONS, 1.0),
    Definition("pause_to_usual", "The last pause, relative to the usual pause.", _RATIO, _SESSIONS, 1.0),
    Definition(
        "events_trend", "Events per day of 7 days, relative to those of 28 days.", "ratio 0-4", "last 28 days", 1.0
    ),
    Definition(
        "active_trend",
        "Share of days with an event in 28 days, relative to that in 56 days.",
        "ratio 0-2",
        "last 56 days",
        1.0,
    ),
    Definition("session_size", "Events of the current or latest session.", _COUNT, "latest session", 0.0),
    Definition("usual_session_size", "The mean number of events of a session that ended.", _COUNT, _SESSIONS, 0.0),
    Definition(
        "size_to_usual", "Events of the current or latest session, relative to the usual.", _RATIO, _SESSIONS, 1.0
    ),
    Definition("usual_session_length", "The mean length of a session that ended.", _SECONDS, _SESSIONS, 0.0),
    Definition(
        "length_to_usual", "Length of the current or latest session, relative to the usual.", _RATIO, _SESSIONS, 1.0
    ),
    Definition(
        "weekday_habit",
        "Share of the days with an event that were the weekday of now, times 7.",
        "ratio 0-7",
        "last 56 days",
        1.0,
    ),
    Definition(
        "day_part_habit",
        "Share of the sessions that began in the eighth of the UTC day that is now.",
        "ratio 0-1",
        _WHOLE,
        0.0,
    ),
    Definition("session_total", "Sessions.", _COUNT, _WHOLE, 0.0),
    Definition("event_total", "Events.", _COUNT, _WHOLE, 0.0),
    Definition("success_share", "`task_success` and `purchase` among all events.", "ratio 0-1", _WHOLE, 1.0),
)
"""In the order of the values."""

NAMES: Final = tuple(definition.name for definition in DEFINITIONS)


def values(history: History, last_us: int, session_start_us: int, now_us: int) -> list[float]:
    """The features in the order of `DEFINITIONS`.

    Args:
        history: the user's past.
        last_us: the user's latest event.
        session_start_us: the first event of the latest session.
        now_us: the moment asked about, not before `last_us`.
    """
    passed = now_us // DAY_US - history.day
    events, successes = history.events, history.successes
    if passed:
        nothing = bytes(min(passed, DAYS_KEPT))
        events, successes = (events + nothing)[-DAYS_KEPT:], (successes + nothing)[-DAYS_KEPT:]
        actions, troubles = (history.actions + nothing)[-DAYS_KEPT:], (history.troubles + nothing)[-DAYS_KEPT:]
    else:
        actions, troubles = history.actions, history.troubles
    week, month = events[-_WEEK:], events[-_MONTH:]
    events_week, events_month = sum(week), sum(month)
    active_week = len(week) - week.count(0)
    active_month = len(month) - month.count(0)
    active_all = len(events) - events.count(0)
    idle_s = min(LONGEST_S, (now_us - last_us) / SECOND_US) if history.first_us else 0.0
    known_s = min(LONGEST_S, (now_us - history.first_us) / SECOND_US) if history.first_us else 0.0
    known_days = min(DAYS_KEPT, now_us // DAY_US - history.first_us // DAY_US + 1) if history.first_us else 0
    pauses = history.pauses_s
    usual_pause_s = sum(pauses) / len(pauses) if pauses else 0.0
    pause_s = pauses[-1] if pauses else 0.0
    usual_size = sum(history.sizes) / len(history.sizes) if history.sizes else 0.0
    usual_length_s = sum(history.lengths_s) / len(history.lengths_s) if history.lengths_s else 0.0
    weekday = events[::-_WEEK]
    streak = 0
    for count in reversed(events.rstrip(b"\0")):
        if not count:
            break
        streak += 1
    weeks = [events[max(0, end - _WEEK) : end] for end in range(len(events), 0, -_WEEK)]
    parts = history.day_parts
    return [
        known_s,
        idle_s,
        float(events[-1]) if events else 0.0,
        float(events_week),
        float(events_month),
        float(sum(successes[-_WEEK:])),
        float(sum(successes[-_MONTH:])),
        float(sum(actions[-_WEEK:])),
        float(sum(actions[-_MONTH:])),
        float(sum(troubles[-_WEEK:])),
        float(sum(troubles[-_MONTH:])),
        float(active_week),
        float(active_month),
        float(active_all),
        float(sum(any(each) for each in weeks)),
        active_all / known_days if known_days else 0.0,
        float(streak),
        min(LONGEST_S, pause_s),
        min(LONGEST_S, usual_pause_s),
        min(LONGEST_S, float(max(pauses, default=0))),
        _ratio(idle_s, usual_pause_s),
        _ratio(pause_s, usual_pause_s),
        _ratio(events_week * (_MONTH / _WEEK), events_month),
        _ratio(active_month * (DAYS_KEPT / _MONTH), active_all),
        float(history.session_size),
        usual_size,
        _ratio(history.session_size, usual_size),
        min(LONGEST_S, usual_length_s),
        _ratio((last_us - session_start_us) / SECOND_US, usual_length_s),
        _ratio((len(weekday) - weekday.count(0)) * _WEEK, active_all),
        parts[now_us % DAY_US // _DAY_PART_US] / total if (total := sum(parts)) else 0.0,
        float(history.session_count),
        float(history.event_count),
        _ratio(history.success_count, history.event_count),
    ]


def _ratio(value: float, usual: float) -> float:
    """A value relative to the usual one, at most 100; 1 where nothing is usual yet."""
    return min(GREATEST_RATIO, value / usual) if usual > 0.0 else 1.0
