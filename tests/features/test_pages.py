"""Which views are of one page, which are a refresh, and which were reported twice."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.features.domain.event import NAME_LIMIT, Event, Kind
from services.features.domain.journey import apply
from services.features.domain.pages import route, shortened
from services.features.domain.signal import SignalType
from services.features.domain.state import State
from services.features.domain.vector import FEATURE_NAMES, vector
from tests.features.stories import applied, at, feature, signals


def view(seconds: float, page: str, address: str = "", **members: Any) -> Event:
    return at(seconds, Kind.PAGE_VIEW, page, address=address, **members)


def features(events: list[Event]) -> dict[str, float]:
    return dict(zip(FEATURE_NAMES, vector(applied(events)[0]), strict=True))


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("/search?q=loan&page=2", "/search"),
        ("/#/list?page=2", "/#/list"),
        ("/app?tenant=3#!/list?page=2", "/app#!/list"),
        ("/#/home", "/#/home"),
        ("/home", "/home"),
        ("?q=1", ""),
        ("", ""),
    ],
)
def test_a_route_is_a_page_without_its_query(page: str, expected: str) -> None:
    assert route(page) == expected


def test_hash_routes_are_pages_of_their_own() -> None:
    pages = ("home", "loans", "loans/compare", "rates", "faq", "about", "team", "contact", "terms")
    events = [view(30 * number, f"/#/{page}") for number, page in enumerate(pages)]
    assert applied(events)[1] == []
    assert features(events)["unique_pages_visited"] == 9
    assert features(events)["average_time_per_page"] == pytest.approx(240 / 9)


def test_pages_of_one_list_are_one_route_and_several_pages() -> None:
    events = [view(5 * number, f"/search?q=loan&page={number}") for number in range(1, 5)]
    assert features(events)["unique_pages_visited"] == 1
    assert features(events)["page_exits"] == 3
    assert features(events)["average_time_per_page"] == pytest.approx(15 / 4)
    assert applied(events)[0].page == "/search?q=loan&page=4"


@pytest.mark.parametrize("base", ["/search?q=loan&page={}", "/#/list?page={}", "/list?from={}#!/all"])
def test_paging_is_no_search_for_the_way_and_no_going_back(base: str) -> None:
    onwards = [view(4 * number, base.format(number)) for number in range(20)]
    to_and_fro = [view(4 * number, base.format(number % 2)) for number in range(20)]
    for events in (onwards, to_and_fro):
        assert applied(events)[1] == []


def test_pages_of_several_lists_are_a_search() -> None:
    events = [view(4 * number, f"/list-{number // 2}?page={number}") for number in range(14)]
    assert len(signals(events, SignalType.RAPID_NAVIGATION)) == 1


def test_going_back_to_a_list_is_going_back() -> None:
    pages = [(0, "/search?q=a"), (20, "/one"), (25, "/search?q=a"), (40, "/two?x=1"), (44, "/search?q=a")]
    (signal,) = signals([view(second, page) for second, page in pages], SignalType.QUICK_BACKS)
    assert signal.target == "/two?x=1"


# Refreshes.


def refreshes(events: list[Event]) -> int:
    return sum(trace.count for trace in applied(events)[0].traces.get(SignalType.PAGE_REFRESHES, []))


def test_only_the_same_address_is_a_refresh() -> None:
    addresses = [f"/home?utm_source=mail-{number}" for number in range(4)]
    assert refreshes([view(10 * number, "/home", address) for number, address in enumerate(addresses)]) == 0
    assert refreshes([view(10 * number, "/home", addresses[0]) for number in range(4)]) == 3
    assert refreshes([view(10 * number, f"/list?page={number}") for number in range(4)]) == 0
    assert refreshes([view(0, "/home"), view(10, "/home", "/home?gclid=1"), view(20, "/home")]) == 0


def test_a_reported_refresh_with_another_address_is_navigation() -> None:
    refreshed = [view(10 * number, f"/#/{number}", is_refresh=True) for number in range(6)]
    assert refreshes(refreshed) == 1, "the first: what was there before it is not known"
    assert not signals(refreshed, SignalType.PAGE_REFRESHES)
    assert refreshes([view(50 * number, "/home", is_refresh=True) for number in range(4)]) == 4


def test_pages_with_long_names_stay_apart() -> None:
    pages = [shortened(f"/search?filter={'x' * 300}&page={number}") for number in range(6)]
    assert len(set(pages)) == 6
    assert {len(page) for page in pages} == {NAME_LIMIT}
    assert refreshes([view(10 * number, page) for number, page in enumerate(pages)]) == 0


# Echoes.


@pytest.mark.parametrize("after", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("is_refresh", [False, True])
def test_a_view_reported_twice_counts_once(after: float, *, is_refresh: bool) -> None:
    once = [view(0, "/list"), view(20.25, "/home", is_refresh=is_refresh)]
    state, found = applied([*once, view(20.25 + after, "/home", is_refresh=is_refresh)])
    assert not found
    alone = applied(once)[0]
    for name in ("page_exits", "engagement_score", "unique_pages_visited"):
        assert vector(state)[FEATURE_NAMES.index(name)] == vector(alone)[FEATURE_NAMES.index(name)]
    assert state.page_visit_count == alone.page_visit_count
    assert state.traces == alone.traces
    assert state.event_count == alone.event_count + 1


def test_a_view_reported_twice_with_another_address_counts_once_with_the_later_address() -> None:
    landed = [view(0, "/home", "/home?utm_source=mail"), view(0.2, "/home")]
    assert applied(landed)[0].page_visit_count == 1
    assert refreshes([*landed, view(20, "/home")]) == 1
    assert refreshes([*landed, view(20, "/home", "/home?utm_source=mail")]) == 0


def test_a_view_reported_twice_in_the_wrong_order_counts_once() -> None:
    events = [view(20, "/home"), view(19.8, "/home")]
    assert feature("engagement_score", events) == feature("engagement_score", events[:1])
    assert applied(events)[0].page_visit_count == 1


@pytest.mark.parametrize("pages", [("/a", "/b"), ("/a?p=1", "/a?p=2"), ("/#/a", "/#/b")])
def test_two_pages_at_once_are_two(pages: tuple[str, str]) -> None:
    events = [view(0, pages[0]), view(0.1, pages[1])]
    assert applied(events)[0].page == pages[1]
    assert applied(events)[0].page_visit_count == 2


def test_from_301_ms_on_it_is_a_refresh() -> None:
    assert refreshes([view(0, "/home"), view(0.301, "/home")]) == 1
    assert refreshes([view(0, "/home"), view(0.2, "/home"), view(0.4, "/home"), view(0.6, "/home")]) == 0, "a burst"


@pytest.mark.parametrize("every", [0.05, 0.1, 0.29])
def test_a_page_that_loads_itself_again_and_again_is_no_echo(every: float) -> None:
    loop = [view(round(every * number, 2), "/home") for number in range(round(6 / every))]
    assert signals(loop, SignalType.PAGE_REFRESHES)
    assert applied(loop)[0].page_visit_count == 1


@pytest.mark.parametrize("seconds", [[0, 0, 0], [0, 0, 1], [0, 0, 1, 1, 1]])
def test_with_a_clock_of_whole_seconds_each_reported_refresh_counts(seconds: list[int]) -> None:
    refreshed = [view(second, "/home", is_refresh=True) for second in seconds]
    assert refreshes(refreshed) == len(seconds)
    assert refreshes([view(second, "/home") for second in [0, 0, 0]]) == 0, "looks like one reported twice"


@given(st.lists(st.tuples(st.sampled_from(["/a", "/b", "/a?c=1"]), st.integers(300_001, 90_000_000)), max_size=25))
def test_reporting_every_view_twice_changes_nothing(steps: list[tuple[str, int]]) -> None:
    once, twice, at_us = State(), State(), 10**15
    for page, step_us in steps:
        at_us += step_us
        event = Event("e", Kind.PAGE_VIEW, at_us, page)
        found = apply(once, event)
        assert apply(twice, event) == found
        assert apply(twice, event).signals == ()
        assert vector(twice) == vector(once)
