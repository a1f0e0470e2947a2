"""Which questions can be answered from summaries of days, and which kinds of event they tell apart. Pure.

A summary says of each user and quarter of an hour how many events there were, and of which kinds. Whatever asks for
more is answered from the events.
"""

from collections.abc import Iterable
from typing import Final

from services.analytics.domain.question import (
    CohortKind,
    Comparison,
    Conditions,
    DayKind,
    Field,
    Insights,
    Interval,
    Kpis,
    Measure,
    Question,
    Retention,
    Trend,
    UserFilter,
    Window,
)

QUARTER_US: Final = 900_000_000
"""In all time zones intervals begin with a quarter of an hour."""
KINDS: Final = (
    "page_view",
    "feature_interaction",
    "click",
    "form_start",
    "form_submit",
    "form_abandon",
    "error",
    "retry",
    "help_request",
    "task_success",
    "task_failure",
    "struggle_signal",
    "video_playback",
    "purchase",
    "session_start",
    "session_end",
    "intervention_outcome",
    "identify",
    "segment_change",
)
"""The kinds of event that are told apart; each is the bit of its place. A new one is put at the end."""
OTHER: Final = 1 << 61
"""The bit of every other kind."""
EVERY: Final = (1 << len(KINDS)) - 1 | OTHER
"""The bits of all kinds."""
MOST_PERIODS: Final = 62
"""As many periods fit in the bits of a user."""

_PERIOD_US: Final = {Interval.DAY: 82_800_000_000, Interval.WEEK: 601_200_000_000, Interval.MONTH: 2_415_600_000_000}


def kinds(conditions: Conditions) -> int | None:
    """The kinds of event that meet conditions, as bits; None where more than the kind decides."""
    found = EVERY
    for each in conditions:
        is_known = each.field is Field.EVENT_TYPE and each.comparison is Comparison.IS and {*each.values} <= {*KINDS}
        if not is_known:
            return None
        found &= bits(each.values)
    return found


def bits(names: Iterable[str]) -> int:
    """Kinds of event that are told apart, as bits."""
    return sum(1 << KINDS.index(name) for name in {*names})


def is_summed(question: Question) -> bool:
    """Whether summaries have the answer."""
    if question.segment != UserFilter():
        return False
    if isinstance(question, Insights):  # of whole hours
        return not question.where and kinds(question.conversion) is not None
    if not _is_aligned(question.window):
        return False
    if isinstance(question, Kpis):
        return not question.where and kinds(question.conversion) is not None
    if isinstance(question, Trend):
        return question.breakdown is Field.UNSPECIFIED and _is_counted(question)
    return isinstance(question, Retention) and question.days is DayKind.CALENDAR and _are_bits(question)


def _is_counted(trend: Trend) -> bool:
    if trend.measure is Measure.USERS:
        return kinds(trend.where) is not None
    return not trend.where and trend.measure in {Measure.EVENTS, Measure.SESSIONS}


def _are_bits(retention: Retention) -> bool:
    joins, returns = kinds(retention.joins), kinds(retention.returns)
    if joins is None or returns is None:
        return False
    span_us = retention.window.end_us - retention.window.start_us
    is_fit = span_us // _PERIOD_US[retention.period] + retention.period_count + 3 <= MOST_PERIODS
    # Else it matters what came first within a quarter of an hour.
    return is_fit and (retention.cohorts is CohortKind.RECURRING or not joins & ~returns)


def _is_aligned(window: Window) -> bool:
    return window.start_us % QUARTER_US == window.end_us % QUARTER_US == 0
