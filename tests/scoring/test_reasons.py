"""Reasons are sentences that are true of every state with the value, and grammatical for 0, 1 and many."""

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.features.domain.event import Event, Kind, is_given_back
from services.features.domain.journey import apply
from services.features.domain.state import DAY_US, MINUTE_US, State
from services.features.domain.vector import DEFINITIONS, FEATURE_NAMES, vector
from services.scoring.domain.reasons import reason
from services.scoring.domain.schema import FEATURES

COUNTS = {
    "error_count": ("No error", "1 error", "2 errors", "64 or more errors"),
    "retry_count": ("No retry", "1 retry", "2 retries", "64 or more retries"),
    "help_requests": (
        "No request for help",
        "1 request for help",
        "2 requests for help",
        "64 or more requests for help",
    ),
    "page_exits": ("No page left", "1 page left", "2 pages left", "64 pages left"),
    "form_abandons": ("No form left", "Forms begun and left once", "2 times", "64 or more times"),
    "click_frustration": ("No click led nowhere", "led nowhere once", "2 times", "64 or more times"),
    "session_count": ("No session", "1 session within", "2 sessions", "64 or more sessions"),
    "unique_pages_visited": ("No page viewed", "1 page viewed", "2 pages viewed", "64 pages viewed"),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_given_with_their_noun(name: str) -> None:
    for value, expected in zip((0, 1, 2, 64), COUNTS[name], strict=True):
        assert expected in reason(name, float(value))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (1.0, "1 second"),
        (1.4, "1 second"),
        (2.0, "2 seconds"),
        (119.0, "119 seconds"),
        (120.0, "2 minutes"),
        (7199.0, "120 minutes"),
        (9000.0, "2 hours"),
        (2.6e6, "30 days"),
        (365 * 86_400.0, "365 days"),
    ],
)
def test_durations_are_given_in_their_unit(seconds: float, expected: str) -> None:
    assert reason("time_since_last_success", seconds) == f"No success for {expected}"
    assert reason("session_duration", seconds) == f"In this session for {expected}"
    assert reason("average_time_per_page", seconds) == f"{expected} on a page on average"


def test_a_value_of_several_states_gets_a_sentence_true_of_all() -> None:
    assert reason("time_since_last_success", 0.0) == "No time gone by without a success"
    assert reason("success_rate", 1.0) == "Nothing failed within 30 minutes"
    assert reason("success_rate", 0.0) == "Nothing that was tried within 30 minutes succeeded"
    assert reason("session_duration", 0.0) == "No time spent in a current session"
    assert reason("average_time_per_page", 0.0) == "No time spent on a page in a current session"
    assert reason("page_exits", 0.0) == "No page left untouched in a current session"


def test_less_than_a_second_is_said_so() -> None:
    assert reason("time_since_last_success", 0.3) == "No success for less than a second"
    assert reason("session_duration", 0.3) == "In this session for less than a second"
    assert reason("average_time_per_page", 0.3) == "Less than a second on a page on average"


@pytest.mark.parametrize(("rate", "expected"), [(0.5, "50%"), (0.001, "1%"), (0.9999, "99%"), (1 / 3, "33%")])
def test_a_share_is_neither_nothing_nor_all(rate: float, expected: str) -> None:
    assert reason("success_rate", rate) == f"{expected} of what was tried within 30 minutes succeeded"


ODD = re.compile(
    r"(?<![\d.,])(?:1 [a-z]+s\b|0 [a-z]|[2-9] (?:error|retry|request|page|session|second|time)\b)|nan|inf|-|  "
)


@given(st.sampled_from(FEATURES), st.floats(0, 1e12) | st.integers(0, 200).map(float))
def test_no_value_makes_an_odd_sentence(name: str, value: float) -> None:
    value = min(value, 1.0) if name == "success_rate" else value
    text = reason(name, min(value, 100.0) if name == "engagement_score" else value)
    assert text[0].isupper() or text[0].isdigit()
    assert not ODD.search(text.replace("0 of 100", "").replace("1 of 100", "")), text


def test_every_feature_has_a_sentence_for_its_empty_value() -> None:
    for definition in DEFINITIONS:
        assert reason(definition.name, definition.empty_value)


# What is said is read back and compared with what the user did.

KINDS = [
    Kind.PAGE_VIEW,
    Kind.ERROR,
    Kind.RETRY,
    Kind.HELP_REQUEST,
    Kind.TASK_SUCCESS,
    Kind.TASK_FAILURE,
    Kind.STRUGGLE_SIGNAL,
    Kind.FORM_ABANDON,
    Kind.PURCHASE,
    Kind.SESSION_END,
    Kind.IDENTIFY,
]
EVENTS = st.builds(
    Event,
    st.integers(0, 1 << 40).map(str),
    st.sampled_from(KINDS),
    st.sampled_from(
        [0, 0, 1, 300_000, 1_000_000, 7_000_000, 119_000_000, 20 * 60_000_000, 3 * 3_600_000_000, 40 * DAY_US]
    ),
    st.sampled_from(["/a", "/b", "/pay", ""]),
    st.sampled_from(["pay", ""]),
    is_system=st.booleans(),
    is_copy=st.booleans(),
    is_refund=st.booleans(),
)
UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}
SPAN = re.compile(r"(less than a|\d+) (second|minute|hour|day)s?", re.IGNORECASE)


def is_about(text: str, seconds: float) -> bool:
    """Whether the span in a text is this one, rounded to its unit."""
    match = SPAN.search(text)
    assert match is not None, text
    if match[1].lower() == "less than a":
        return 0 < seconds < 1
    return abs(float(match[1]) * UNITS[match[2]] - seconds) <= UNITS[match[2]] / 2 + 1e-6


MINUTES_30 = 30 * MINUTE_US
STORIES = st.lists(st.tuples(EVENTS, st.booleans()), max_size=14)
LATER = st.sampled_from([0, 0, 5, 1_801, 86_400 * 29])


def lived(story: list[tuple[Event, bool]], later_seconds: int) -> tuple[State, list[Event], int, dict[str, str]]:
    """The user after a story, what the user did of it, when that is asked about, and the reasons given then.

    Events bring the gap to those before as their time.
    """
    state, now_us, done = State(), 1_767_348_000_000_000, []
    for gap, is_late in story:
        at_us = now_us - gap.at_us if is_late else now_us + gap.at_us
        now_us = max(now_us, at_us)
        event = msgspec.structs.replace(gap, at_us=at_us, received_us=now_us)
        apply(state, event)
        done += [] if event.is_system else [event]
    now_us = max(state.last_us + later_seconds * 1_000_000, 1)
    of_features = dict(zip(FEATURE_NAMES, map(reason, FEATURE_NAMES, vector(state, now_us)), strict=True))
    return state, done, now_us, of_features


@settings(max_examples=200, deadline=None)
@given(STORIES, LATER)
def test_reasons_about_the_session_are_true(story: list[tuple[Event, bool]], later_seconds: int) -> None:
    state, done, now_us, of_features = lived(story, later_seconds)
    is_open = any(each.kind != Kind.IDENTIFY for each in done) and now_us - state.last_us <= MINUTES_30
    duration = of_features["session_duration"]
    if "this session" in duration:
        assert is_about(duration, (state.last_us - state.session_start_us) / 1e6)
    assert is_open or not any("this session" in each for each in of_features.values())
    assert "this session" in duration or not is_open or state.session_start_us == state.last_us
    if not any(each.kind == Kind.PAGE_VIEW and each.page for each in done):
        assert of_features["unique_pages_visited"].startswith("No page viewed")
        assert of_features["average_time_per_page"] == "No time spent on a page in a current session"
    if not done:
        assert of_features["session_count"] == "No session within 28 days"


@settings(max_examples=200, deadline=None)
@given(STORIES, LATER)
def test_reasons_about_successes_and_failures_are_true(story: list[tuple[Event, bool]], later_seconds: int) -> None:
    _, done, now_us, of_features = lived(story, later_seconds)
    lately = [each for each in done if now_us - MINUTES_30 < each.at_us <= now_us]
    for name, kind in (("error_count", Kind.ERROR), ("help_requests", Kind.HELP_REQUEST)):
        assert of_features[name].startswith(f"{sum(each.kind == kind for each in lately) or 'No'} ")
    # A late identification says nothing of when the user came.
    seen = [each.at_us for each in (*done[:1], *(each for each in done if each.kind != Kind.IDENTIFY))]
    since_us = max([each.at_us for each in done if is_success(each)] or [min(seen, default=0)])
    without = of_features["time_since_last_success"]
    if without == "No time gone by without a success":
        assert since_us == now_us or not done
    else:
        assert is_about(without, (now_us - since_us) / 1e6)
    has_failed = any(each.kind in (Kind.ERROR, Kind.TASK_FAILURE, Kind.STRUGGLE_SIGNAL) for each in lately)
    has_succeeded = any(map(is_success, lately))
    said = of_features["success_rate"].partition(" of what")[0]
    assert (said == "Nothing failed within 30 minutes") is not has_failed
    assert (said == "Nothing that was tried within 30 minutes succeeded") is (has_failed and not has_succeeded)


def is_success(event: Event) -> bool:
    return event.kind == Kind.TASK_SUCCESS or (event.kind == Kind.PURCHASE and not is_given_back(event))
