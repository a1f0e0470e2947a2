"""When key figures were unusual: counts per hour, as figures over time count them, judged one after the other."""

from typing import Final, NamedTuple

import numpy as np

from services.analytics.adapters.copies.relations import COUNTS, FORM_ENDS, FORMS, Query, listed
from services.analytics.adapters.questions.arrays import NEVER, Arrays, Numbers
from services.analytics.adapters.questions.counting import HELP
from services.analytics.domain import answer
from services.analytics.domain.insights import FAILURES, first_hour, insights, nothing_known
from services.analytics.domain.question import HOUR_US, SESSION_GAP_US, Insights
from services.analytics.domain.summary import QUARTER_US, bits, kinds

_OUTCOMES: Final = ("shown", "accepted")


class _Counted(NamedTuple):
    """By the number of the hour, counts; what has none is missing."""

    activity: dict[int, tuple[int, ...]]
    """Events, users, users with a failure, and users who converted."""
    help: dict[int, tuple[int, ...]]
    """Help shown and accepted."""
    struggles: dict[int, tuple[int, ...]]
    abandonments: dict[int, tuple[int, ...]]
    """Sessions with a form begun or left, and none sent, no task done and nothing bought, by the hour of their end."""


def from_events(query: Query, asked: Insights, watermark_us: int) -> answer.Insights:
    """The incidents of a window."""
    hour = _hour(asked, "t")
    converted = query.met(asked.conversion)
    activity = _by_hour(
        query,
        "SELECT hour, sum(n), count(*), count(*) FILTER (failed), count(*) FILTER (converted) FROM ("
        f"SELECT {hour}, count(*) AS n, bool_or(event_type IN ({listed(FAILURES)})) AS failed, "
        f"bool_or({converted}) AS converted FROM ({query.chosen(asked, asked.learned)}) GROUP BY hour, user_id)",
    )
    chosen = query.chosen(asked, asked.learned)
    helped = _by_hour(query, f"SELECT {hour}, {_help()} FROM ({chosen}) WHERE outcome IN ({listed(_OUTCOMES)})")
    struggles = _by_hour(query, f"SELECT {hour}, count(*) FROM ({query.struggles(asked, asked.learned)})")
    abandonments = _by_hour(
        query,
        f"SELECT {_hour(asked, 'ended_us')}, count(*) FROM (SELECT max(last_us) AS ended_us "
        f"FROM ({_cells_in_sessions(query, asked)}) GROUP BY user_id, session "
        "HAVING bool_or(is_chosen) AND bool_or(has_form) AND NOT bool_or(has_end))",
    )
    return _judged(_Counted(activity, helped, struggles, abandonments), asked, watermark_us)


def from_summaries(arrays: Arrays, query: Query, asked: Insights, watermark_us: int) -> answer.Insights:
    """The same from summaries of days."""
    (failed, converted), its = (bits(FAILURES), kinds(asked.conversion)), asked.learned
    first, last = (each // QUARTER_US for each in (its.start_us, its.end_us))
    activity = _by_hour(
        query,
        f"SELECT hour, sum(n), count(*), count(*) FILTER (kinds & {failed} <> 0), "
        f"count(*) FILTER (kinds & {converted} <> 0) FROM (SELECT {_hour(asked, f'quarter::BIGINT * {QUARTER_US}')}, "
        "sum(event_count) AS n, bit_or(kinds) AS kinds FROM now_cells "
        f"WHERE kinds <> 0 AND quarter BETWEEN {first} AND {last} GROUP BY hour, person)",
    )
    helped = _by_hour(query, f"SELECT {_hour(asked, 't')}, {_help()} FROM marks WHERE counts")
    sessions = arrays.sessions().between(its.start_us, its.end_us)
    is_left = (sessions.form_us != NEVER) & (sessions.ended_us == NEVER)
    struggles, abandonments = _hours(asked, arrays.struggles().at), _hours(asked, sessions.last_us[is_left])
    return _judged(_Counted(activity, helped, struggles, abandonments), asked, watermark_us)


def _cells_in_sessions(query: Query, asked: Insights) -> str:
    """As `Query.in_sessions`, a row for each quarter of an hour in which a user did something.

    No session ends within one, so they need not be put in order event by event: that took most of the time.
    """
    its = asked.learned
    started = query.bound(its.start_us)
    own = "PARTITION BY user_id ORDER BY first_us"
    return f"""SELECT * FROM (
        SELECT *, max(CASE WHEN begins THEN first_us END) OVER ({own}) AS session FROM (
            SELECT *, coalesce(first_us - lag(last_us) OVER ({own}) > {SESSION_GAP_US}, true) AS begins FROM (
                SELECT user_id, min(t) AS first_us, max(t) AS last_us, bool_or(is_chosen) AS is_chosen,
                    bool_or(event_type IN ({listed(FORMS)})) AS has_form,
                    bool_or(event_type IN ({listed(FORM_ENDS)})) AS has_end
                FROM (SELECT user_id, event_type, epoch_us(event_time) AS t, ({query.met(asked.where)}) AS is_chosen
                    FROM all_events
                    WHERE {COUNTS} AND {query.within(its, SESSION_GAP_US)} AND {query.of_users(asked.segment, its)})
                GROUP BY user_id, t // {QUARTER_US}
            )
        )
    ) WHERE session >= {started}::BIGINT"""


def _hours(asked: Insights, times: Numbers) -> dict[int, tuple[int, ...]]:
    """How many times are in each hour."""
    hours, counts = np.unique((times - first_hour(asked.learned)) // HOUR_US, return_counts=True)
    return {int(hour): (int(count),) for hour, count in zip(hours, counts, strict=True) if hour >= 0}


def _hour(asked: Insights, time: str) -> str:
    """The number of the hour of a time, from the first whole one on; negative before it."""
    return f"floor(({time} - {first_hour(asked.learned)}) / {HOUR_US})::BIGINT AS hour"


def _help() -> str:
    return ", ".join(f"count(DISTINCT {HELP}) FILTER (outcome = '{each}')" for each in _OUTCOMES)


def _by_hour(query: Query, sql: str) -> dict[int, tuple[int, ...]]:
    return {hour: tuple(counts) for hour, *counts in query.rows(f"{sql} GROUP BY hour") if hour >= 0}


def _judged(counted: _Counted, asked: Insights, watermark_us: int) -> answer.Insights:
    until_us = min(watermark_us, asked.window.end_us)
    origin_us = first_hour(asked.learned)
    # The first hour with an event may have begun before there were any.
    first = min(counted.activity, default=0) + 1
    hours = range(first, (until_us - origin_us) // HOUR_US)
    if not hours or not counted.activity:
        return nothing_known()
    counts: dict[str, list[float]] = {}
    for names, found in zip(_NAMES, counted, strict=True):
        gap_us = SESSION_GAP_US if names == ("abandonments",) else 0
        known = range(first, (until_us - gap_us - origin_us) // HOUR_US)
        for number, name in enumerate(names):
            counts[name] = [float(found[hour][number]) if hour in found else 0.0 for hour in known]
    return insights(counts, origin_us + first * HOUR_US, asked.window, asked.limit)


_NAMES: Final[tuple[tuple[str, ...], ...]] = (
    ("events", "users", "failures", "conversions"),
    _OUTCOMES,
    ("struggles",),
    ("abandonments",),
)
"""What is counted, in the order of `_Counted`."""
