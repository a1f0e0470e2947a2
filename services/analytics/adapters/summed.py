"""Key figures, users, events and sessions over time, and retention, from summaries of days.

Each equals what `counting` and `ways` find in the events.
"""

from collections.abc import Sequence
from typing import Final

from services.analytics.adapters import counting, ways
from services.analytics.adapters.counting import HELP, OUTCOMES, Figures, intervals
from services.analytics.adapters.relations import Query
from services.analytics.domain import answer
from services.analytics.domain.question import CohortKind, Kpis, Measure, Question, Retention, Trend, Window
from services.analytics.domain.summary import MOST_PERIODS, QUARTER_US, kinds

_OF_EVENTS: Final = frozenset({"cells", "fragments"})
_ALL: Final = frozenset({"cells", "fragments", "marks", "risks", "begun", "edges", "offers"})


def needed(question: Question) -> frozenset[str]:
    """The summaries that a question is answered from."""
    return _ALL if isinstance(question, Kpis) else _OF_EVENTS


def kpis(query: Query, asked: Kpis, _watermark_us: int) -> answer.Kpis:
    """Key figures of a window and of the one before."""
    return counting.both(*(_figures(query, asked, window) for window in (asked.window, asked.previous)))


def _figures(query: Query, asked: Kpis, window: Window) -> Figures:
    found: Figures = {}
    cells, within, start, end = _quarters(window), _within(window), window.start_us, window.end_us
    ((events, users, converts),) = query.rows(
        "SELECT coalesce(sum(event_count), 0), count(*), count(*) FILTER (kinds & "
        f"{kinds(asked.conversion)} <> 0) FROM (SELECT sum(event_count) AS event_count, bit_or(kinds) AS kinds "
        f"FROM cells WHERE {cells} AND kinds <> 0 GROUP BY person)"
    )
    found["events", ""], found["users", ""] = float(events), float(users)
    found["conversion_rate", ""] = converts / users if users else None
    (outcomes,) = query.rows(
        "SELECT "
        + ", ".join(f"count(DISTINCT {HELP}) FILTER (outcome = '{each}')" for each in OUTCOMES)
        + f" FROM marks WHERE {within} AND counts"
    )
    found |= {(name, ""): float(count) for name, count in zip(OUTCOMES, outcomes, strict=True)}
    ((sessions, formed, left),) = query.rows(
        f"SELECT count(*), count(*) FILTER (form_us < {end}), "
        f"count(*) FILTER (form_us < {end} AND coalesce(ended_us >= {end}, true)) "
        f"FROM all_sessions WHERE first_us >= {start} AND first_us < {end}"
    )
    found["sessions", ""], found["abandonment_rate", ""] = float(sessions), left / formed if formed else None
    for kind, count in query.rows(f"SELECT struggle, count(*) FROM all_struggles WHERE {within} GROUP BY struggle"):
        found["struggles", kind] = float(count)
    for level, count in query.rows(
        f"SELECT highest, count(*) FROM (SELECT arg_max(level, score) AS highest FROM risks WHERE {cells} "
        "GROUP BY person) GROUP BY highest"
    ):
        found["users_at_level", level] = float(count)
    ((offered, seconds),) = query.rows(
        "SELECT count(*), median(waited) FROM (SELECT (min(shown.t) - min(helped.t)) / 1e6 AS waited FROM "
        f"(SELECT * FROM offers WHERE {within}) AS helped LEFT JOIN (SELECT intervention_id, t FROM marks "
        "WHERE outcome = 'shown') AS shown USING (intervention_id) GROUP BY decision_id)"
    )
    found["offered", ""], found["time_to_help_seconds", ""] = float(offered), seconds
    for currency, total in query.rows(
        f"SELECT coalesce(currency, ''), sum(amount) FROM marks WHERE {within} AND counts AND amount IS NOT NULL "
        "GROUP BY ALL"
    ):
        found["revenue", currency] = total
    return found


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


def _within(window: Window) -> str:
    return f"t >= {window.start_us} AND t < {window.end_us}"
