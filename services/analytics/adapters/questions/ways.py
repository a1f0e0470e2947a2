"""Funnels, retention and paths."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.analytics.adapters.copies.relations import COUNTS, Query, column
from services.analytics.adapters.questions import columnar
from services.analytics.adapters.questions.arrays import Numbers
from services.analytics.adapters.questions.counting import intervals
from services.analytics.domain import answer
from services.analytics.domain.question import (
    DAY_US,
    SESSION_GAP_US,
    CohortKind,
    DayKind,
    Direction,
    Field,
    Funnel,
    FunnelStart,
    Interval,
    Paths,
    Retention,
    Window,
)

_ROLLING_DAYS: Final = {Interval.DAY: 1, Interval.WEEK: 7, Interval.MONTH: 30}


def funnel(query: Query, asked: Funnel) -> answer.Funnel:
    """How far users came."""
    reached(query, asked)
    most = query.bound(asked.series_count)
    query.make(
        "ranked",
        f"SELECT label, row_number() OVER (ORDER BY count(*) DESC, label) <= {most} AS is_own "
        "FROM reached GROUP BY label",
    )
    figures = [answer.Steps("", False, _steps(query, asked, "reached"))]
    if asked.breakdown is not Field.UNSPECIFIED:
        own = query.rows(
            "SELECT label FROM ranked JOIN reached USING (label) WHERE is_own "
            "GROUP BY label ORDER BY count(*) DESC, label"
        )
        for (label,) in own:
            its = f"(SELECT * FROM reached WHERE label = {query.bound(label)})"
            figures.append(answer.Steps(label, False, _steps(query, asked, its)))
        if query.rows("SELECT 1 FROM ranked WHERE NOT is_own LIMIT 1"):
            others = "(SELECT reached.* FROM reached JOIN ranked USING (label) WHERE NOT is_own)"
            figures.append(answer.Steps("", True, _steps(query, asked, others)))
    return answer.Funnel(tuple(figures))


def reached(query: Query, asked: Funnel) -> None:
    """Makes the table `reached`: per user of the first step, the times of the steps of the way that leads furthest.

    A way to an event comes from the last event before it that a way to the step before leads to: of all ways, that one
    began last, and so reaches at least as far as the others (any start). From the first start there is one way, by
    the first events that make it. Among ways that reach as far, the one that was first complete counts.
    """
    count = len(asked.steps)
    matched = ", ".join(f"({query.met(step.where)}) AS m{number}" for number, step in enumerate(asked.steps, 1))
    any_of = " OR ".join(f"m{number}" for number in range(1, count + 1))
    label = "''" if asked.breakdown is Field.UNSPECIFIED else column(asked.breakdown)
    names = ", ".join(f"m{number}" for number in range(1, count + 1))
    # Rows of no step do no harm.
    likely = query.likely([step.where for step in asked.steps])
    blocks = query.blocks(
        f"SELECT user_id, t, label, {names} FROM (SELECT *, {label} AS label, {matched} "
        f"FROM ({query.chosen(asked)}) WHERE {likely or 'true'}) WHERE {'true' if likely else any_of} "
        "ORDER BY user_id, t, place"
    )
    for depth, tables in enumerate(zip(*(_by_depth(asked, rows) for rows in blocks), strict=True), 1):
        query.give(f"reached{depth}", pa.concat_tables(tables))
    query.make(
        "reached",
        " UNION ALL ".join(
            f"SELECT user_id, [{', '.join(f's{number}' for number in range(1, depth + 1))}] AS way, {depth} AS depth, "
            f"label FROM reached{depth}"
            for depth in range(1, count + 1)
        ),
    )


def _by_depth(asked: Funnel, rows: Mapping[str, Any]) -> list[pa.Table]:
    """The users of a block who made one step, those who made two, and so on, with the times of their steps."""
    t = rows["t"].to_numpy()
    user = np.cumsum(columnar.differs(rows["user_id"]), dtype=np.int64)
    steps = _leading(asked, user, t, rows)
    found = []
    for depth, (step, deeper) in enumerate(zip(steps, [*steps[1:], None], strict=True), 1):
        place = step.first
        if deeper is not None:
            place = place[np.isin(user[step.row[place]], user[deeper.row[deeper.first]], invert=True)]
        ends = step.row[place]
        way = [ends]
        for each, before in zip(steps[depth - 1 : 0 : -1], steps[depth - 2 :: -1], strict=False):
            place = each.came_from[place]
            way.insert(0, before.row[place])
        times = {f"s{number}": t[row] for number, row in enumerate(way, 1)}
        found.append(
            pa.table({"user_id": pc.take(rows["user_id"], ends), "label": pc.take(rows["label"], way[0]), **times})
        )
    return found


class _Step(NamedTuple):
    """The rows that a way leads to by a step, in order."""

    row: Numbers
    came_from: Numbers
    """The place of the way's row before, among those of the step before."""
    start: Numbers
    """When the way began."""
    first: Numbers
    """The places of each user's first row."""


def _leading(asked: Funnel, user: Numbers, t: Numbers, rows: Mapping[str, Any]) -> list[_Step]:
    steps: list[_Step] = []
    for number in range(1, len(asked.steps) + 1):
        row = np.flatnonzero(rows[f"m{number}"].to_numpy(zero_copy_only=False))
        came_from, start = row, t[row]
        if steps:
            before = steps[-1]
            came_from = np.searchsorted(before.row, row) - 1
            row, came_from = row[came_from >= 0], came_from[came_from >= 0]
            start = before.start[came_from]
            is_led = (user[before.row[came_from]] == user[row]) & (t[row] - start <= asked.within_seconds * 1_000_000)
            row, came_from, start = row[is_led], came_from[is_led], start[is_led]
        first = np.flatnonzero(np.diff(user[row], prepend=-1))
        if asked.start is FunnelStart.FIRST:
            row, came_from, start, first = row[first], came_from[first], start[first], np.arange(len(first))
        steps.append(_Step(row, came_from, start, first))
    return steps


def _steps(query: Query, asked: Funnel, source: str) -> tuple[answer.StepFigure, ...]:
    counted = ", ".join(
        f"count(*) FILTER (depth >= {number}), "
        f"quantile_cont((way[{number}] - way[{number - 1}]) / 1e6, [0.5, 0.9]) FILTER (depth >= {number})"
        for number in range(1, len(asked.steps) + 1)
    )
    ((*found,),) = query.rows(f"SELECT {counted} FROM {source}")
    counts, times = found[0::2], found[1::2]
    figures = []
    for number, (step, count) in enumerate(zip(asked.steps, counts, strict=True)):
        before = counts[max(0, number - 1)]
        middle = times[number] if number and count else None
        figures.append(
            answer.StepFigure(
                step.name,
                count,
                count / counts[0] if counts[0] else 0.0,
                count / before if before else 0.0,
                middle[0] if middle else None,
                middle[1] if middle else None,
            )
        )
    return tuple(figures)


def retention(query: Query, asked: Retention, watermark_us: int) -> answer.Retention:
    """How many users of each cohort come back."""
    period = asked.period.value
    base = f"FROM all_events WHERE NOT is_bot AND NOT is_system AND {query.of_users(asked.segment, asked.window)}"
    query.make("joined", f"SELECT user_id, epoch_us(event_time) AS t {base} AND {query.met(asked.joins)}")
    base = f"FROM all_events WHERE NOT is_bot AND NOT is_system AND {query.of_users(asked.segment, asked.window)}"
    query.make("returned", f"SELECT user_id, epoch_us(event_time) AS t {base} AND {query.met(asked.returns)}")
    within = f"t >= {asked.window.start_us} AND t < {asked.window.end_us}"
    begin = f"epoch_us(date_trunc('{period}', make_timestamptz(t)))"
    if asked.cohorts is CohortKind.FIRST_TIME:
        query.make(
            "cohorts",
            f"SELECT user_id, t, {begin} AS cohort "
            f"FROM (SELECT user_id, min(t) AS t FROM joined GROUP BY user_id) WHERE {within}",
        )
    else:
        query.make(
            "cohorts",
            f"SELECT user_id, min(t) AS t, {begin} AS cohort FROM joined WHERE {within} GROUP BY user_id, cohort",
        )
    rolling_us = _ROLLING_DAYS[asked.period] * DAY_US
    if asked.days is DayKind.ROLLING:
        distance = f"(returned.t - cohorts.t) // {rolling_us}"
    else:
        local = "make_timestamptz({}.t)::DATE"
        distance = (
            f"date_diff('{period}', date_trunc('{period}', {local.format('cohorts')}), "
            f"date_trunc('{period}', {local.format('returned')}))"
        )
    rows = query.rows(
        f"SELECT cohort, {distance} AS number, count(DISTINCT user_id) FROM cohorts JOIN returned USING (user_id) "
        f"WHERE {'returned.t >= cohorts.t' if asked.cohorts is CohortKind.FIRST_TIME else 'true'} "
        f"AND number BETWEEN 0 AND {asked.period_count} GROUP BY ALL"
    )
    came_back = {(cohort, number): count for cohort, number, count in rows}
    sizes = dict(query.rows("SELECT cohort, count(*) FROM cohorts GROUP BY cohort"))
    return cohorts(asked, periods(query, asked), sizes, came_back, watermark_us)


def periods(query: Query, asked: Retention) -> list[tuple[int, int]]:
    """The periods of cohorts and of all who come back, in order: when each begins and ends; some more at the end."""
    end_us = asked.window.end_us + (asked.period_count + 1) * 31 * _ROLLING_DAYS[asked.period] * DAY_US
    return _whole_intervals(query, Window(asked.window.start_us, end_us, ""), asked.period)


def cohorts(
    asked: Retention,
    every: Sequence[tuple[int, int]],
    sizes: Mapping[int, int],
    came_back: Mapping[tuple[int, int], int],
    watermark_us: int,
) -> answer.Retention:
    """The cohorts of a window, of what was counted by the beginning of their periods."""
    rolling_us = _ROLLING_DAYS[asked.period] * DAY_US
    found = []
    for position, (start, end) in enumerate(every):
        if start >= asked.window.end_us:
            break
        size = sizes.get(start, 0)
        figures = []
        for number in range(asked.period_count + 1):
            if asked.days is DayKind.ROLLING:
                begins, ends = start + number * rolling_us, end + (number + 1) * rolling_us
            else:
                begins, ends = every[position + number]
            if begins > watermark_us:
                break
            count = came_back.get((start, number), 0)
            figures.append(answer.ReturnFigure(count, count / size if size else 0.0, ends > watermark_us))
        found.append(answer.Cohort(max(start, asked.window.start_us), size, tuple(figures)))
    return answer.Retention(tuple(found))


def _whole_intervals(query: Query, window: Window, interval: Interval) -> list[tuple[int, int]]:
    """As `intervals`, the first one from its own beginning on."""
    found = intervals(query, window, interval)
    start = query.bound(window.start_us)
    ((first,),) = query.rows(f"SELECT epoch_us(date_trunc('{interval.value}', make_timestamptz({start}::BIGINT)))")
    return [(first, found[0][1]), *found[1:]]


def paths(query: Query, asked: Paths) -> answer.Paths:
    """Which ways sessions take."""
    query.give("flows", _flows(query, asked))
    query.make(
        "ranked",
        "SELECT col, place, row_number() OVER (PARTITION BY col ORDER BY sum(count) DESC, place) "
        f"<= {asked.place_count} AS is_own FROM flows GROUP BY col, place",
    )
    query.make(
        "labelled",
        """SELECT col, CASE WHEN one.is_own THEN place ELSE '' END AS name,
        CASE WHEN one.is_own THEN 'place' ELSE 'other' END AS kind,
        CASE WHEN following.is_own THEN next_place ELSE '' END AS next_name,
        CASE WHEN is_left THEN 'left' WHEN following.is_own THEN 'place' WHEN next_place IS NOT NULL THEN 'other' END
        AS next_kind, count
        FROM flows JOIN ranked AS one USING (col, place)
        LEFT JOIN ranked AS following ON following.col = flows.col + 1 AND following.place = next_place""",
    )
    places = query.rows(
        "SELECT col, name, kind, sum(count)::BIGINT AS n FROM (SELECT col, name, kind, count FROM labelled "
        "UNION ALL SELECT col + 1, next_name, next_kind, count FROM labelled WHERE next_kind = 'left') "
        "GROUP BY col, name, kind ORDER BY col, kind <> 'place', kind = 'left', n DESC, name"
    )
    numbers = {place[:3]: number for number, place in enumerate(places)}
    links = query.rows(
        "SELECT col, name, kind, next_name, next_kind, sum(count)::BIGINT FROM labelled "
        "WHERE next_kind IS NOT NULL GROUP BY ALL"
    )
    found = [
        answer.PathLink(numbers[col, name, kind], numbers[col + 1, to_name, to_kind], count)
        for col, name, kind, to_name, to_kind, count in links
    ]
    return answer.Paths(tuple(answer.PathPlace(*place) for place in places), tuple(sorted(found)))


def _flows(query: Query, asked: Paths) -> pa.Table:
    """How often sessions go from a place in a column to what comes next; rows of the same way may be several."""
    blocks = query.blocks(
        f"SELECT user_id, epoch_us(event_time) AS t, {column(asked.place)} AS at, "
        f"({query.met(asked.where)}) AS is_chosen FROM all_events WHERE {COUNTS} "
        f"AND {query.within(asked.window, SESSION_GAP_US)} AND {query.of_users(asked.segment, asked.window)} "
        "ORDER BY user_id, t, place"
    )
    return pa.concat_tables([_flows_of(asked, rows) for rows in blocks])


def _flows_of(asked: Paths, rows: Mapping[str, Any]) -> pa.Table:
    """The same for a block of users.

    `next_place` is null where the session is left (`is_left`) or goes on past the last column.
    """
    coded, t = rows["at"].dictionary_encode(), rows["t"].to_numpy()
    pauses = np.diff(t, prepend=t[:1]) > SESSION_GAP_US
    begins = columnar.differs(rows["user_id"]) | pauses
    session = np.cumsum(begins, dtype=np.int64)
    is_ours = (t[begins] >= asked.window.start_us)[session - 1]
    kept = np.flatnonzero(rows["is_chosen"].to_numpy(zero_copy_only=False) & is_ours)
    if asked.direction is Direction.BACKWARD:
        kept = kept[::-1]
    session, at = session[kept], coded.indices.to_numpy().astype(np.int64)[kept]
    is_new = (np.diff(session, prepend=0) != 0) | (np.diff(at, prepend=-1) != 0)
    session, at = session[is_new], at[is_new]
    row, begins = np.arange(len(session)), np.diff(session, prepend=0) != 0
    run = first = np.maximum.accumulate(np.where(begins, row, 0))
    if asked.start_place:
        starts = np.flatnonzero(at == coded.dictionary.index(asked.start_place).as_py())
        first = np.full(len(row), -1)
        first[starts] = np.where(np.diff(session[starts], prepend=0) != 0, starts, -1)
        first = np.maximum.accumulate(first)
    col = np.where(first >= run, row - first, asked.column_count)
    ends, has_next = np.append(begins[1:], True)[: len(row)], col + 1 < asked.column_count
    following = np.where(has_next & ~ends, np.append(at[1:], -1)[: len(row)], -1)
    shape = asked.column_count, len(coded.dictionary) + 1, len(coded.dictionary) + 1, 2
    shown = col < asked.column_count
    every = col[shown], at[shown], following[shown] + 1, (has_next & ends)[shown]
    flow, count = np.unique(np.ravel_multi_index(every, shape), return_counts=True)
    col, at, following, is_left = np.unravel_index(flow, shape)
    return pa.table(
        {
            "col": col,
            "place": pc.take(coded.dictionary, at),
            "next_place": pc.take(coded.dictionary, pa.array(following - 1, mask=following == 0)),
            "is_left": is_left == 1,
            "count": count,
        }
    )
