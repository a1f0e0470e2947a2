"""The vocabulary: features by name and order, types of signals, and levels of risk."""

from enum import IntEnum
from typing import Final

SCHEMA_VERSION: Final = "features-1"

FEATURES: Final = (
    "error_count",
    "retry_count",
    "help_requests",
    "session_duration",
    "page_exits",
    "form_abandons",
    "click_frustration",
    "success_rate",
    "engagement_score",
    "time_since_last_success",
    "session_count",
    "unique_pages_visited",
    "average_time_per_page",
)
FEATURE_COUNT: Final = len(FEATURES)

EXTENDED_VERSION: Final = "features-2"
"""The schema of models that also take history, and columns of the installation: `FEATURES`, then any of these."""
HISTORY_VERSION: Final = "history-1"
HISTORY: Final = (
    "time_since_first_event",
    "time_since_last_event",
    "events_today",
    "events_7_days",
    "events_28_days",
    "successes_7_days",
    "successes_28_days",
    "actions_7_days",
    "actions_28_days",
    "troubles_7_days",
    "troubles_28_days",
    "active_days_7",
    "active_days_28",
    "active_days_56",
    "active_weeks_8",
    "active_share",
    "day_streak",
    "last_pause",
    "usual_pause",
    "longest_pause",
    "idle_to_usual",
    "pause_to_usual",
    "events_trend",
    "active_trend",
    "session_size",
    "usual_session_size",
    "size_to_usual",
    "usual_session_length",
    "length_to_usual",
    "weekday_habit",
    "day_part_habit",
    "session_total",
    "event_total",
    "success_share",
)
MEDIUM_FROM: Final = 40.0
HIGH_FROM: Final = 70.0
CRITICAL_FROM: Final = 90.0


class SignalType(IntEnum):
    """The types of signals; the numbers are those of `journeymesh.features.v1.SignalType`."""

    UNSPECIFIED = 0
    REPEATED_FAILURES = 1
    LONG_TIME_ON_PAGE = 2
    RAPID_NAVIGATION = 3
    REPEATED_RECALCULATION = 4
    FORM_ABANDONMENT = 5
    PAGE_REFRESHES = 6
    QUICK_BACKS = 7
    RAGE_CLICKS = 8
    DEAD_CLICK = 9
    ERROR_CLICK = 10
    ENGAGEMENT_DROP = 11
    FORM_ERRORS = 12
    HELP_SEEKING = 13


class Level(IntEnum):
    """How high a risk is; the numbers are those of `journeymesh.scoring.v1.RiskLevel`."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


def level_of(score: float) -> Level:
    """The level of a score of 0 to 100; a level begins at its bound."""
    if score < MEDIUM_FROM:
        return Level.LOW
    if score < HIGH_FROM:
        return Level.MEDIUM
    return Level.HIGH if score < CRITICAL_FROM else Level.CRITICAL
