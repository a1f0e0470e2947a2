"""What holds for every journey, however odd: times far apart and out of order, any kinds, any members."""

import itertools
import math
import re

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.features.domain.event import Carried, Click, Event, Kind
from services.features.domain.journey import Found, apply
from services.features.domain.state import DAY_US, SECOND_US, State
from services.features.domain.vector import FEATURE_NAMES, vector
from tests.features.stored import decode, encode
from tests.features.stories import START_US

_ODD = re.compile(r"(?<![\w.,/])(?:1 [a-z]+s\b(?! page)|0 [a-z]|0\.0 s)|nan|  ")
"""What no sentence says: `1 clicks`, `0 requests`, `within 0.0 s`."""
_KINDS = sorted(number for name, number in vars(Kind).items() if name.isupper())
_NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
_CLICKS = st.builds(
    Click,
    st.none() | _NUMBERS,
    st.none() | _NUMBERS,
    st.none() | st.booleans(),
    st.booleans(),
    st.booleans(),
    st.none() | st.booleans(),
    st.sampled_from(["", "spinbutton", "button"]),
)
# Mostly close together and in order, so that sessions and chains come about; sometimes years off.
_STEPS = st.one_of(
    st.integers(0, 3 * SECOND_US),
    st.integers(0, 90 * SECOND_US),
    st.integers(-60 * SECOND_US, 40 * 60 * SECOND_US),
    st.integers(-40 * DAY_US, 40 * DAY_US),
    st.integers(-3650 * DAY_US, 3650 * DAY_US),
)


@st.composite
def journeys(draw: st.DrawFn) -> list[tuple[Event, float | None]]:
    """A user's stream with the video engagement beside it."""
    at_us, rows = START_US, []
    for index in range(draw(st.integers(1, 40))):
        at_us += draw(_STEPS)
        kind = draw(st.sampled_from([*_KINDS, 99]))
        event = Event(
            f"e{index}",
            kind,
            at_us,
            page=draw(st.sampled_from(["", "/a", "/b", "/calculator", "/c" * 300])),
            target=draw(st.sampled_from(["", "pay", "loan-form", "calc"])),
            attempt_count=draw(st.integers(0, 5) | st.just(2**32 - 1)),
            error_code=draw(st.sampled_from(["", "validation", "http_500"])),
            is_refresh=draw(st.booleans()),
            platform=draw(st.integers(0, 4)),
            click=draw(_CLICKS) if kind == Kind.CLICK else None,
            amount=draw(_NUMBERS),
            currency=draw(st.sampled_from(["", "EUR", "USD"])),
            is_refund=draw(st.booleans()),
            is_copy=draw(st.booleans()),
            address=draw(st.sampled_from(["", "/a?utm_source=x"])),
            is_system=draw(st.sampled_from([False, False, False, True])),
            is_link=kind == Kind.IDENTIFY and draw(st.booleans()),
            carried=draw(st.none() | st.builds(Carried, st.integers(0, 9), st.just({"EUR": 2.0}))),
            received_us=draw(st.sampled_from([0, START_US, at_us])),
        )
        rows.append((event, draw(st.none() | _NUMBERS)))
    return rows


Results = list[tuple[list[float], Found]]


def run(state: State, rows: list[tuple[Event, float | None]]) -> Results:
    results = []
    for event, engagement in rows:
        found = apply(state, event, engagement)
        results.append((vector(state), found))
    return results


@given(journeys(), st.lists(st.integers(0, 40)), st.data())
@settings(max_examples=100, deadline=None)
def test_the_cut_into_batches_and_redelivery_change_nothing(
    rows: list[tuple[Event, float | None]], cuts: list[int], data: st.DataObject
) -> None:
    whole = State()
    expected = run(whole, rows)

    stored, answers = b"", []
    edges = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    for begin, end in itertools.pairwise(edges):
        if data.draw(st.booleans(), label="delivered twice"):
            run(decode(stored), rows[begin:end])
        state = decode(stored)
        answers += run(state, rows[begin:end])
        stored = encode(state)

    assert answers == expected
    assert stored == encode(whole)


@given(journeys(), st.integers(-400 * DAY_US, 400 * DAY_US))
@settings(max_examples=100, deadline=None)
def test_values_are_finite_and_within_their_range(rows: list[tuple[Event, float | None]], later_us: int) -> None:
    state = State()
    for values, found in run(state, rows):
        _check(values)
        for signal in found.signals:
            assert 0 < signal.strength <= 100
            assert signal.reason
            assert not _ODD.search(signal.reason), signal.reason
            assert 1 <= len(signal.evidence_event_ids) <= 10
    _check(vector(state, state.last_us + later_us))


def _check(values: list[float]) -> None:
    assert all(type(value) is float and math.isfinite(value) and value >= 0 for value in values)
    named = dict(zip(FEATURE_NAMES, values, strict=True))
    assert named["success_rate"] <= 1
    assert named["engagement_score"] <= 100
    assert named["session_count"] <= 64
    assert named["unique_pages_visited"] <= 128
    assert named["time_since_last_success"] <= 365 * 86_400


@given(journeys())
@settings(max_examples=60, deadline=None)
def test_a_state_stays_small_and_all_windows_empty_in_the_end(rows: list[tuple[Event, float | None]]) -> None:
    state = State()
    # Nothing fades for a user of whom only systems reported.
    run(state, [(Event("seen", Kind.PAGE_VIEW, START_US), None), *rows * 8])
    assert len(encode(state)) < 40_000
    named = dict(zip(FEATURE_NAMES, vector(state, state.last_us + 29 * DAY_US), strict=True))
    assert named.pop("success_rate") == 1
    assert named.pop("engagement_score") < 100 / 2**4
    assert named.pop("time_since_last_success") > 0
    assert set(named.values()) == {0.0}


@given(journeys())
@settings(max_examples=60, deadline=None)
def test_a_window_count_is_the_number_of_events_within_it(rows: list[tuple[Event, float | None]]) -> None:
    # Errors at a time that never was are forgotten once that is known; here no time is.
    rows = [(msgspec.structs.replace(event, received_us=0), engagement) for event, engagement in rows]
    state = State()
    run(state, rows)
    past = [event for event, _ in rows if event.kind == Kind.ERROR and not event.is_system]
    within = [event for event in past if state.last_us - 30 * 60 * SECOND_US < event.at_us]
    assert vector(state)[FEATURE_NAMES.index("error_count")] == len(within)
