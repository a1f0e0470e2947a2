"""Funnels, retention and paths."""

from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from services.analytics.adapters import columnar
from services.analytics.adapters.counting import intervals
from services.analytics.adapters.relations import COUNTS, Query, column
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
    rows = query.table(
        f"SELECT user_id, t, label, {names} FROM (SELECT *, {label} AS label, {matched} "
        f"FROM ({query.chosen(asked)}) WHERE {likely or 'true'}) WHERE {'true' if likely else any_of} "
        "ORDER BY user_id, t, place"
    )
    user, t = rows["user_id"], rows["t"]
    row = columnar.numbers(len(t))
    run = columnar.starts(columnar.differs(user), row)
    within_us = asked.within_seconds * 1_000_000
    start, before, ends = row, [], []
    leads = rows["m1"]
    came_from = columnar.last_before(leads, run, row)
    for number in range(1, count + 1):
        if number > 1:
            before.append(came_from)
            start = pc.take(start, came_from)
            is_soon = pc.less_equal(pc.subtract(t, pc.take(t, start)), within_us)
            leads = pc.fill_null(pc.and_(rows[f"m{number}"], is_soon), False)
            came_from = columnar.last_before(leads, run, row)
        first = pc.and_(leads, pc.is_null(came_from))
        if asked.start is FunnelStart.FIRST:
            leads, came_from = first, columnar.last_before(first, run, row)
        ends.append(pc.filter(row, first))
    for depth, (end, deeper) in enumerate(zip(ends, [*ends[1:], None], strict=True), 1):
        at = end if deeper is None else pc.filter(end, pc.invert(pc.is_in(pc.take(run, end), pc.take(run, deeper))))
        way = [at]
        for came_from in reversed(before[: depth - 1]):
            way.insert(0, pc.take(came_from, way[0]))
        times = {f"s{number}": pc.take(t, step) for number, step in enumerate(way, 1)}
        found = pa.table({"user_id": pc.take(user, at), "label": pc.take(rows["label"], way[0]), **times})
        query.give(f"reached{depth}", found)
    query.make(
        "reached",
        " UNION ALL ".join(
            f"SELECT user_id, [{', '.join(f's{number}' for number in range(1, depth + 1))}] AS way, {depth} AS depth, "
            f"label FROM reached{depth}"
            for depth in range(1, count + 1)
        ),
    )


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
    query.give("columns", _columns(query, asked))
    query.make(
        "ranked",
        "SELECT col, place, row_number() OVER (PARTITION BY col ORDER BY count(*) DESC, place) "
        f"<= {asked.place_count} AS is_own "
        "FROM columns WHERE NOT is_left GROUP BY col, place",
    )
    query.make(
        "labelled",
        """SELECT session, columns.col,
        CASE WHEN is_left THEN 'left' WHEN is_own THEN 'place' ELSE 'other' END AS kind,
        CASE WHEN is_own AND NOT is_left THEN columns.place ELSE '' END AS name
        FROM columns LEFT JOIN ranked ON columns.col = ranked.col AND columns.place = ranked.place AND NOT is_left""",
    )
    places = query.rows(
        "SELECT col, name, kind, count(*) AS n FROM labelled GROUP BY col, name, kind "
        "ORDER BY col, kind <> 'place', kind = 'left', n DESC, name"
    )
    numbers = {place[:3]: number for number, place in enumerate(places)}
    links = query.rows(
        "SELECT a.col, a.name, a.kind, b.name, b.kind, count(*) FROM labelled a JOIN labelled b "
        "ON a.session = b.session AND b.col = a.col + 1 GROUP BY ALL"
    )
    found = [
        answer.PathLink(numbers[col, name, kind], numbers[col + 1, to_name, to_kind], count)
        for col, name, kind, to_name, to_kind, count in links
    ]
    return answer.Paths(tuple(answer.PathPlace(*place) for place in places), tuple(sorted(found)))


def _columns(query: Query, asked: Paths) -> pa.Table:
    """The places of each session by column, and where it is left, as far as there are columns."""
    rows = query.table(
        f"SELECT user_id, epoch_us(event_time) AS t, {column(asked.place)} AS at, "
        f"({query.met(asked.where)}) AS is_chosen FROM all_events WHERE {COUNTS} "
        f"AND {query.within(asked.window, SESSION_GAP_US)} AND {query.of_users(asked.segment, asked.window)} "
        "ORDER BY user_id, t, place"
    )
    row, t = columnar.numbers(len(rows["t"])), rows["t"]
    before = pa.concat_arrays([t.slice(0, 1), t.slice(0, max(0, len(t) - 1))])
    pauses = pc.greater(pc.subtract(t, before), SESSION_GAP_US)
    session = columnar.starts(pc.or_(columnar.differs(rows["user_id"]), pauses), row)
    is_ours = pc.and_(rows["is_chosen"], pc.greater_equal(pc.take(t, session), asked.window.start_us))
    kept = pc.filter(row, is_ours)
    if asked.direction is Direction.BACKWARD:
        kept = pc.take(kept, pc.subtract(len(kept) - 1, columnar.numbers(len(kept))))
    session, at = pc.take(session, kept), pc.take(rows["at"], kept)
    is_new = pc.or_(columnar.differs(session), columnar.differs(at))
    session, at = pc.filter(session, is_new), pc.filter(at, is_new)
    row, begins = columnar.numbers(len(session)), columnar.differs(session)
    run = first = columnar.starts(begins, row)
    if asked.start_place:
        is_start = pc.equal(at, asked.start_place)
        is_first = pc.and_(is_start, pc.is_null(columnar.last_before(is_start, run, row)))
        first = pc.cumulative_max(pc.if_else(is_first, row, -1))
    col = pc.if_else(pc.greater_equal(first, run), pc.subtract(row, first), asked.column_count)
    is_last = pa.concat_arrays([begins.slice(1), pa.array([True] * min(1, len(begins)), pa.bool_())])
    is_shown = pc.less(col, asked.column_count)
    is_left = pc.and_(is_last, pc.less(pc.add(col, 1), asked.column_count))
    shown = pa.table({"session": session, "col": col, "place": at, "is_left": pc.is_null(at)})
    left = pa.table({"session": session, "col": pc.add(col, 1), "place": at, "is_left": pc.is_valid(at)})
    return pa.concat_tables([shown.filter(is_shown), left.filter(is_left)])
