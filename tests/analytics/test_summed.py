"""Answers from summaries of days: the same as from the events."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.analytics.adapters.copies import summaries
from services.analytics.adapters.copies.relations import Query
from services.analytics.adapters.questions import counting, summed, unusual, ways
from services.analytics.adapters.questions.arrays import Arrays
from services.analytics.adapters.questions.kept import Tenant
from services.analytics.domain import answer, layout
from services.analytics.domain.answer import Answer
from services.analytics.domain.layout import DECISIONS, EVENTS, VERSION, Partition
from services.analytics.domain.question import (
    DAY_US,
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
    Window,
)
from services.analytics.domain.summary import QUARTER_US, is_summed
from services.analytics.ports import Reading
from tests.analytics.rows import EVERYBODY, MINUTE_US, START_US, WINDOW, Decision, Event, asking, journeys, where

LATER_US = 1 << 60
UNEVEN = Window(START_US + 1, START_US + DAY_US, "UTC")
PURCHASE = where(Field.EVENT_TYPE, "purchase")
VIEWS = where(Field.EVENT_TYPE, "page_view", "click")
ANSWERS: dict[type[Question], Callable[[Arrays, Query, Any, int], Answer]] = {
    Kpis: summed.kpis,
    Trend: summed.trend,
    Retention: summed.retention,
    Insights: unusual.from_summaries,
}
properties = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
windows = st.builds(
    lambda start, quarters, zone: Window(
        START_US + start * QUARTER_US, START_US + (start + quarters) * QUARTER_US, zone
    ),
    st.integers(-96, 96),
    st.integers(1, 4 * 96),
    st.sampled_from(("UTC", "Europe/Berlin", "Asia/Kathmandu")),
)


@st.composite
def decided(draw: st.DrawFn) -> list[Decision]:
    """Decisions of a few users about the first midnight and later, no two of a user at the same time."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from("ab"),
                st.one_of(st.integers(-10, 10), st.integers(-100, 800)),
                st.sets(st.sampled_from(("rage_clicks", "form_errors", "not_a_struggle"))),
                st.integers(0, 3),
            ),
            max_size=25,
            unique_by=lambda each: each[:2],
        )
    )
    return [
        Decision(
            user,
            START_US + step * 5 * MINUTE_US,
            f"d{number:03}",
            tuple(sorted(signals)),
            ("low", "medium", "high", "critical")[risk],
            risk * 25.0 + number / 100,
            "intervene" if risk == 3 else "none",
            f"i{number}" if risk == 3 else None,
        )
        for number, (user, step, signals, risk) in enumerate(drawn)
    ]


@contextlib.contextmanager
def kept() -> Iterator[tuple[Path, Tenant]]:
    with tempfile.TemporaryDirectory() as folder:
        tenant = Tenant(folder, "")
        try:
            yield Path(folder), tenant
        finally:
            tenant.close()


def written(
    root: Path, events: Sequence[Event], decisions: Sequence[Decision], name: str = "1"
) -> dict[str, list[str]]:
    """Writes rows as the files of their days, with their summaries; returns the paths."""
    query = asking(events, decisions)
    found: dict[str, list[str]] = {EVENTS: [], DECISIONS: []}
    for kind, rows in ((EVENTS, events), (DECISIONS, decisions)):
        for day in sorted({each.t // DAY_US for each in rows}):
            path = f"{kind}/{VERSION}/{Partition('', day).folder}/part-{name}.parquet"
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            query.rows(
                f"COPY (SELECT * EXCLUDE (place) FROM all_{kind} WHERE epoch_us(event_time) // {DAY_US} = {day} "
                f"ORDER BY place) TO '{root / path}'"
            )
            summaries.write(query.connection, root, path)
            found[kind].append(path)
    return found


def reading(question: Question, paths: dict[str, list[str]]) -> Reading:
    return Reading(question, "", tuple(paths[EVENTS]), tuple(paths[DECISIONS]), LATER_US, is_summed=True)


def answered(tenant: Tenant, question: Question, paths: dict[str, list[str]]) -> Answer:
    assert is_summed(question)
    assert tenant.load(reading(question, paths), summed.needed(question))
    tenant.connection.execute(f"SET TimeZone = '{question.window.time_zone}'")
    with contextlib.closing(Query(tenant.connection)) as query:
        found = ANSWERS[type(question)](tenant.arrays, query, question, LATER_US)
    assert msgspec.json.decode(msgspec.json.encode(found))  # as receipts do
    return found


@properties
@given(journeys(), decided(), windows, st.sampled_from((PURCHASE, VIEWS)), st.data())
def test_key_figures(
    events: list[Event], decisions: list[Decision], window: Window, conversion: Conditions, data: st.DataObject
) -> None:
    helped = [each for each in decisions if each.kind == "intervene"]
    if helped:
        said = st.lists(st.tuples(st.sampled_from(helped), st.sampled_from(("shown", "accepted")), st.integers(0, 40)))
        events = events + [
            Event(
                to.user_id,
                to.t + late * MINUTE_US + 1,
                f"o{number}",
                "intervention_outcome",
                outcome=outcome,
                intervention_id=to.intervention_id,
            )
            for number, (to, outcome, late) in enumerate(data.draw(said))
        ]
    question = Kpis(window, (), EVERYBODY, conversion)
    within = layout.days(question.read_from_us, question.read_to_us)
    events = [each for each in events if each.t // DAY_US in within]
    decisions = [each for each in decisions if each.t // DAY_US in within]
    with kept() as (root, tenant):
        found = answered(tenant, question, written(root, events, decisions))
    assert found == counting.kpis(asking(events, decisions, window.time_zone), question)


@settings(properties, max_examples=5)
@given(journeys(), decided(), windows, st.sampled_from((PURCHASE, VIEWS)), st.integers(0, 40))
def test_when_figures_were_unusual(
    events: list[Event], decisions: list[Decision], window: Window, conversion: Conditions, crowd: int
) -> None:
    at = window.start_us - DAY_US
    steady = [
        Event(f"{user}", at + hour * 4 * QUARTER_US, f"s{hour}-{user}", "error" if user else "form_start")
        for hour in range(-70, 30)
        for user in range(crowd if hour == 26 else 4)
    ]
    shown = [
        Event(each.user_id, each.t + number, f"{each.event_id}-{number}", outcome=outcome, intervention_id="i")
        for each in events
        for number, outcome in enumerate(("shown", "shown", "accepted"), 1)
    ]
    question = Insights(window, (), EVERYBODY, conversion, 5)
    with kept() as (root, tenant):
        found = answered(tenant, question, written(root, [*steady, *events, *shown], decisions))
    its = asking([*steady, *events, *shown], decisions, window.time_zone)
    assert found == unusual.from_events(its, question, LATER_US)


@properties
@given(
    journeys(),
    windows,
    st.sampled_from((Measure.EVENTS, Measure.USERS, Measure.SESSIONS)),
    st.sampled_from(Interval),
)
def test_figures_over_time(events: list[Event], window: Window, measure: Measure, interval: Interval) -> None:
    chosen = VIEWS if measure is Measure.USERS else ()
    question = Trend(window, chosen, EVERYBODY, measure, interval, Field.UNSPECIFIED, 5)
    with kept() as (root, tenant):
        found = answered(tenant, question, written(root, events, []))
    assert found == counting.trend(asking(events, time_zone=window.time_zone), question, LATER_US)


@properties
@given(
    journeys(),
    windows,
    st.sampled_from(CohortKind),
    st.sampled_from((Interval.DAY, Interval.WEEK, Interval.MONTH)),
    st.sampled_from((((), ()), (PURCHASE, ()), (PURCHASE, PURCHASE), (VIEWS, VIEWS))),
)
def test_who_comes_back(
    events: list[Event],
    window: Window,
    cohorts: CohortKind,
    period: Interval,
    what: tuple[Conditions, Conditions],
) -> None:
    question = Retention(window, (), EVERYBODY, *what, period, 3, DayKind.CALENDAR, cohorts)
    with kept() as (root, tenant):
        found = answered(tenant, question, written(root, events, []))
    assert found == ways.retention(asking(events, time_zone=window.time_zone), question, LATER_US)


@properties
@given(journeys(), journeys(), decided(), decided())
def test_a_day_made_again_takes_the_place_of_what_it_was(
    before: list[Event], after: list[Event], decided_before: list[Decision], decided_after: list[Decision]
) -> None:
    question = Kpis(Window(START_US, START_US + 10 * DAY_US, "UTC"), (), EVERYBODY, PURCHASE)
    with kept() as (root, tenant):
        answered(tenant, question, written(root, before, decided_before, "1"))
        found = answered(tenant, question, written(root, after, decided_after, "2"))
        people = {user for (user,) in tenant.connection.execute("SELECT user_id FROM people").fetchall()}
    assert found == counting.kpis(asking(after, decided_after), question)
    assert people == {each.user_id for rows in (after, decided_after) for each in rows}


def test_what_does_not_fit_is_not_loaded_and_what_fits_takes_its_place() -> None:
    days = [Window(START_US + day * DAY_US, START_US + (day + 1) * DAY_US, "UTC") for day in range(4)]
    events = [Event("u", day.start_us + 3600_000_000, f"e{number}") for number, day in enumerate(days)]
    with tempfile.TemporaryDirectory() as folder:
        paths = written(Path(folder), events, [])[EVENTS]
        tenant = Tenant(folder, "", most_rows=5)
        try:
            for day, path in zip(days, paths, strict=True):
                question = Trend(day, (), EVERYBODY, Measure.USERS, Interval.DAY, Field.UNSPECIFIED, 5)
                found = answered(tenant, question, {EVENTS: [path], DECISIONS: []})
                assert isinstance(found, answer.Trend)
                assert found.series[0].total == 1
            whole = Trend(WINDOW, (), EVERYBODY, Measure.USERS, Interval.DAY, Field.UNSPECIFIED, 5)
            everything = reading(whole, {EVENTS: paths, DECISIONS: []})
            assert not tenant.load(everything, summed.needed(whole))
        finally:
            tenant.close()


@pytest.mark.parametrize(
    "question",
    [
        Trend(WINDOW, where(Field.PAGE, "/a"), EVERYBODY, Measure.USERS, Interval.DAY, Field.UNSPECIFIED, 5),
        Trend(WINDOW, (), EVERYBODY, Measure.USERS, Interval.DAY, Field.PAGE, 5),
        Trend(WINDOW, VIEWS, EVERYBODY, Measure.EVENTS, Interval.DAY, Field.UNSPECIFIED, 5),
        Trend(UNEVEN, (), EVERYBODY, Measure.USERS, Interval.DAY, Field.UNSPECIFIED, 5),
        Insights(WINDOW, VIEWS, EVERYBODY, PURCHASE, 5),
        Insights(WINDOW, (), EVERYBODY, where(Field.PAGE, "/a"), 5),
        Kpis(WINDOW, (), EVERYBODY, where(Field.EVENT_TYPE, "pur", comparison=Comparison.BEGINS_WITH)),
        Retention(WINDOW, (), EVERYBODY, (), PURCHASE, Interval.DAY, 3, DayKind.CALENDAR, CohortKind.FIRST_TIME),
        Retention(WINDOW, (), EVERYBODY, (), (), Interval.DAY, 60, DayKind.CALENDAR, CohortKind.FIRST_TIME),
    ],
)
def test_what_a_summary_does_not_say_is_read_from_the_events(question: Question) -> None:
    assert not is_summed(question)
