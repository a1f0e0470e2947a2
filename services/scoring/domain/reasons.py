"""A feature's value as a sentence for a support agent.

A value may stand for several states, and the sentence must be true of all of them. For example, 0 seconds since the
last success may mean a success just now, a first visit, or a user of system events only; and a success rate of 1 may
mean that nothing was tried. Sentences about a session must also be true without one.
"""

import math
from collections.abc import Callable
from typing import Final

from services.scoring.domain.past_reasons import NOTHING_PAST, PAST_REASONS, own_reason
from services.scoring.domain.wording import MOST, capital, counted, duration

# A reason younger than this is told without its age; seconds.
_PRESENT: Final = 60.0
_MOST_PAGES: Final = 128


def reason(name: str, value: float) -> str:
    """The sentence for a value, which is finite and, except of the installation's own columns, not negative."""
    say = _REASONS.get(name) or PAST_REASONS.get(name)
    return say(value) if say is not None else own_reason(name, value)


def aged(said: str, seconds: float) -> str:
    """What was said some time ago, with its age if that is a minute or more."""
    return f"{said}, {duration(seconds)} ago" if seconds >= _PRESENT else said


def is_absent(name: str, value: float) -> bool:
    """Whether a feature's value means that there was nothing, which is no reason for a risk."""
    return round(value) == 0 if name in _COUNTS else value == _NOTHING.get(name, NOTHING_PAST.get(name))


def _lately(singular: str, plural: str) -> Callable[[float], str]:
    return lambda value: f"{counted(value, singular, plural)} within 30 minutes"


def _times(value: float) -> str:
    count = round(value)
    if count == 1:
        return "once"
    return f"{count} or more times" if count >= MOST else f"{count} times"


def _form_abandons(value: float) -> str:
    if not round(value):
        return "No form left unfinished within 30 minutes"
    return f"Forms begun and left {_times(value)} within 30 minutes"


def _click_frustration(value: float) -> str:
    if not round(value):
        return "No click led nowhere within 30 minutes"
    return f"Clicking led nowhere {_times(value)} within 30 minutes"


def _success_rate(value: float) -> str:
    if value <= 0.0:
        return "Nothing that was tried within 30 minutes succeeded"
    if value >= 1.0:
        return "Nothing failed within 30 minutes"
    # A share between none and all is never shown as 0% or 100%.
    percent = min(99, max(1, round(100.0 * value)))
    return f"{percent}% of what was tried within 30 minutes succeeded"


def _session_duration(value: float) -> str:
    if value <= 0.0:
        return "No time spent in a current session"
    return f"In this session for {duration(value)}"


def _time_since_last_success(value: float) -> str:
    return f"No success for {duration(value)}" if value > 0.0 else "No time gone by without a success"


def _average_time_per_page(value: float) -> str:
    if value <= 0.0:
        return "No time spent on a page in a current session"
    return f"{capital(duration(value))} on a page on average"


def _page_exits(value: float) -> str:
    # Without a session there are no pages to exit.
    if not round(value):
        return "No page left untouched in a current session"
    return f"{counted(value, 'page', 'pages', math.inf)} left untouched in this session"


_REASONS: Final[dict[str, Callable[[float], str]]] = {
    "error_count": _lately("error", "errors"),
    "retry_count": _lately("retry", "retries"),
    "help_requests": _lately("request for help", "requests for help"),
    "session_duration": _session_duration,
    "page_exits": _page_exits,
    "form_abandons": _form_abandons,
    "click_frustration": _click_frustration,
    "success_rate": _success_rate,
    "engagement_score": lambda value: f"Engagement {value:.0f} of 100",
    "time_since_last_success": _time_since_last_success,
    "session_count": lambda value: f"{counted(value, 'session', 'sessions')} within 28 days",
    "unique_pages_visited": lambda value: f"{counted(value, 'page', 'pages', _MOST_PAGES)} viewed within 28 days",
    "average_time_per_page": _average_time_per_page,
}
_COUNTS: Final = frozenset(
    {
        "error_count",
        "retry_count",
        "help_requests",
        "page_exits",
        "form_abandons",
        "click_frustration",
        "session_count",
        "unique_pages_visited",
    }
)
_NOTHING: Final = {
    "session_duration": 0.0,
    "success_rate": 1.0,
    "time_since_last_success": 0.0,
    "average_time_per_page": 0.0,
}
"""What the features that are no counts are without anything to tell."""
