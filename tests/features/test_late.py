"""What late events count in, as docs/time.md says."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from services.features.domain.event import Event, Kind
from services.features.domain.journey import apply
from services.features.domain.recents import Kept, session_starts
from services.features.domain.sessions import session_start
from services.features.domain.state import SESSION_GAP_US, State
from services.features.domain.vector import FEATURE_NAMES, vector
from tests.features.stories import DAY, HOUR, MINUTE, START_US, applied, at, feature


def features(state: State) -> dict[str, float]:
    return dict(zip(FEATURE_NAMES, vector(state), strict=True))


NOW = [at(0, Kind.PAGE_VIEW, "/now"), at(MINUTE, Kind.CLICK, "/now")]


def late(seconds: float, kind: int = Kind.ERROR, page: str = "/late") -> dict[str, float]:
    """What the features are after an event so many seconds before the session that is open."""
    return features(applied([*NOW, at(-seconds, kind, page)])[0])


def test_within_the_last_half_hour_it_counts_in_the_windows() -> None:
    assert late(28 * MINUTE)["error_count"] == 1
    assert late(29 * MINUTE)["error_count"] == 0  # 30 minutes before the latest event


def test_up_to_the_gap_before_the_open_session_it_belongs_to_it() -> None:
    assert late(30 * MINUTE)["session_duration"] == 31 * MINUTE
    assert late(30 * MINUTE + 1)["session_duration"] == MINUTE
    assert late(30 * MINUTE)["session_count"] == late(5 * DAY)["session_count"] == 1


def test_within_28_days_its_page_counts_and_before_that_it_does_not() -> None:
    assert late(7 * DAY, Kind.PAGE_VIEW)["unique_pages_visited"] == 2
    assert late(27 * DAY, Kind.PAGE_VIEW)["unique_pages_visited"] == 2
    assert late(29 * DAY, Kind.PAGE_VIEW)["unique_pages_visited"] == 1


def test_late_events_always_count_in_the_totals() -> None:
    state = applied([*NOW, at(-400 * DAY, Kind.PURCHASE, amount=5.0)])[0]
    assert (state.event_count, state.purchase_amount, state.purchase_count) == (3, 5.0, 1)
    assert state.first_us == START_US - 400 * round(DAY * 1e6)
    assert features(state)["time_since_last_success"] == 365 * DAY
    assert feature("time_since_last_success", [*NOW, at(-5 * DAY, Kind.TASK_SUCCESS)]) == 5 * DAY + MINUTE


def test_late_events_never_change_the_page_or_begin_a_session() -> None:
    before, after = applied(NOW)[0], applied([*NOW, at(-20 * MINUTE, Kind.PAGE_VIEW, "/late")])[0]
    assert (after.page, after.last_page, after.last_us, after.session_count) == ("/now", "/now", before.last_us, 1)


def test_an_identification_is_no_step_of_the_journey() -> None:
    before = applied(NOW)[0]
    after, found = applied([*NOW, at(2 * HOUR, Kind.IDENTIFY)])
    assert not found
    assert vector(after) == vector(before)
    assert after.event_count == before.event_count + 1


def test_late_events_before_a_mere_identification_are_its_session() -> None:
    identified = [at(0, Kind.IDENTIFY), at(-20 * MINUTE, Kind.CLICK), at(-45 * MINUTE, Kind.CLICK)]
    assert feature("session_duration", identified) == 45 * MINUTE
    assert feature("session_count", identified) == feature("session_count", [*identified, at(1, Kind.CLICK)]) == 1
    assert feature("session_count", [at(0, Kind.IDENTIFY), at(-31 * MINUTE, Kind.CLICK)]) == 0


_STEPS = st.integers(0, SESSION_GAP_US // 1_000_000)


@given(st.lists(_STEPS, min_size=2, max_size=20), st.data())
def test_a_session_stitched_newest_first_is_as_long_as_if_it_had_come_in_order(
    steps: list[int], data: st.DataObject
) -> None:
    seconds, events = 0.0, []
    for number, step in enumerate(steps):
        seconds += step
        events.append(at(seconds, Kind.PAGE_VIEW, f"/{number}"))
    known_from = data.draw(st.integers(1, len(events) - 1))
    in_order, stitched = applied(events)[0], applied([*events[known_from:], *reversed(events[:known_from])])[0]
    for name in ("session_duration", "session_count", "unique_pages_visited"):
        assert features(stitched)[name] == features(in_order)[name]
    assert stitched.session_start_us == in_order.session_start_us
    assert session_start(stitched, events[0]) == events[0].at_us


@given(
    st.lists(st.integers(0, SESSION_GAP_US // 3) | st.integers(SESSION_GAP_US + 1, 9 * SESSION_GAP_US), min_size=1),
    st.data(),
)
def test_events_are_read_back_with_the_session_they_belong_to_by_now(steps: list[int], data: st.DataObject) -> None:
    state, kept, sessions = State(), [], []
    at_us, session = START_US, 0
    for number, step in enumerate(steps):
        at_us, session = at_us + step, session + (step > SESSION_GAP_US)
        # An event of the session comes late, before the one that began it, and maybe another before that.
        lates_us = (
            data.draw(st.lists(st.integers(0, SESSION_GAP_US // 4), max_size=2)) if step > SESSION_GAP_US * 3 else []
        )
        for place_us in (at_us, *(at_us - late_us for late_us in itertools.accumulate(lates_us))):
            event = Event(f"e{number}", Kind.CLICK, place_us)
            apply(state, event)
            kept.append(Kept(session_start(state, event), b""))
            sessions.append((session, place_us))
    starts = session_starts(kept, SESSION_GAP_US)
    for start_us, (session, _) in zip(starts, sessions, strict=True):
        assert start_us == min(place_us for other, place_us in sessions if other == session)


@given(st.lists(st.integers(-3 * SESSION_GAP_US, 3 * SESSION_GAP_US), min_size=1, max_size=30))
def test_the_session_only_ever_begins_earlier_while_nothing_is_later(steps: list[int]) -> None:
    state, at_us = State(), START_US
    for number, step in enumerate(steps):
        at_us += step
        before = (state.session_start_us, state.last_us, state.session_count)
        apply(state, Event(f"e{number}", Kind.CLICK, at_us))
        if number and at_us < before[1]:
            assert state.session_start_us in {before[0], at_us}
            assert before[0] - SESSION_GAP_US <= state.session_start_us <= before[0]
            assert (state.last_us, state.session_count) == before[1:]
