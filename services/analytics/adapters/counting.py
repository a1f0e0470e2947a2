"""Key figures, figures over time, and struggles by place."""

import itertools
from collections.abc import Mapping
from typing import Final

from services.analytics.adapters.relations import Query, column
from services.analytics.domain import answer
from services.analytics.domain.question import Field, Interval, Kpis, Measure, Struggles, Trend, Window

_LEVELS: Final = ("low", "medium", "high", "critical")
_OUTCOMES: Final = ("shown", "accepted", "declined", "converted")
# Of an outcome, what it is of: help from another system has no id, and each report of it counts.
_HELP: Final = "coalesce(nullif(intervention_id, ''), event_id)"
_FORM_ENDS: Final = "('form_submit', 'task_success', 'purchase')"
_ORDER: Final = (
    "events",
    "users",
    "sessions",
    "struggles",
    "users_at_level",
    "offered",
    *_OUTCOMES,
    "conversion_rate",
    "abandonment_rate",
    "time_to_help_seconds",
    "revenue",
)
_SECOND_US: Final = 1_000_000.0

_Figures = dict[tuple[str, str], float | None]


def kpis(query: Query, asked: Kpis) -> answer.Kpis:
    """Key figures of a window and of the one before."""
    now, before = _figures(query, asked, asked.window), _figures(query, asked, asked.previous)
    names = sorted({*now, *before}, key=lambda each: (_ORDER.index(each[0]), each[1]))
    # What one window has of a kind and the other has not is zero there; a share of nothing is none.
    return answer.Kpis(tuple(answer.Kpi(*each, now.get(each, 0.0), before.get(each, 0.0)) for each in names))


def _figures(query: Query, asked: Kpis, window: Window) -> _Figures:
    found: _Figures = {}
    converted = query.met(asked.conversion)
    ((events, users, converts, *outcomes),) = query.rows(
        f"SELECT count(*), count(DISTINCT user_id), count(DISTINCT user_id) FILTER ({converted}), "
        + ", ".join(f"count(DISTINCT {_HELP}) FILTER (outcome = '{each}')" for each in _OUTCOMES)
        + f" FROM ({query.chosen(asked, window)})"
    )
    found["events", ""], found["users", ""] = float(events), float(users)
    found |= {(name, ""): float(count) for name, count in zip(_OUTCOMES, outcomes, strict=True)}
    found["conversion_rate", ""] = converts / users if users else None
    ((sessions, formed, ended),) = query.rows(
        "SELECT count(*), count(*) FILTER (has_form), count(*) FILTER (has_form AND NOT has_end) FROM ("
        "SELECT bool_or(event_type IN ('form_start', 'form_abandon')) AS has_form, "
        f"bool_or(event_type IN {_FORM_ENDS}) AS has_end FROM ({query.in_sessions(asked, window)}) "
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
    counted, source = _counted(query, asked)
    query.make("counted", source)
    named = "''" if asked.breakdown is Field.UNSPECIFIED else column(asked.breakdown)
    most = query.bound(asked.series_count)
    query.make(
        "ranked",
        f"SELECT name, row_number() OVER (ORDER BY total DESC, name) <= {most} AS is_own FROM "
        f"(SELECT {named} AS name, {counted} AS total FROM counted GROUP BY name)",
    )
    begin = f"epoch_us(date_trunc('{asked.interval.value}', make_timestamptz(moment::BIGINT)))"
    start = f"greatest({begin}, {asked.window.start_us})"
    query.make(
        "labelled",
        f"SELECT counted.*, {start} AS bucket, CASE WHEN is_own THEN name END AS series FROM counted "
        f"JOIN ranked ON ranked.name = {named}",
    )
    totals = query.rows(f"SELECT series, {counted} FROM labelled GROUP BY series")
    points = {
        (series, bucket): float(value)
        for series, bucket, value in query.rows(f"SELECT series, bucket, {counted} FROM labelled GROUP BY ALL")
    }
    buckets = intervals(query, asked.window, asked.interval)
    if not totals and asked.breakdown is Field.UNSPECIFIED:
        totals = [("", 0)]
    found = [
        answer.Series(
            name or "",
            name is None,
            float(total),
            tuple(answer.Point(bucket, points.get((name, bucket), 0.0), end > watermark_us) for bucket, end in buckets),
        )
        for name, total in sorted(totals, key=lambda each: (each[0] is None, -each[1], each[0]))
    ]
    return answer.Trend(tuple(found))


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
    """How a measure counts, and the rows that it counts: `moment` is when they happened."""
    measure = asked.measure
    if measure in _OF_OUTCOMES:
        return f"count(DISTINCT {_HELP})", (
            f"SELECT *, t AS moment FROM ({query.chosen(asked)}) WHERE outcome = '{_OF_OUTCOMES[measure]}'"
        )
    if measure is Measure.SESSIONS:
        return "count(*)", (
            "SELECT min(session_start) AS moment, "
            + ", ".join(f"arg_min({field}, t) FILTER (is_chosen) AS {field}" for field in _SESSION_FIELDS)
            + f" FROM ({query.in_sessions(asked)}) GROUP BY user_id, session HAVING bool_or(is_chosen)"
        )
    if measure is Measure.STRUGGLES:
        return "count(*)", f"SELECT *, t AS moment FROM ({query.struggles(asked)})"
    if measure is Measure.USERS_AT_RISK:
        return "count(DISTINCT user_id)", (
            f"SELECT *, t AS moment FROM ({query.chosen(asked, relation='all_decisions')}) "
            "WHERE level IN ('medium', 'high', 'critical')"
        )
    if measure is Measure.OFFERED:
        return "count(*)", (
            f"SELECT *, t AS moment FROM ({query.chosen(asked, relation='all_decisions')}) WHERE kind = 'intervene'"
        )
    return "count(DISTINCT user_id)" if measure is Measure.USERS else "count(*)", (
        f"SELECT *, t AS moment FROM ({query.chosen(asked)})"
    )


_OF_OUTCOMES: Final[Mapping[Measure, str]] = {
    Measure.SHOWN: "shown",
    Measure.ACCEPTED: "accepted",
    Measure.DECLINED: "declined",
    Measure.CONVERTED: "converted",
}
_SESSION_FIELDS: Final = ("event_type", "page", "target", "platform", "device_class", "error_code", "video_id")


def struggles(query: Query, asked: Struggles) -> answer.Struggles:
    """Struggles by kind, page and element."""
    source, most = query.struggles(asked), query.bound(asked.limit)
    rows = query.rows(
        "SELECT struggle, coalesce(page, '') AS page, coalesce(target, '') AS target, count(*) AS n, "
        f"count(DISTINCT user_id), count(*) FILTER (kind = 'intervene'), max(t) FROM ({source}) "
        f"GROUP BY ALL ORDER BY n DESC, struggle, page, target LIMIT {most}"
    )
    return answer.Struggles(tuple(answer.Struggle(*row) for row in rows))
