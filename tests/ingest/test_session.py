"""Sessions by gaps."""

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain import session
from services.ingest.domain.session import GAP_US
from tests.builders import MINUTE_US, NOW_US

TIMES = st.lists(st.integers(NOW_US - 5 * GAP_US, NOW_US + 5 * GAP_US), min_size=1, max_size=30)


def starts(times: list[int]) -> list[int]:
    latest, placed = None, []
    for time in times:
        start, latest = session.place(latest, time)
        placed.append(start)
    return placed


def test_a_session_goes_on_until_a_gap_of_more_than_thirty_minutes() -> None:
    times = [0, 29 * MINUTE_US, 59 * MINUTE_US, 59 * MINUTE_US + GAP_US + 1]
    assert starts([NOW_US + time for time in times]) == [NOW_US, NOW_US, NOW_US, NOW_US + times[3]]


def test_a_late_event_joins_the_session_it_falls_into() -> None:
    assert starts([NOW_US, NOW_US - 10 * MINUTE_US, NOW_US + MINUTE_US]) == [NOW_US] * 3


def test_a_very_late_event_stands_for_itself_and_changes_nothing() -> None:
    assert starts([NOW_US, NOW_US - 2 * GAP_US, NOW_US + MINUTE_US]) == [NOW_US, NOW_US - 2 * GAP_US, NOW_US]


@given(TIMES)
def test_placing_again_gives_the_same_starts(times: list[int]) -> None:
    ordered = sorted(times)
    latest = None
    first = []
    for time in ordered:
        start, latest = session.place(latest, time)
        first.append(start)
    # A retry after a crash places the last session's events once more.
    tail = [time for time, start in zip(ordered, first, strict=True) if latest and start == latest.start_us]
    for time in tail:
        start, latest = session.place(latest, time)
        assert latest is not None
        assert start == latest.start_us


@given(TIMES)
def test_in_order_events_of_a_session_are_never_further_apart_than_the_gap(times: list[int]) -> None:
    ordered = sorted(times)
    placed = starts(ordered)
    for earlier, later, start, following in zip(ordered, ordered[1:], placed, placed[1:], strict=False):
        assert (start == following) == (later - earlier <= GAP_US)
