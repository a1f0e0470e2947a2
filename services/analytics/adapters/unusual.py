"""When key figures were unusual: counts per hour, as figures over time count them, judged one after the other."""

from typing import Any, Final

from services.analytics.adapters.counting import HELP, intervals, map_times
from services.analytics.adapters.relations import FORM_ENDS, FORMS, Query, listed
from services.analytics.domain import answer
from services.analytics.domain.insights import METRICS, insights, nothing_known
from services.analytics.domain.question import SESSION_GAP_US, Insights, Interval
from services.analytics.domain.summary import QUARTER_US

_FAILURES: Final = ("error", "task_failure")


def unusual(query: Query, asked: Insights, watermark_us: int) -> answer.Insights:
    """The incidents of a window."""
    until_us = min(watermark_us, asked.window.end_us)
    hours = [each for each in intervals(query, asked.learned, Interval.HOUR) if each[1] <= until_us]
    map_times(query, hours)
    of_events, struggles, abandonments = _of_events(query, asked), _struggles(query, asked), _abandonments(query, asked)
    began = [start for start, _ in hours if start in of_events]
    # The first hour with an event may have begun before there were any.
    known = [start for start, _ in hours if began and start > began[0]]
    if not known:
        return nothing_known()
    names = ("events", "users", "failures", "shown", "accepted", "conversions")
    counts: dict[str, list[float]] = {
        name: [float(of_events.get(start, (0,) * len(names))[number]) for start in known]
        for number, name in enumerate(names)
    }
    counts["struggles"] = [float(struggles.get(start, 0)) for start in known]
    ended = [start for start, end in hours if start > began[0] and end + SESSION_GAP_US <= until_us]
    counts["abandonments"] = [float(abandonments.get(start, 0)) for start in ended]
    assert counts.keys() == set(METRICS)  # noqa: S101 - the metrics are closed
    return insights(counts, known[0], asked.window, asked.limit)


def _of_events(query: Query, asked: Insights) -> dict[int, tuple[Any, ...]]:
    """By hour: events, users, failures, help shown, help accepted, and users who converted."""
    converted = query.met(asked.conversion)
    rows = query.rows(
        f"SELECT bucket, count(*), count(DISTINCT user_id), count(*) FILTER (event_type IN ({listed(_FAILURES)})), "
        f"count(DISTINCT {HELP}) FILTER (outcome = 'shown'), count(DISTINCT {HELP}) FILTER (outcome = 'accepted'), "
        f"count(DISTINCT user_id) FILTER ({converted}) FROM ({query.chosen(asked, asked.learned)}) "
        f"JOIN buckets ON quarter = t // {QUARTER_US} GROUP BY bucket"
    )
    return {bucket: tuple(counts) for bucket, *counts in rows}


def _struggles(query: Query, asked: Insights) -> dict[int, int]:
    return dict(
        query.rows(
            f"SELECT bucket, count(*) FROM ({query.struggles(asked, asked.learned)}) "
            f"JOIN buckets ON quarter = t // {QUARTER_US} GROUP BY bucket"
        )
    )


def _abandonments(query: Query, asked: Insights) -> dict[int, int]:
    """Sessions with a form begun or left, and none sent, no task done and nothing bought, by the hour of their end."""
    return dict(
        query.rows(
            "SELECT bucket, count(*) FROM (SELECT max(t) AS ended_us "
            f"FROM ({query.in_sessions(asked, asked.learned)}) GROUP BY user_id, session "
            f"HAVING bool_or(is_chosen) AND bool_or(event_type IN ({listed(FORMS)})) "
            f"AND NOT bool_or(event_type IN ({listed(FORM_ENDS)}))) "
            f"JOIN buckets ON quarter = ended_us // {QUARTER_US} GROUP BY bucket"
        )
    )
