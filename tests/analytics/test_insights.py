"""When key figures were unusual: drops that were put in are found, normal data is left alone, and counts are right."""

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.analytics.adapters.questions import unusual as counted
from services.analytics.domain.answer import Insights as Found
from services.analytics.domain.insights import METRICS, insights, severity
from services.analytics.domain.question import DAY_US, HOUR_US, SESSION_GAP_US, Field, Insights, Window
from tests.analytics.brute import by_user, counting
from tests.analytics.rows import EVERYBODY, MINUTE_US, START_US, Decision, Event, asking, journeys, where

Counts = npt.NDArray[np.int64]
BOUGHT: Final = where(Field.EVENT_TYPE, "purchase")
MONDAY_US: Final = START_US + 3 * DAY_US
WEEKS: Final = 10
HOURS: Final = WEEKS * 168
WINDOW: Final = Window(MONDAY_US + 8 * 7 * DAY_US, MONDAY_US + WEEKS * 7 * DAY_US, "UTC")
PER_USER: Final = {"events": 4.0, "users": 1.0, "failures": 0.2, "shown": 0.05, "accepted": 0.02, "conversions": 0.03}
SEEDS: Final = 3
DROPS: Final = 6


def drawn(chance: np.random.Generator, users: float) -> dict[str, Counts]:
    """Ten weeks of counts that follow the day and the week together, with 5 % of noise beside that of chance."""
    hour = np.arange(HOURS)
    day = 1 + 0.8 * np.sin((hour % 24 - 9) / 24 * 2 * np.pi)
    of_each = users * day * np.where(hour // 24 % 7 >= 5, 0.6, 1) * chance.gamma(400, 1 / 400, HOURS)
    return {metric: chance.poisson(of_each * PER_USER.get(metric, 0)) for metric in METRICS}


def told(counts: dict[str, Counts]) -> Found:
    return insights({metric: [*map(float, each)] for metric, each in counts.items()}, MONDAY_US, WINDOW, 500)


def test_drops_are_found_within_two_hours_and_normal_data_is_left_alone() -> None:
    found = drops = false_count = 0
    for seed in range(SEEDS):
        chance = np.random.default_rng(seed)
        counts = drawn(chance, 5_000)
        normal = told(counts)
        false_count += sum(metric.incident_count for metric in normal.metrics)
        assert sum(len(each.parts) for each in normal.incidents) == sum(each.incident_count for each in normal.metrics)
        for at in chance.integers(8 * 168, HOURS - 6, DROPS):
            less = counts["users"][: at + 2].copy()
            less[at:] = chance.binomial(less[at:], 0.7)
            its = insights(
                {metric: [*map(float, less if metric == "users" else [0] * len(less))] for metric in METRICS},
                MONDAY_US,
                WINDOW,
                500,
            )
            drops += 1
            found += any(
                part.direction == "below" and part.opened_us >= MONDAY_US + at * HOUR_US
                for each in its.incidents
                for part in each.parts
            )
    assert found >= 0.9 * drops
    # The window has 14 days.
    assert false_count / SEEDS / len(PER_USER) <= 1


def test_nothing_below_zero_is_expected_of_a_count() -> None:
    counts = drawn(np.random.default_rng(7), 5_000)
    counts["failures"][:] = 0
    counts["failures"][9 * 168 + 12] = 500
    parts = [part for each in told(counts).incidents for part in each.parts if part.metric == "failures"]
    assert parts
    assert all(np.signbit(part.expected) == 0 for part in parts)


def test_what_drops_together_is_one_incident_with_its_parts_and_says_how_bad_it_was() -> None:
    counts = drawn(np.random.default_rng(7), 5_000)
    at = 9 * 168 + 12
    for each in counts.values():
        each[at : at + 6] //= 2
    (one,) = [each for each in told(counts).incidents if any(part.metric == "users" for part in each.parts)]
    assert {"events", "users", "failures"} <= {part.metric for part in one.parts}
    users = next(part for part in one.parts if part.metric == "users")
    assert (one.opened_us, users.direction) == (MONDAY_US + at * HOUR_US, "below")
    assert users.closed_us is not None
    assert at + 6 <= (users.closed_us - MONDAY_US) // HOUR_US <= at + 12
    assert users.lower <= users.expected <= users.upper
    assert users.observed < users.lower
    assert users.observed == counts["users"][(users.peak_us - MONDAY_US) // HOUR_US]
    missing = counts["users"][at : at + 6].sum()
    assert one.affected_user_hours == pytest.approx(missing, rel=0.3)
    assert one.severity == "critical"
    observed = [point.observed for point in users.points]
    begin = (users.points[0].start_us - MONDAY_US) // HOUR_US
    assert begin == at - 12
    assert observed == [*counts["users"][begin : begin + len(observed)]]


@pytest.mark.parametrize(("hour_count", "expected"), [(1, "high"), (8, "critical")])
def test_missing_conversions_count_as_those_of_usual_hours_although_few_users_convert(
    hour_count: int, expected: str
) -> None:
    counts = drawn(np.random.default_rng(7), 20_000)
    at = 9 * 168 + 12
    counts["conversions"][at : at + hour_count] = 0
    (one,) = [each for each in told(counts).incidents if any(part.metric == "conversions" for part in each.parts)]
    assert one.severity == expected
    assert one.affected_user_hours < 0.5 * 20_000


@pytest.mark.parametrize(
    ("usual_hours", "furthest", "expected"),
    [(0.2, 9, "low"), (0.25, 3, "medium"), (5, 3.9, "medium"), (1, 4, "high"), (3.9, 9, "high"), (4, 4, "critical")],
)
def test_severity_is_by_users_and_distance(usual_hours: float, furthest: float, expected: str) -> None:
    assert severity(usual_hours, furthest) == expected


@pytest.mark.parametrize(("days", "needed"), [(1, 23), (10, 14), (23, 1), (24, 0), (60, 0)])
def test_too_little_data_says_how_many_days_it_needs(days: int, needed: int) -> None:
    counts = {metric: [100.0] * 24 * days for metric in METRICS}
    found = insights(counts, WINDOW.end_us - days * DAY_US, WINDOW, 50)
    assert (found.needed_days, found.incidents) == (needed, ())


def test_only_the_latest_are_told_and_all_are_counted() -> None:
    counts = drawn(np.random.default_rng(3), 5_000)
    for at in (8 * 168 + 12, 9 * 168 + 12, 9 * 168 + 60):
        counts["users"][at : at + 2] = 0
    values = {metric: [*map(float, each)] for metric, each in counts.items()}
    every = insights(values, MONDAY_US, WINDOW, 500)
    assert len(every.incidents) == every.total_count >= 3
    assert [*every.incidents] == sorted(every.incidents, key=lambda each: -each.opened_us)
    few = insights(values, MONDAY_US, WINDOW, 2)
    assert (few.incidents, few.total_count) == (every.incidents[:2], every.total_count)


def hourly(events: Sequence[Event], decisions: Sequence[Decision], asked: Insights, until_us: int) -> dict[str, float]:
    """The sums of what is counted in the window, event by event."""
    its = counting(events)
    inside = [each for each in its if asked.learned.start_us <= each.t < until_us]
    hour = [each.t // HOUR_US for each in inside]
    if not hour:
        return dict.fromkeys(METRICS, 0.0)
    first = max(min(hour) + 1, asked.window.start_us // HOUR_US)

    def of(t: int, gap_us: int = 0) -> bool:
        return t // HOUR_US >= first and (t // HOUR_US + 1) * HOUR_US + gap_us <= until_us

    left = 0
    for each in by_user(its).values():
        ends = [n for n, (one, next_) in enumerate(itertools.pairwise(each)) if next_.t - one.t > SESSION_GAP_US]
        for begin, end in itertools.pairwise([0, *(n + 1 for n in ends), len(each)]):
            session = [one for one in each[begin:end] if one.t < asked.window.end_us]
            kinds = {one.event_type for one in session}
            if session and "form_start" in kinds and not kinds & {"form_submit", "purchase"}:
                left += of(session[-1].t, SESSION_GAP_US)
    counted_ = [each for each in inside if of(each.t)]
    return {
        "events": float(len(counted_)),
        "users": float(len({(each.user_id, each.t // HOUR_US) for each in counted_})),
        "struggles": float(sum(len(each.signals) for each in decisions if of(each.t))),
        "failures": 0.0,
        "shown": 0.0,
        "accepted": 0.0,
        "conversions": float(
            len({(each.user_id, each.t // HOUR_US) for each in counted_ if each.event_type == "purchase"})
        ),
        "abandonments": float(left),
    }


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(journeys(), st.integers(0, 3 * 24 * 12))
def test_what_is_counted_is_what_brute_force_counts(events: list[Event], steps: int) -> None:
    window = Window(START_US, START_US + 3 * DAY_US, "UTC")
    asked = Insights(window, (), EVERYBODY, BOUGHT, 50)
    watermark_us = START_US + steps * 5 * MINUTE_US
    decisions = [Decision("a", START_US + DAY_US + 1, "d1", ("rage_clicks", "form_errors"))]
    found = counted.from_events(asking(events, decisions), asked, watermark_us)
    expected = hourly(events, decisions, asked, min(window.end_us, watermark_us))
    if found.known_since_us is None:
        expected = dict.fromkeys(METRICS, 0.0)
    assert {each.metric: each.total for each in found.metrics} == expected


def test_help_and_failures_are_counted_once_each() -> None:
    def at(hour: int) -> int:
        return START_US + hour * HOUR_US

    events = [
        Event("a", at(0), "e0"),
        *(Event("a", at(1) + n, f"s{n}", "intervention_outcome", outcome="shown", intervention_id="i") for n in (1, 2)),
        Event("a", at(1) + 3, "s3", "intervention_outcome", outcome="accepted", intervention_id="i"),
        Event("b", at(2), "f1", "error"),
        Event("b", at(2) + 1, "f2", "task_failure"),
    ]
    window = Window(START_US, START_US + DAY_US, "UTC")
    found = counted.from_events(asking(events), Insights(window, (), EVERYBODY, BOUGHT, 50), at(4))
    totals = {each.metric: each.total for each in found.metrics}
    assert (totals["shown"], totals["accepted"], totals["failures"]) == (1, 1, 1)
    assert found.known_since_us == at(1)


def test_nothing_at_all_needs_everything() -> None:
    window = Window(START_US, START_US + DAY_US, "UTC")
    found = counted.from_events(asking([]), Insights(window, (), EVERYBODY, BOUGHT, 50), window.end_us)
    assert (found.known_since_us, found.needed_days, found.incidents) == (None, 24, ())


def test_putting_quarters_of_an_hour_in_order_takes_less_than_putting_events_in_order() -> None:
    """With conditions all is counted from events, and putting them in order took four fifths of the time."""
    query = asking([])
    query.rows(
        f"INSERT INTO all_events BY NAME SELECT 'user-' || (n // 12) % 20_000 AS user_id, 'e' || n AS event_id, "
        f"make_timestamptz({START_US}::BIGINT + (hash(n // 12) % {10 * DAY_US})::BIGINT + (n % 12) * 20_000_000) "
        "AS event_time, CASE WHEN n % 7 = 0 THEN 'form_start' ELSE 'click' END AS event_type, '/' || n % 9 AS page, "
        "false AS is_bot, false AS is_system FROM range(400_000) AS of(n)"
    )
    window = Window(START_US, START_US + 11 * DAY_US, "UTC")
    asked = Insights(window, where(Field.PAGE, "/1", "/2"), EVERYBODY, BOUGHT, 50)

    def taken(of: Callable[[], object]) -> float:
        began = time.process_time()
        of()
        return time.process_time() - began

    def rows(sql: str) -> object:
        return query.rows(f"SELECT sum(session), count(*) FROM ({sql})")

    by_quarter = min(taken(lambda: rows(counted._cells_in_sessions(query, asked))) for _ in range(3))
    assert by_quarter < 0.7 * min(taken(lambda: rows(query.in_sessions(asked, asked.learned))) for _ in range(3))
