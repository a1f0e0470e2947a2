"""Key figures, figures over time, and struggles by place."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from services.analytics.adapters.copies.relations import FORM_ENDS, FORMS, Query, column, listed
from services.analytics.domain import answer
from services.analytics.domain.question import Field, Interval, Kpis, Measure, Struggles, Trend, Window
from services.analytics.domain.summary import QUARTER_US

_LEVELS: Final = ("low", "medium", "high", "critical")
OUTCOMES: Final = ("shown", "accepted", "declined", "converted")
# Of an outcome, what it is of: help from another system has no id, and each report of it counts.
HELP: Final = "coalesce(nullif(intervention_id, ''), event_id)"
_ORDER: Final = (
    "events",
    "users",
    "sessions",
    "struggles",
    "users_at_level",
    "offered",
    *OUTCOMES,
    "conversion_rate",
    "abandonment_rate",
    "time_to_help_seconds",
    "revenue",
)
# No value of a field: it holds a character that none may.
_OTHER: Final = "\x00"

Figures = dict[tuple[str, str], float | None]


def kpis(query: Query, asked: Kpis) -> answer.Kpis:
    """Key figures of a window and of the one before."""
    return both(_figures(query, asked, asked.window), _figures(query, asked, asked.previous))


def both(now: Figures, before: Figures) -> answer.Kpis:
    """The figures of a window, each with that of the window before."""
    names = sorted({*now, *before}, key=lambda each: (_ORDER.index(each[0]), each[1]))
    # What one window has of a kind and the other has not is zero there; a share of nothing is none.
    return answer.Kpis(tuple(answer.Kpi(*each, now.get(each, 0.0), before.get(each, 0.0)) for each in names))


def _figures(query: Query, asked: Kpis, window: Window) -> Figures:
    found: Figures = {}
    converted = query.met(asked.conversion)
    ((events, users, converts, *outcomes),) = query.rows(
        f"SELECT count(*), count(DISTINCT user_id), count(DISTINCT user_id) FILTER ({converted}), "
        + ", ".join(f"count(DISTINCT {HELP}) FILTER (outcome = '{each}')" for each in OUTCOMES)
        + f" FROM ({query.chosen(asked, window)})"
    )
    found["events", ""], found["users", ""] = float(events), float(users)
    found |= {(name, ""): float(count) for name, count in zip(OUTCOMES, outcomes, strict=True)}
    found["conversion_rate", ""] = converts / users if users else None
    ((sessions, formed, ended),) = query.rows(
        "SELECT count(*), count(*) FILTER (has_form), count(*) FILTER (has_form AND NOT has_end) FROM ("
        f"SELECT bool_or(event_type IN ({listed(FORMS)})) AS has_form, "
        f"bool_or(event_type IN ({listed(FORM_ENDS)})) AS has_end FROM ({query.in_sessions(asked, window)}) "
        "GROUP BY user_id, session HAVING bool_or(is_chosen))"
    )
    found["sessions", ""] = float(sessions)
    found["abandonment_rate", ""] = ended / formed if formed else None
    for kind, count in query.rows(
        f"SELECT struggle, count(*) FROM ({query.struggles(asked, window)}) GROUP BY struggle"
    ):
        found["struggles", kind] = float(count)
    for level, count in query.rows(
        f"SELECT highest, count(*) FROM (SELECT arg_max(level, score) AS highest FROM "
        f"({query.chosen(asked, window, 'all_decisions')}) GROUP BY user_id) WHERE highest IS NOT NULL GROUP BY highest"
    ):
        found["users_at_level", level] = float(count)
    decided = query.chosen(asked, window, "all_decisions")
    ((offered, seconds),) = query.rows(
        "SELECT count(*), median(waited) FROM (SELECT (min(shown.t) - min(helped.t)) / 1e6 AS waited FROM "
        f"(SELECT * FROM ({decided}) WHERE kind = 'intervene') AS helped LEFT JOIN "
        "(SELECT intervention_id, epoch_us(event_time) AS t FROM all_events WHERE outcome = 'shown') AS shown "
        "USING (intervention_id) GROUP BY decision_id)"
    )
    found["offered", ""], found["time_to_help_seconds", ""] = float(offered), seconds
    for currency, total in query.rows(
        f"SELECT coalesce(currency, ''), sum(amount) FROM ({query.chosen(asked, window)}) "
        "WHERE amount IS NOT NULL GROUP BY ALL"
    ):
        found["revenue", currency] = total
    return found


def trend(query: Query, asked: Trend, watermark_us: int) -> answer.Trend:
    """A figure over time."""
    buckets = intervals(query, asked.window, asked.interval)
    _map_times(query, buckets)
    counted, source = _counted(query, asked)
    query.make(
        "labelled",
        f"SELECT unit, name, bucket FROM ({source}) JOIN buckets ON quarter = moment // {QUARTER_US} "
        f"{'GROUP BY ALL' if counted != 'count(*)' else ''}",
    )
    found = query.rows(f"SELECT name, bucket, {counted} FROM labelled GROUP BY GROUPING SETS ((name, bucket), (name))")
    totals = {name: float(value) for name, bucket, value in found if bucket is None}
    own = sorted(totals, key=lambda name: (-totals[name], name))[: asked.series_count]
    points = {(name, bucket): float(value) for name, bucket, value in found if bucket is not None}
    if not totals and asked.breakdown is Field.UNSPECIFIED:
        own = [""]

    def series(name: str, total: float, *, is_other: bool) -> answer.Series:
        its = (answer.Point(start, points.get((name, start), 0.0), end > watermark_us) for start, end in buckets)
        return answer.Series("" if is_other else name, is_other, total, tuple(its))

    shown = [series(name, totals.get(name, 0.0), is_other=False) for name in own]
    if len(own) < len(totals):
        is_own = f"list_contains({query.bound(own)}::VARCHAR[], name)"
        rest = query.rows(
            f"SELECT bucket, {counted} FROM labelled WHERE NOT {is_own} GROUP BY GROUPING SETS ((bucket), ())"
        )
        points |= {(_OTHER, bucket): float(value) for bucket, value in rest if bucket is not None}
        (total,) = (value for bucket, value in rest if bucket is None)
        shown.append(series(_OTHER, float(total), is_other=True))
    return answer.Trend(tuple(shown))


def _map_times(query: Query, buckets: Sequence[tuple[int, int]]) -> None:
    """Makes the table `buckets`: the interval of each quarter of an hour. In all zones intervals begin with one."""
    starts, ends = query.bound([start for start, _ in buckets]), query.bound([end for _, end in buckets])
    query.make(
        "buckets",
        f"SELECT bucket, unnest(range(bucket // {QUARTER_US}, -(-until // {QUARTER_US}))) AS quarter FROM "
        f"(SELECT unnest({starts}::BIGINT[]) AS bucket, unnest({ends}::BIGINT[]) AS until)",
    )


def intervals(query: Query, window: Window, interval: Interval) -> list[tuple[int, int]]:
    """The intervals of a window, in order: when each begins, not before the window, and when it ends."""
    start, end = query.bound(window.start_us), query.bound(window.end_us)
    starts = query.rows(
        f"SELECT epoch_us(unnest(generate_series(date_trunc('{interval.value}', make_timestamptz({start}::BIGINT)), "
        f"make_timestamptz({end}::BIGINT - 1) + INTERVAL 1 {interval.value}, INTERVAL 1 {interval.value})))"
    )
    times = [at for (at,) in starts]
    pairs = itertools.pairwise(times)
    return [(max(at, window.start_us), following) for at, following in pairs if at < window.end_us]


def _counted(query: Query, asked: Trend) -> tuple[str, str]:
    """How a measure counts, and what it counts: `unit`, `name` of the breakdown, and `moment`, when it happened."""
    measure = asked.measure
    named = column(asked.breakdown)
    if measure is Measure.SESSIONS:
        named = "''" if asked.breakdown is Field.UNSPECIFIED else f"arg_min({named}, t) FILTER (is_chosen)"
        return "count(*)", (
            f"SELECT NULL AS unit, {named} AS name, session AS moment FROM ({query.in_sessions(asked)}) "
            "GROUP BY user_id, session HAVING bool_or(is_chosen)"
        )
    if measure is Measure.STRUGGLES:
        return "count(*)", f"SELECT NULL AS unit, {named} AS name, t AS moment FROM ({query.struggles(asked)})"
    relation = "all_decisions" if measure in {Measure.USERS_AT_RISK, Measure.OFFERED} else "all_events"
    unit, only = _UNITS[measure]
    counted = "count(*)" if unit == "NULL" else "count(DISTINCT unit)"
    chosen = query.chosen(asked, relation=relation)
    return counted, f"SELECT {unit} AS unit, {named} AS name, t AS moment FROM ({chosen}) WHERE {only}"


_UNITS: Final[Mapping[Measure, tuple[str, str]]] = {
    Measure.EVENTS: ("NULL", "true"),
    Measure.USERS: ("user_id", "true"),
    Measure.USERS_AT_RISK: ("user_id", "level IN ('medium', 'high', 'critical')"),
    Measure.OFFERED: ("NULL", "kind = 'intervene'"),
    **{Measure(outcome): (HELP, f"outcome = '{outcome}'") for outcome in OUTCOMES},
}
"""What a measure counts, each once, or NULL for rows; and of which rows."""


def struggles(query: Query, asked: Struggles) -> answer.Struggles:
    """Struggles by kind, page and element."""
    source, most = query.struggles(asked), query.bound(asked.limit)
    rows = query.rows(
        "SELECT struggle, coalesce(page, '') AS page, coalesce(target, '') AS target, count(*) AS n, "
        f"count(DISTINCT user_id), count(*) FILTER (kind = 'intervene'), max(t) FROM ({source}) "
        f"GROUP BY ALL ORDER BY n DESC, struggle, page, target LIMIT {most}"
    )
    return answer.Struggles(tuple(answer.Struggle(*row) for row in rows))
