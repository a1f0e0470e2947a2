"""Key figures, users, events and sessions over time, and retention, from summaries of days as arrays.

Each equals what `counting` and `ways` find in the events.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from services.analytics.adapters.copies.relations import Query
from services.analytics.adapters.questions import counting, ways
from services.analytics.adapters.questions.arrays import Arrays, Cells, Numbers
from services.analytics.adapters.questions.counting import HELP, OUTCOMES, Figures, intervals
from services.analytics.domain import answer, layout
from services.analytics.domain.question import CohortKind, Insights, Journey, Kpis, Measure, Question, Retention, Trend
from services.analytics.domain.summary import EVERY, QUARTER_US, is_summed, kinds

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
    """A window and the one before, which are asked about together."""

    arrays: Arrays
    query: Query
    before_us: int
    now_us: int
    end_us: int

    def rows(self, sql: str, source: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query over `{rows}`: those of the source in both windows; `which` is 1 in the one before."""
        within = f"t >= {self.before_us} AND t < {self.end_us}"
        chosen = f"(SELECT *, (t < {self.now_us})::INTEGER AS which FROM {source} WHERE {within})"
        yield from self.query.rows(sql.format(rows=chosen))

    def each(self) -> Iterator[tuple[int, int, int]]:
        """Of each window, what it is as `which`, when it begins and when it ends."""
        yield from ((1, self.before_us, self.now_us), (0, self.now_us, self.end_us))


def kpis(arrays: Arrays, query: Query, asked: Kpis, _watermark_us: int) -> answer.Kpis:
    """Key figures of a window and of the one before."""
    windows = _Windows(arrays, query, asked.previous.start_us, asked.window.start_us, asked.window.end_us)
    found: tuple[Figures, Figures] = ({}, {})
    for figures in found:
        figures |= {(name, ""): 0.0 for name in ("events", "users", "sessions", "offered", *OUTCOMES)}
        figures |= {(name, ""): None for name in ("conversion_rate", "abandonment_rate", "time_to_help_seconds")}
    for part in (_activity(windows, kinds(asked.conversion) or 0), _trouble(windows), _help(windows)):
        for which, name, of, value in part:
            found[which][name, of] = value
    return counting.both(*found)


_Found = Iterator[tuple[int, str, str, float | None]]


def _activity(windows: _Windows, conversion: int) -> _Found:
    every, all_sessions = windows.arrays.cells(), windows.arrays.sessions()
    for which, start_us, end_us in windows.each():
        cells = every.between(start_us // QUARTER_US, end_us // QUARTER_US)
        users = windows.arrays.count(cells.persons(EVERY))
        yield which, "events", "", float(cells.event_count.sum())
        yield which, "users", "", float(users)
        if users:
            yield which, "conversion_rate", "", windows.arrays.count(cells.persons(conversion)) / users
        sessions = all_sessions.between(start_us, end_us)
        has_form = sessions.form_us < end_us
        has_left = has_form & (sessions.ended_us >= end_us)
        formed, left = int(np.count_nonzero(has_form)), int(np.count_nonzero(has_left))
        yield which, "sessions", "", float(len(has_form))
        yield which, "abandonment_rate", "", left / formed if formed else None
    for which, currency, total in windows.rows(
        "SELECT which, coalesce(currency, ''), sum(amount) FROM {rows} WHERE counts AND amount IS NOT NULL "
        "GROUP BY ALL",
        "marks",
    ):
        yield which, "revenue", currency, total


def _trouble(windows: _Windows) -> _Found:
    struggles, risks = windows.arrays.struggles(), windows.arrays.risks()
    for which, start_us, end_us in windows.each():
        first, end = np.searchsorted(struggles.at, (start_us, end_us))
        for kind, count in struggles.counted(struggles.name[first:end]):
            yield which, "struggles", kind, float(count)
        row = np.flatnonzero((risks.at >= start_us // QUARTER_US) & (risks.at < end_us // QUARTER_US))
        highest = np.full(windows.arrays.person_count(), -1, np.int8)
        highest[risks.person[row]] = risks.name[row]  # of several, the last one stays: the highest
        for level, count in risks.counted(highest):
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


def trend(arrays: Arrays, query: Query, asked: Trend, watermark_us: int) -> answer.Trend:
    """Events, users or sessions over time."""
    buckets = intervals(query, asked.window, asked.interval)
    spans = [(start, min(end, asked.window.end_us)) for start, end in buckets]
    if asked.measure is Measure.SESSIONS:
        sessions = arrays.sessions()
        values = [len(sessions.between(start, end).first_us) for start, end in spans]
        total = sum(values)
    elif asked.measure is Measure.EVENTS:
        cells = arrays.cells()
        values = [int(_within(cells, span).event_count.sum()) for span in spans]
        total = sum(values)
    else:
        only = kinds(asked.where) or 0
        cells = arrays.cells()
        values = [arrays.count(_within(cells, span).persons(only)) for span in spans]
        total = arrays.count(_within(cells, (spans[0][0], spans[-1][1])).persons(only))
    points = (
        answer.Point(start, float(value), end > watermark_us)
        for (start, end), value in zip(buckets, values, strict=True)
    )
    return answer.Trend((answer.Series("", False, float(total), tuple(points)),))


def _within(cells: Cells, span: tuple[int, int]) -> Cells:
    return cells.between(span[0] // QUARTER_US, span[1] // QUARTER_US)


_Counts = Iterable[tuple[int, int]]
_OfCohorts = Callable[[Numbers, range], _Counts]


def retention(arrays: Arrays, query: Query, asked: Retention, watermark_us: int) -> answer.Retention:
    """How many users of each cohort come back."""
    every = ways.periods(query, asked)
    cohort_count = sum(start < asked.window.end_us for start, _ in every)
    first_us = layout.days(asked.read_from_us, asked.read_to_us).start * layout.DAY_US
    cells = _within(arrays.cells(), (first_us, every[-1][1]))
    counted = _first_time if asked.cohorts is CohortKind.FIRST_TIME else _recurring
    sizes, of_cohorts = counted(arrays, cells, asked, every[:cohort_count])
    returns = kinds(asked.returns) or 0
    came_back = {}
    for number, span in enumerate(every[: cohort_count + asked.period_count]):
        persons = arrays.distinct(_within(cells, span).persons(returns))
        for cohort, count in of_cohorts(persons, range(max(0, number - asked.period_count), number + 1)):
            came_back[every[cohort][0], number - cohort] = count
    return ways.cohorts(asked, every, sizes, came_back, watermark_us)


def _first_time(
    arrays: Arrays, cells: Cells, asked: Retention, periods: Sequence[tuple[int, int]]
) -> tuple[dict[int, int], _OfCohorts]:
    """The sizes of cohorts by their beginning, and what counts how many of some persons are in which of some cohorts.

    Whoever joins in a period returns in it, as `is_summed` has seen to: the order within it does not matter.
    """
    window, joins, none = asked.window, kinds(asked.joins) or 0, len(periods)
    cohort = np.full(arrays.person_count(), none, np.uint8)
    cohort[_within(cells, (0, window.start_us)).persons(joins)] = none + 1  # joined before
    sizes = {}
    for number, (start, end) in enumerate(periods):
        persons = _within(cells, (max(start, window.start_us), min(end, window.end_us))).persons(joins)
        new = arrays.distinct(persons[cohort[persons] == none])
        cohort[new] = number
        sizes[start] = len(new)

    def of_cohorts(persons: Numbers, some: range) -> _Counts:
        counts = np.bincount(cohort[persons], minlength=none).tolist()
        return ((number, counts[number]) for number in some if number < none)

    return sizes, of_cohorts


def _recurring(
    arrays: Arrays, cells: Cells, asked: Retention, periods: Sequence[tuple[int, int]]
) -> tuple[dict[int, int], _OfCohorts]:
    """As `_first_time`; a person can be in several cohorts, each a bit."""
    window, joins = asked.window, kinds(asked.joins) or 0
    cohorts = np.zeros(arrays.person_count(), np.int64)
    sizes = {}
    for number, (start, end) in enumerate(periods):
        span = max(start, window.start_us), min(end, window.end_us)
        persons = arrays.distinct(_within(cells, span).persons(joins))
        cohorts[persons] |= 1 << number
        sizes[start] = len(persons)

    def of_cohorts(persons: Numbers, some: range) -> _Counts:
        theirs = cohorts[persons]
        return ((number, int(np.count_nonzero(theirs & (1 << number)))) for number in some if number < len(periods))

    return sizes, of_cohorts
