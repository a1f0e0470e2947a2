"""The sentences for the features of history, and for the installation's own columns; see `reasons`."""

from collections.abc import Callable
from typing import Final

from services.scoring.domain.wording import capital, counted, duration

_SMALL: Final = 0.005


def _days(window: int) -> Callable[[float], str]:
    return lambda value: f"{counted(value, 'day', 'days', window + 1)} with an event within {window} days"


def _number(singular: str, plural: str, within: str, most: float) -> Callable[[float], str]:
    return lambda value: f"{counted(value, singular, plural, most)} {within}"


def _pause(which: str) -> Callable[[float], str]:
    return lambda value: f"{which} was {duration(value)}" if value > 0.0 else "No pause before this session"


def _times(what: str, usual: str) -> Callable[[float], str]:
    """What is so many times as much as usual; 1 also stands for nothing to compare with."""
    return lambda value: f"{what} {value:.1f} times {usual}" if abs(value - 1.0) >= _SMALL else f"{what} as usual"


def _percent(of: str) -> Callable[[float], str]:
    return lambda value: f"{100.0 * value:.0f}% of {of}"


_WEEK: Final = "within 7 days"
_MONTH: Final = "within 28 days"
_EVER: Final = "so far"
_MOST: Final = 1e15

PAST_REASONS: Final[dict[str, Callable[[float], str]]] = {
    "time_since_first_event": lambda value: f"Known for {duration(value)}",
    "time_since_last_event": lambda value: f"No event for {duration(value)}" if value > 0.0 else "Here now",
    "events_today": _number("event", "events", "today", 255),
    "events_7_days": _number("event", "events", _WEEK, 1785),
    "events_28_days": _number("event", "events", _MONTH, 7140),
    "successes_7_days": _number("success", "successes", _WEEK, 1785),
    "successes_28_days": _number("success", "successes", _MONTH, 7140),
    "actions_7_days": _number("thing done", "things done", _WEEK, 1785),
    "actions_28_days": _number("thing done", "things done", _MONTH, 7140),
    "troubles_7_days": _number("report of trouble", "reports of trouble", _WEEK, 1785),
    "troubles_28_days": _number("report of trouble", "reports of trouble", _MONTH, 7140),
    "active_days_7": _days(7),
    "active_days_28": _days(28),
    "active_days_56": _days(56),
    "active_weeks_8": _number("week", "weeks", "of the last 8 with an event", 9),
    "active_share": _percent("the days since the first one had an event"),
    "day_streak": _number("day", "days", "in a row with an event", 56),
    "last_pause": _pause("The pause before this session"),
    "usual_pause": _pause("The usual pause between sessions"),
    "longest_pause": _pause("The longest pause between sessions"),
    "idle_to_usual": _times("The time without an event is", "the usual pause"),
    "pause_to_usual": _times("The pause before this session was", "the usual one"),
    "events_trend": _times("Events of the last 7 days are", "those of 28 days"),
    "active_trend": _times("Days with an event of the last 28 are", "those of 56"),
    "session_size": _number("event", "events", "in this session", _MOST),
    "usual_session_size": lambda value: f"{value:.1f} events in a usual session",
    "size_to_usual": _times("This session has", "the usual number of events"),
    "usual_session_length": lambda value: f"A usual session takes {duration(value)}",
    "length_to_usual": _times("This session takes", "the usual time"),
    "weekday_habit": _times("This weekday is", "as common among the user's days as an even spread"),
    "day_part_habit": _percent("sessions began at this time of the day"),
    "session_total": _number("session", "sessions", _EVER, _MOST),
    "event_total": _number("event", "events", _EVER, _MOST),
    "success_share": _percent("all events were successes"),
}

NOTHING_PAST: Final = dict.fromkeys(PAST_REASONS, 0.0) | dict.fromkeys(
    ("idle_to_usual", "pause_to_usual", "events_trend", "active_trend", "size_to_usual", "length_to_usual"), 1.0
)
"""What these are without anything to tell. A share of successes of 1 may mean that there is no event yet."""


def own_reason(name: str, value: float) -> str:
    """The sentence for a column of the installation."""
    return capital(f"{name} is {value:.6g}")
