"""The features of history, by example and by property."""

import math
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.features.domain import history, journey
from services.features.domain.event import Event, Kind
from services.features.domain.history import DEFINITIONS, NAMES
from services.features.domain.state import State
from services.features.domain.vector import past
from services.scoring.domain.schema import HISTORY, HISTORY_VERSION
from tests.features.stored import decode, encode
from tests.features.stories import DAY, HOUR, MINUTE, START_US, applied, at


def _past(events: list[Event], later_s: float = 0.0) -> dict[str, float]:
    state, _ = applied(events)
    return dict(zip(NAMES, past(state, state.last_us + round(later_s * 1e6)), strict=True))


def _daily(days: list[int], kind: int = Kind.PAGE_VIEW, count: int = 1) -> list[Event]:
    return [at(day * DAY + index * MINUTE, kind, "/a") for day in days for index in range(count)]


def test_scoring_knows_these_features_in_this_order() -> None:
    assert NAMES == HISTORY
    assert history.HISTORY_VERSION == HISTORY_VERSION
    assert len(past(State())) == len(NAMES) == len(set(NAMES))


def test_nothing_seen_gives_the_empty_values() -> None:
    assert past(State()) == past(State(), 10**15) == [definition.empty_value for definition in DEFINITIONS]


def test_counts_are_of_days() -> None:
    found = _past(_daily([0, 1, 20, 26, 27], count=2))
    assert (found["events_today"], found["events_7_days"], found["events_28_days"]) == (2, 4, 10)
    assert (found["active_days_7"], found["active_days_28"], found["active_days_56"]) == (2, 5, 5)
    assert found["active_weeks_8"] == 3
    assert found["active_share"] == 5 / 28
    assert found["day_streak"] == 2


def test_days_pass_without_events() -> None:
    events = _daily([0, 1, 2])
    assert _past(events, 5 * DAY)["active_days_7"] == 2
    assert _past(events, 30 * DAY)["active_days_28"] == 0
    assert _past(events, 60 * DAY)["active_days_56"] == 0
    assert _past(events, 5 * DAY)["day_streak"] == 3
    assert _past(events, 5 * DAY)["time_since_last_event"] == 5 * DAY


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.TASK_SUCCESS, "successes_7_days"),
        (Kind.PURCHASE, "successes_7_days"),
        (Kind.FEATURE_INTERACTION, "actions_7_days"),
        (Kind.HELP_REQUEST, "troubles_7_days"),
        (Kind.ERROR, "troubles_7_days"),
    ],
)
def test_kinds_are_counted_in_groups(kind: int, name: str) -> None:
    found = _past([at(0, Kind.PAGE_VIEW, "/a"), at(1, kind, "/a")])
    assert {each: found[each] for each in ("successes_7_days", "actions_7_days", "troubles_7_days")} == {
        "successes_7_days": 0,
        "actions_7_days": 0,
        "troubles_7_days": 0,
        name: 1,
    }


def test_a_refund_is_an_event_and_no_success() -> None:
    found = _past([at(0, Kind.PURCHASE, "/a", amount=-5.0)])
    assert (found["events_7_days"], found["successes_7_days"], found["success_share"]) == (1, 0, 0)


def test_pauses_and_sessions_are_compared_with_the_usual_ones() -> None:
    found = _past([*_daily([0], count=4), *_daily([1], count=2), *_daily([4], count=6)])
    assert found["last_pause"] == 3 * DAY - MINUTE
    assert found["usual_pause"] == pytest.approx((4 * DAY - 4 * MINUTE) / 2)
    assert found["longest_pause"] == found["last_pause"]
    assert (found["session_size"], found["usual_session_size"], found["size_to_usual"]) == (6, 3, 2)
    assert found["usual_session_length"] == 2 * MINUTE
    assert (found["session_total"], found["event_total"]) == (3, 12)


def test_a_habit_is_a_weekday_and_a_time_of_the_day() -> None:
    weekly = _daily([0, 7, 14, 21])
    assert _past(weekly)["weekday_habit"] == 7
    assert _past(weekly, DAY)["weekday_habit"] == 0
    assert _past(weekly)["day_part_habit"] == 1
    assert _past(weekly, 12 * HOUR)["day_part_habit"] == 0


def test_a_late_event_counts_on_its_own_day() -> None:
    events = [at(10 * DAY, Kind.PAGE_VIEW, "/a"), at(8 * DAY, Kind.PAGE_VIEW, "/a")]
    found = _past(events)
    assert (found["active_days_7"], found["events_today"], found["session_size"]) == (2, 1, 1)
    assert found["time_since_first_event"] == 2 * DAY


def test_a_clock_that_was_wrong_is_forgotten() -> None:
    future = at(400 * DAY, Kind.PAGE_VIEW, "/a", received_us=START_US)
    now = at(0, Kind.PAGE_VIEW, "/b", received_us=START_US)
    found = _past([future, now])
    assert (found["active_days_56"], found["time_since_first_event"], found["longest_pause"]) == (1, 0, 0)


_JOURNEYS = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 3 * HOUR), st.floats(-2 * DAY, 90 * DAY)),
        st.integers(1, 18),
        st.booleans(),
    ),
    max_size=60,
)


@given(steps=_JOURNEYS, later_days=st.floats(0, 500))
def test_values_are_bounded_and_the_state_too(steps: list[tuple[float, int, bool]], later_days: float) -> None:
    state = State()
    for event in _events(steps):
        journey.apply(state, event)
    for values in (past(state), past(state, state.last_us + round(later_days * DAY * 1e6))):
        assert all(math.isfinite(value) and value >= 0.0 for value in values)
    assert len(encode(state.history)) < 500


@given(steps=_JOURNEYS, cuts=st.sets(st.integers(0, 60)))
def test_where_batches_are_cut_and_stored_changes_no_bit(steps: list[tuple[float, int, bool]], cuts: set[int]) -> None:
    events = _events(steps)
    whole, stored = State(), b""
    for event in events:
        journey.apply(whole, event)
    bounds = [0, *sorted(cut for cut in cuts if cut < len(events)), len(events)]
    for start, end in pairwise(bounds):
        state = decode(stored)
        for event in events[start:end]:
            journey.apply(state, event)
        stored = encode(state)
    assert past(decode(stored)) == past(whole)
    assert decode(stored).history == whole.history


@given(steps=_JOURNEYS)
def test_a_state_that_a_version_without_history_wrote_begins_anew(steps: list[tuple[float, int, bool]]) -> None:
    state, _ = applied(_daily([0, 1]))
    old = decode(msgspec.msgpack.encode(msgspec.structs.astuple(state)[:-3]))
    assert past(old) == past(State())
    for event in _events([(3 * DAY, Kind.PAGE_VIEW, False), *steps]):
        journey.apply(old, event)
    assert all(math.isfinite(value) and value >= 0.0 for value in past(old))


def _events(steps: list[tuple[float, int, bool]]) -> list[Event]:
    found, at_s = [], 0.0
    for index, (step_s, kind, is_system) in enumerate(steps):
        at_s = max(0.0, at_s + step_s)
        found.append(at(at_s, kind, f"/{index % 5}", is_system=is_system))
    return found
