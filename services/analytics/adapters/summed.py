"""Key figures, users, events and sessions over time, and retention, from summaries of days.

Each equals what `counting` and `ways` find in the events.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from services.analytics.adapters import counting, ways
from services.analytics.adapters.counting import HELP, OUTCOMES, Figures, intervals
from services.analytics.adapters.relations import Query
from services.analytics.domain import answer
from services.analytics.domain.question import (
    CohortKind,
    Insights,
    Journey,
    Kpis,
    Measure,
    Question,
    Retention,
    Trend,
    Window,
)
from services.analytics.domain.summary import MOST_PERIODS, QUARTER_US, is_summed, kinds

_DAYS: Final = frozenset({"cells", "risks"})
_OF_EVENTS: Final = frozenset({"cells", "fragments"})
_BY_HOUR: Final = frozenset({"cells", "fragments", "marks", "begun", "edges"})
_ALL: Final = frozenset({"cells", "fragments", "marks", "risks", "begun", "edges", "offers"})


def needed(question: Question) -> frozenset[str]:
    """The summaries that a question is answered from, or those that say on which days a user did something."""
    if isinstance(question, Journey):
        return _DAYS
    if not is_summed(question):
        return frozenset()
    if isinstance(question, Insights):
        return _BY_HOUR
    return _ALL if isinstance(question, Kpis) else _OF_EVENTS


class _Windows(NamedTuple):
    """A window and the one before, which each query asks about together."""

    query: Query
    before_us: int
    now_us: int
    end_us: int

    def rows(self, sql: str, source: str, time: str = "t", unit: int = 1) -> Iterator[tuple[Any, ...]]:
        """The rows of a query over `{rows}`: those of the source in both windows; `which` is 1 in the one before."""
        before, now, end = self.before_us // unit, self.now_us // unit, self.end_us // unit
        within = f"{time} >= {before} AND {time} < {end}"
        chosen = f"(SELECT *, ({time} < {now})::INTEGER AS which FROM {source} WHERE {within})"
        yield from self.query.rows(sql.format(rows=chosen))


def kpis(query: Query, asked: Kpis, _watermark_us: int) -> answer.Kpis:
    """Key figures of a window and of the one before."""
    windows = _Windows(query, asked.previous.start_us, asked.window.start_us, asked.window.end_us)
    found: tuple[Figures, Figures] = ({}, {})
    for figures in found:
        figures |= {(name, ""): 0.0 for name in ("events", "users", "sessions", "offered", *OUTCOMES)}
        figures |= {(name, ""): None for name in ("conversion_rate", "abandonment_rate", "time_to_help_seconds")}
    for part in (_activity(windows, kinds(asked.conversion)), _trouble(windows), _help(windows)):
        for which, name, of, value in part:
            found[which][name, of] = value
    return counting.both(*found)


_Found = Iterator[tuple[int, str, str, float | None]]


def _activity(windows: _Windows, conversion: int | None) -> _Found:
    for which, events, users, converts in windows.rows(
        f"SELECT which, sum(n), count(*), count(*) FILTER (kinds & {conversion} <> 0) FROM "
        "(SELECT which, sum(event_count) AS n, bit_or(kinds) AS kinds FROM {rows} WHERE kinds <> 0 "
        "GROUP BY which, person) GROUP BY which",
        "cells",
        "quarter",
        QUARTER_US,
    ):
        yield which, "events", "", float(events)
        yield which, "users", "", float(users)
        yield which, "conversion_rate", "", converts / users
    until = f"CASE which WHEN 0 THEN {windows.end_us} ELSE {windows.now_us} END"
    for which, sessions, formed, left in windows.rows(
        f"SELECT which, count(*), count(*) FILTER (form_us < {until}), "
        f"count(*) FILTER (form_us < {until} AND coalesce(ended_us >= {until}, true)) FROM {{rows}} GROUP BY which",
        "all_sessions",
        "first_us",
    ):
        yield which, "sessions", "", float(sessions)
        yield which, "abandonment_rate", "", left / formed if formed else None
    for which, currency, total in windows.rows(
        "SELECT which, coalesce(currency, ''), sum(amount) FROM {rows} WHERE counts AND amount IS NOT NULL "
        "GROUP BY ALL",
        "marks",
    ):
        yield which, "revenue", currency, total


def _trouble(windows: _Windows) -> _Found:
    sql = "SELECT which, struggle, count(*) FROM {rows} GROUP BY which, struggle"
    for which, kind, count in windows.rows(sql, "all_struggles"):
        yield which, "struggles", kind, float(count)
    for which, level, count in windows.rows(
        "SELECT which, highest, count(*) FROM (SELECT which, arg_max(level, score) AS highest FROM {rows} "
        "GROUP BY which, person) WHERE highest IS NOT NULL GROUP BY which, highest",
        "risks",
        "quarter",
        QUARTER_US,
    ):
        yield which, "users_at_level", level, float(count)


def _help(windows: _Windows) -> _Found:
    outcomes = ", ".join(f"count(DISTINCT {HELP}) FILTER (outcome = '{each}')" for each in OUTCOMES)
    for which, *counts in windows.rows(f"SELECT which, {outcomes} FROM {{rows}} WHERE counts GROUP BY which", "marks"):
        for name, count in zip(OUTCOMES, counts, strict=True):
            yield which, name, "", float(count)
    for which, offered, seconds in windows.rows(
        "SELECT which, count(*), median(waited) FROM (SELECT which, (min(shown.t) - min(helped.t)) / 1e6 AS waited "
        "FROM {rows} AS helped LEFT JOIN (SELECT intervention_id, t FROM marks WHERE outcome = 'shown') AS shown "
        "USING (intervention_id) GROUP BY which, decision_id) GROUP BY which",
        "offers",
    ):
        yield which, "offered", "", float(offered)
        yield which, "time_to_help_seconds", "", seconds


def trend(query: Query, asked: Trend, watermark_us: int) -> answer.Trend:
    """Events, users or sessions over time."""
    buckets = intervals(query, asked.window, asked.interval)
    _number(query, [(start, min(end, asked.window.end_us)) for start, end in buckets])
    if asked.measure is Measure.SESSIONS:
        source = f"SELECT first_us // {QUARTER_US} AS quarter, 1 AS n FROM all_sessions"
        total, values = _by_interval(query, len(buckets), source)
    elif asked.measure is Measure.EVENTS:
        total, values = _by_interval(query, len(buckets), "SELECT quarter, event_count AS n FROM cells")
    else:
        total, values = _users(query, len(buckets), f"kinds & {kinds(asked.where)} <> 0")
    points = (
        answer.Point(start, value, end > watermark_us) for (start, end), value in zip(buckets, values, strict=True)
    )
    return answer.Trend((answer.Series("", False, total, tuple(points)),))


def _by_interval(query: Query, count: int, source: str) -> tuple[float, list[float]]:
    found = dict(query.rows(f"SELECT number, sum(n) FROM ({source}) JOIN periods USING (quarter) GROUP BY number"))
    values = [float(found.get(number, 0)) for number in range(count)]
    return sum(values), values


def _users(query: Query, count: int, only: str) -> tuple[float, list[float]]:
    numbers = range(count)
    if count > MOST_PERIODS:
        query.make("active", f"SELECT DISTINCT person, number FROM cells JOIN periods USING (quarter) WHERE {only}")
        found = dict(query.rows("SELECT number, count(*) FROM active GROUP BY number"))
        ((total,),) = query.rows("SELECT count(DISTINCT person) FROM active")
        return float(total), [float(found.get(number, 0)) for number in numbers]
    each = ", ".join(f"coalesce(sum(mask >> {number} & 1), 0)" for number in numbers)
    ((total, *values),) = query.rows(
        f"SELECT count(*), {each} FROM (SELECT person, bit_or(1::BIGINT << number) AS mask "
        f"FROM cells JOIN periods USING (quarter) WHERE {only} GROUP BY person)"
    )
    return float(total), [float(value) for value in values]


def retention(query: Query, asked: Retention, watermark_us: int) -> answer.Retention:
    """How many users of each cohort come back, by bits: of each user, the periods joined in and those returned in."""
    every = ways.periods(query, asked)
    cohort_count = sum(start < asked.window.end_us for start, _ in every)
    _number(query, every[: cohort_count + asked.period_count + 1])
    joins, returns = f"kinds & {kinds(asked.joins)} <> 0", f"kinds & {kinds(asked.returns)} <> 0"
    bit, within = "1::BIGINT << number", f"AND {_quarters(asked.window)}"
    joined = f"bit_or({bit}) FILTER ({joins} {within})"
    if asked.cohorts is CohortKind.FIRST_TIME:
        # Whoever joins in a period returns in it, as `is_summed` has seen to: the order within it does not matter.
        joined = f"bit_or({bit}) FILTER ({joins} AND quarter = first {within})"
        query.make("firsts", f"SELECT person, min(quarter) AS first FROM cells WHERE {joins} GROUP BY person")
    source = "cells JOIN firsts USING (person)" if asked.cohorts is CohortKind.FIRST_TIME else "cells"
    query.make(
        "masks",
        f"SELECT joined, returned, count(*) AS n FROM (SELECT person, {joined} AS joined, "
        f"coalesce(bit_or({bit}) FILTER ({returns}), 0) AS returned "
        f"FROM {source} JOIN periods USING (quarter) GROUP BY person) WHERE joined IS NOT NULL GROUP BY ALL",
    )
    distances = range(asked.period_count + 1)
    each = ", ".join(f"sum(n * (returned >> (cohort + {distance}) & 1))" for distance in distances)
    rows = query.rows(
        f"SELECT cohort, sum(n), {each} FROM masks, range({cohort_count}) AS t(cohort) "
        "WHERE joined >> cohort & 1 = 1 GROUP BY cohort"
    )
    sizes = {every[cohort][0]: int(size) for cohort, size, *_ in rows}
    came_back = {
        (every[cohort][0], distance): int(count)
        for cohort, _, *counts in rows
        for distance, count in zip(distances, counts, strict=True)
    }
    return ways.cohorts(asked, every, sizes, came_back, watermark_us)


def _number(query: Query, periods: Sequence[tuple[int, int]]) -> None:
    """Makes the table `periods`: the number of the period of each quarter of an hour."""
    starts, ends = query.bound([start for start, _ in periods]), query.bound([end for _, end in periods])
    query.make(
        "periods",
        f"SELECT number::INTEGER AS number, "
        f"unnest(range(start // {QUARTER_US}, until // {QUARTER_US}))::INTEGER AS quarter "
        f"FROM (SELECT unnest(range({len(periods)})) AS number, unnest({starts}::BIGINT[]) AS start, "
        f"unnest({ends}::BIGINT[]) AS until)",
    )


def _quarters(window: Window) -> str:
    return f"quarter >= {window.start_us // QUARTER_US} AND quarter < {window.end_us // QUARTER_US}"
