"""Retention and paths: against brute force."""

from collections import Counter, defaultdict

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.analytics.adapters.questions import ways
from services.analytics.domain.question import (
    DAY_US,
    CohortKind,
    DayKind,
    Direction,
    Field,
    Interval,
    Paths,
    Retention,
)
from tests.analytics import brute
from tests.analytics.rows import EVERYBODY, MINUTE_US, START_US, WINDOW, Event, asking, journeys, where

LATER_US = 1 << 60
properties = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@properties
@given(journeys(), st.sampled_from(DayKind), st.sampled_from(CohortKind), st.booleans())
def test_who_comes_back(events: list[Event], days: DayKind, cohorts: CohortKind, views_only: bool) -> None:  # noqa: FBT001 - drawn
    if days is DayKind.ROLLING:
        cohorts = CohortKind.FIRST_TIME
    returns = where(Field.EVENT_TYPE, "page_view") if views_only else ()
    found = ways.retention(
        asking(events), Retention(WINDOW, (), EVERYBODY, (), returns, Interval.DAY, 3, days, cohorts), LATER_US
    ).cohorts
    joined: dict[int, dict[str, int]] = defaultdict(dict)
    came: Counter[tuple[int, int]] = Counter()
    for user, its in brute.by_user(brute.counting(events)).items():
        starts = its[:1] if cohorts is CohortKind.FIRST_TIME else its
        for event in starts:
            if WINDOW.start_us <= event.t < WINDOW.end_us:
                joined[(event.t - START_US) // DAY_US].setdefault(user, event.t)
        for cohort in range(3):
            if user not in joined[cohort]:
                continue
            t = joined[cohort][user]
            back = [
                each for each in its if brute.met(each, returns) and (each.t >= t or cohorts is CohortKind.RECURRING)
            ]
            numbers = {
                (each.t - t) // DAY_US if days is DayKind.ROLLING else (each.t - START_US) // DAY_US - cohort
                for each in back
            }
            came.update((cohort, number) for number in numbers)
    assert [each.user_count for each in found] == [len(joined[cohort]) for cohort in range(3)]
    assert [[each.user_count for each in cohort.returns] for cohort in found] == [
        [came[cohort, number] for number in range(4)] for cohort in range(3)
    ]


def test_periods_past_the_watermark_are_left_out() -> None:
    question = Retention(WINDOW, (), EVERYBODY, (), (), Interval.DAY, 3, DayKind.CALENDAR, CohortKind.FIRST_TIME)
    found = ways.retention(asking([Event("u", START_US, "e")]), question, START_US + DAY_US + 1).cohorts
    assert [[each.is_unfinished for each in cohort.returns] for cohort in found] == [[False, True], [True], []]


@properties
@given(journeys(), st.sampled_from(Direction), st.sampled_from(("", "/a")), st.integers(1, 3), st.integers(2, 4))
def test_what_comes_into_a_place_goes_out_of_it(
    events: list[Event], direction: Direction, start: str, most: int, columns: int
) -> None:
    question = Paths(
        WINDOW, where(Field.EVENT_TYPE, "page_view"), EVERYBODY, Field.PAGE, start, direction, columns, most
    )
    found = ways.paths(asking(events), question)
    into: Counter[int] = Counter()
    out: Counter[int] = Counter()
    for link in found.links:
        into[link.to_place] += link.session_count
        out[link.from_place] += link.session_count
    for number, place in enumerate(found.places):
        assert place.column == 0 or into[number] == place.session_count
        assert place.column == columns - 1 or place.kind == "left" or out[number] == place.session_count
    ways_taken = [_way(one, question) for one in brute.sessions(events, WINDOW)]
    begun = [way for way in ways_taken if way]
    assert sum(place.session_count for place in found.places if place.column == 0) == len(begun)
    for column in range(columns):
        sizes = Counter(way[column] for way in begun if column < len(way))
        own = {
            place.name: place.session_count for place in found.places if (place.column, place.kind) == (column, "place")
        }
        assert own.items() <= sizes.items()
        assert len(own) == min(most, len(sizes))


def test_a_session_that_goes_on_past_the_last_column_is_not_left_there() -> None:
    pages = ("/a", "/b", "/c", "/d", "/e", "/f")
    events = [
        Event("u", START_US + number * MINUTE_US, f"e{number}", "page_view", page) for number, page in enumerate(pages)
    ]
    for columns in (2, 3, 4):
        question = Paths(WINDOW, (), EVERYBODY, Field.PAGE, "", Direction.FORWARD, columns, 8)
        found = ways.paths(asking(events), question)
        assert [(each.column, each.name, each.session_count) for each in found.places] == [
            (column, page, 1) for column, page in enumerate(pages[:columns])
        ]
        assert [each[:2] for each in found.links] == [(number, number + 1) for number in range(columns - 1)]


def _way(session: list[Event], question: Paths) -> list[str]:
    """The places of a session from the start place on, each run of one place once."""
    pages = [each.page or "" for each in session if each.event_type == "page_view"]
    if question.direction is Direction.BACKWARD:
        pages.reverse()
    way = [page for number, page in enumerate(pages) if number == 0 or pages[number - 1] != page]
    if question.start_place:
        way = way[way.index(question.start_place) :] if question.start_place in way else []
    return way
