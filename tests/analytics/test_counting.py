"""Key figures, figures over time and struggles: against brute force."""

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.analytics.adapters.questions import counting, people
from services.analytics.domain.question import (
    DAY_US,
    Conditions,
    Field,
    Interval,
    Kpis,
    Level,
    Listing,
    ListKind,
    Measure,
    Struggles,
    Trend,
    UserFilter,
    Window,
)
from tests.analytics import brute
from tests.analytics.rows import EVERYBODY, MINUTE_US, START_US, WINDOW, Decision, Event, asking, journeys, where

PURCHASE = where(Field.EVENT_TYPE, "purchase")
LATER_US = 1 << 60
conditions = st.sampled_from(
    ((), where(Field.PAGE, "/a", "/b"), where(Field.PLATFORM, "web"), where(Field.COUNTRY, "DE"))
)
properties = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def trend(
    measure: Measure,
    conditions: Conditions = (),
    breakdown: Field = Field.UNSPECIFIED,
    most: int = 2,
    window: Window = WINDOW,
) -> Trend:
    return Trend(window, conditions, EVERYBODY, measure, Interval.DAY, breakdown, most)


@properties
@given(journeys(), conditions)
def test_key_figures_are_those_of_both_windows(events: list[Event], chosen: Conditions) -> None:
    question = Kpis(WINDOW, chosen, EVERYBODY, PURCHASE)
    found = {(each.name, each.of): each for each in counting.kpis(asking(events), question).kpis}
    for window, member in ((WINDOW, "value"), (question.previous, "previous_value")):
        its = brute.chosen(events, window, chosen)
        sessions = [one for one in brute.sessions(events, window) if any(brute.met(each, chosen) for each in one)]
        formed = [one for one in sessions if any(each.event_type == "form_start" for each in one)]
        left = [one for one in formed if not any(each.event_type in {"form_submit", "purchase"} for each in one)]
        users = {each.user_id for each in its}
        buyers = {each.user_id for each in its if each.event_type == "purchase"}
        amounts = [each.amount for each in its if each.amount is not None]
        assert getattr(found["events", ""], member) == len(its)
        assert getattr(found["users", ""], member) == len(users)
        assert getattr(found["sessions", ""], member) == len(sessions)
        assert getattr(found["conversion_rate", ""], member) == (len(buyers) / len(users) if users else None)
        assert getattr(found["abandonment_rate", ""], member) == (len(left) / len(formed) if formed else None)
        if ("revenue", "EUR") in found:
            assert getattr(found["revenue", "EUR"], member) == sum(amounts)
        else:
            assert not amounts


@properties
@given(journeys(), conditions, st.sampled_from((Field.UNSPECIFIED, Field.PAGE, Field.PLATFORM, Field.COUNTRY)))
def test_series_count_what_is_there(events: list[Event], chosen: Conditions, breakdown: Field) -> None:
    its = brute.chosen(events, WINDOW, chosen)
    found = counting.trend(asking(events), trend(Measure.EVENTS, chosen, breakdown), LATER_US).series
    assert sum(each.total for each in found) == len(its)
    for day in range(3):
        counted = sum(each.points[day].value for each in found)
        assert counted == sum(day * DAY_US <= each.t - START_US < (day + 1) * DAY_US for each in its)
    if breakdown is Field.UNSPECIFIED:
        assert len(found) == 1
    else:
        sizes = Counter(getattr(each, breakdown.value) or "" for each in its)
        assert {each.name: each.total for each in found if not each.is_other}.items() <= sizes.items()
        assert sum(each.is_other for each in found) == (len(sizes) > 2)


@properties
@given(journeys(), conditions)
def test_uniques_are_the_length_of_the_list(events: list[Event], chosen: Conditions) -> None:
    users = {each.user_id for each in brute.chosen(events, WINDOW, chosen)}
    query = asking(events)
    (series,) = counting.trend(query, trend(Measure.USERS, chosen), LATER_US).series
    listed = people.listing(query, Listing(WINDOW, chosen, EVERYBODY, ListKind.USERS, None, 0, 50))
    assert series.total == len(users) == listed.total_count
    assert {row.user_id for row in listed.rows} == users


@properties
@given(journeys())
def test_sessions_begin_once(events: list[Event]) -> None:
    (series,) = counting.trend(asking(events), trend(Measure.SESSIONS), LATER_US).series
    assert series.total == len(brute.sessions(events, WINDOW))
    assert series.total == sum(point.value for point in series.points)


@properties
@given(journeys())
def test_a_segment_is_who_did_and_did_not(events: list[Event]) -> None:
    segment = UserFilter(where(Field.PAGE, "/a"), PURCHASE)
    its = brute.chosen(events, WINDOW)
    did = {each.user_id for each in its if each.page == "/a"} - {
        each.user_id for each in its if each.event_type == "purchase"
    }
    question = Trend(WINDOW, (), segment, Measure.EVENTS, Interval.DAY, Field.UNSPECIFIED, 5)
    (series,) = counting.trend(asking(events), question, LATER_US).series
    assert series.total == sum(each.user_id in did for each in its)


@properties
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(-DAY_US, 4 * DAY_US), st.sampled_from(list(Level)[1:])),
        unique_by=lambda each: each[:2],
        max_size=12,
    ),
    st.sampled_from(list(Level)[1:]),
)
def test_a_segment_is_who_was_at_risk_in_the_window(drawn: list[tuple[str, int, Level]], least: Level) -> None:
    decisions = [
        Decision(user, START_US + later, f"d{number}", level=level) for number, (user, later, level) in enumerate(drawn)
    ]
    events = [Event(user, START_US, f"e-{user}") for user in "abc"]
    levels = ["low", "medium", "high", "critical"]
    expected = {
        each.user_id
        for each in decisions
        if WINDOW.start_us <= each.t < WINDOW.end_us and levels.index(each.level) >= levels.index(least)
    }
    for segment in (UserFilter(at_least=least), UserFilter(saved="s", definition=UserFilter(at_least=least))):
        found = people.listing(asking(events, decisions), Listing(WINDOW, (), segment, ListKind.USERS, None, 0, 10))
        assert {row.user_id for row in found.rows} == expected


@properties
@given(journeys())
def test_a_saved_segment_and_more_are_joined_by_and(events: list[Event]) -> None:
    segment = UserFilter(where(Field.PAGE, "/a"), saved="s", definition=UserFilter(did=PURCHASE))
    its = brute.chosen(events, WINDOW)
    expected = {each.user_id for each in its if each.page == "/a"} & {
        each.user_id for each in its if each.event_type == "purchase"
    }
    found = people.listing(asking(events), Listing(WINDOW, (), segment, ListKind.USERS, None, 0, 10))
    assert {row.user_id for row in found.rows} == expected


def test_days_begin_as_the_zone_says_also_where_clocks_change() -> None:
    start_us = 1_774_652_400_000_000  # 2026-03-28T00:00 in Berlin; the next day has 23 hours
    window = Window(start_us, start_us + (24 + 23 + 24) * 60 * MINUTE_US, "Europe/Berlin")
    events = [Event("u", start_us + hour * 60 * MINUTE_US, f"e{hour}") for hour in (23, 24, 46, 47)]
    (series,) = counting.trend(
        asking(events, time_zone="Europe/Berlin"), trend(Measure.EVENTS, window=window), LATER_US
    ).series
    assert [point.value for point in series.points] == [1, 2, 1]


def test_the_last_interval_is_unfinished_while_the_archive_has_not_passed_it() -> None:
    watermark_us = START_US + DAY_US + 1
    (series,) = counting.trend(asking([]), trend(Measure.EVENTS), watermark_us).series
    assert [point.is_unfinished for point in series.points] == [False, True, True]


def test_a_struggle_begins_once_while_it_lasts() -> None:
    signals = (("rage_clicks",), ("rage_clicks", "form_errors"), ("rage_clicks",), (), ("rage_clicks",))
    decisions = [
        Decision(
            "u", START_US + number * MINUTE_US, f"d{number}", its, "high", kind="intervene" if number == 1 else "none"
        )
        for number, its in enumerate(signals)
    ]
    found = counting.struggles(asking([], decisions), Struggles(WINDOW, (), EVERYBODY, 10)).struggles
    assert [(each.kind, each.struggle_count, each.user_count, each.offered_count) for each in found] == [
        ("rage_clicks", 2, 1, 0),
        ("form_errors", 1, 1, 1),
    ]
    kpis = {
        (each.name, each.of): each.value
        for each in counting.kpis(asking([], decisions), Kpis(WINDOW, (), EVERYBODY, PURCHASE)).kpis
    }
    assert (kpis["struggles", "rage_clicks"], kpis["users_at_level", "high"], kpis["offered", ""]) == (2, 1, 1)


def test_help_is_counted_by_intervention_and_waited_for_until_it_is_shown() -> None:
    decisions = [
        Decision("u", START_US, "d1", level="high", score=80, kind="intervene", intervention_id="i1", event_id="e0")
    ]
    events = [
        Event("u", START_US, "e0"),
        Event("u", START_US + 2_000_000, "e1", "intervention_outcome", outcome="shown", intervention_id="i1"),
        Event("u", START_US + 3_000_000, "e2", "intervention_outcome", outcome="shown", intervention_id="i1"),
        Event("u", START_US + 4_000_000, "e3", "intervention_outcome", outcome="accepted", intervention_id="i1"),
    ]
    query = asking(events, decisions)
    kpis = {each.name: each.value for each in counting.kpis(query, Kpis(WINDOW, (), EVERYBODY, PURCHASE)).kpis}
    assert [kpis[name] for name in ("offered", "shown", "accepted", "declined", "time_to_help_seconds")] == [
        1,
        1,
        1,
        0,
        2.0,
    ]
    (row,) = people.listing(query, Listing(WINDOW, (), EVERYBODY, ListKind.OFFERS, None, 0, 10)).rows
    assert (row.user_id, row.decision_id, row.outcome, row.level) == ("u", "d1", "accepted", "high")
    (row,) = people.listing(query, Listing(WINDOW, (), EVERYBODY, ListKind.USERS_AT_RISK, None, 0, 10)).rows
    assert (row.user_id, row.score) == ("u", 80)
