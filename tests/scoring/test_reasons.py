"""Reasons are sentences that are true of every state with the value, and grammatical for 0, 1 and many."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.features.domain.vector import DEFINITIONS
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
    "form_abandons": ("No form left", "Forms left unfinished once", "2 times", "64 or more times"),
    "click_frustration": ("No click led nowhere", "led nowhere once", "2 times", "64 or more times"),
    "session_count": ("No session", "1 session within", "2 sessions", "64 or more sessions"),
    "unique_pages_visited": ("No page viewed", "1 page viewed", "2 pages viewed", "64 pages viewed"),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_told_with_their_noun(name: str) -> None:
    for value, told in zip((0, 1, 2, 64), COUNTS[name], strict=True):
        assert told in reason(name, float(value))


@pytest.mark.parametrize(
    ("seconds", "told"),
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
def test_durations_are_told_in_their_unit(seconds: float, told: str) -> None:
    assert reason("time_since_last_success", seconds) == f"No success for {told}"
    assert reason("session_duration", seconds) == f"In this session for {told}"
    assert reason("average_time_per_page", seconds) == f"{told} on a page on average"


def test_what_stands_for_several_states_is_said_so_that_it_is_true_of_all() -> None:
    assert reason("time_since_last_success", 0.0) == "Last success or first visit just now"
    assert reason("success_rate", 1.0) == "Nothing that was tried within 30 minutes failed"
    assert reason("success_rate", 0.0) == "Nothing that was tried within 30 minutes succeeded"
    assert reason("average_time_per_page", 0.0) == "No time spent on a page in this session so far"


@pytest.mark.parametrize(("rate", "told"), [(0.5, "50%"), (0.001, "1%"), (0.9999, "99%"), (1 / 3, "33%")])
def test_a_share_is_neither_nothing_nor_all(rate: float, told: str) -> None:
    assert reason("success_rate", rate) == f"{told} of what was tried within 30 minutes succeeded"


ODD = re.compile(
    r"(?<![\d.,])(?:1 [a-z]+s\b|0 [a-z]|[2-9] (?:error|retry|request|page|session|second|time)\b)|nan|inf|-|  "
)


@given(st.sampled_from(FEATURES), st.floats(0, 1e12) | st.integers(0, 200).map(float))
def test_no_value_makes_an_odd_sentence(name: str, value: float) -> None:
    value = min(value, 1.0) if name == "success_rate" else value
    told = reason(name, min(value, 100.0) if name == "engagement_score" else value)
    assert told[0].isupper() or told[0].isdigit()
    assert not ODD.search(told.replace("0 of 100", "").replace("1 of 100", "")), told


def test_every_feature_has_a_sentence_for_its_empty_value() -> None:
    for definition in DEFINITIONS:
        assert reason(definition.name, definition.empty_value)
