"""Funnels: against every way tried in Python, and against another engine."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.analytics.adapters.questions import people, ways
from services.analytics.domain.question import Field, Funnel, FunnelStart, Listing, ListKind, Step
from tests.analytics import brute
from tests.analytics.rows import EVERYBODY, MINUTE_US, START_US, WINDOW, Event, asking, journeys, where

PAGES = ("/a", "/b", "/c", "/d")


def asked(
    *pages: str, start: FunnelStart = FunnelStart.ANY, within_seconds: int = 7_200, breakdown: Field = Field.UNSPECIFIED
) -> Funnel:
    steps = tuple(Step(page, where(Field.PAGE, page)) for page in pages)
    return Funnel(WINDOW, (), EVERYBODY, steps, start, within_seconds, breakdown, 2)


funnels = st.builds(
    lambda pages, start, minutes, breakdown: asked(
        *pages, start=start, within_seconds=minutes * 60, breakdown=breakdown
    ),
    st.lists(st.sampled_from(PAGES), min_size=2, max_size=4),
    st.sampled_from(FunnelStart),
    st.sampled_from((5, 30, 240)),
    st.sampled_from((Field.UNSPECIFIED, Field.PLATFORM)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(journeys(), funnels)
def test_it_equals_every_way_tried(events: list[Event], question: Funnel) -> None:
    depths = brute.funnel(events, question)
    query = asking(events)
    every, *parts = ways.funnel(query, question).funnels
    assert [step.user_count for step in every.steps] == [
        sum(depth >= number for depth in depths.values()) for number in range(1, len(question.steps) + 1)
    ]
    if question.breakdown is not Field.UNSPECIFIED:
        for number in range(len(question.steps)):
            assert sum(part.steps[number].user_count for part in parts) == every.steps[number].user_count
    for step in range(1, len(question.steps) + 1):
        listed = people.listing(query, Listing(WINDOW, (), EVERYBODY, ListKind.CONVERSIONS, question, step, 100))
        assert listed.total_count == len(listed.rows) == every.steps[step - 1].user_count
    dropped = people.listing(query, Listing(WINDOW, (), EVERYBODY, ListKind.DROP_OFFS, question, 1, 100))
    assert {row.user_id for row in dropped.rows} == {user for user, depth in depths.items() if depth == 1}


def test_times_between_steps_are_those_of_the_way_that_leads_furthest() -> None:
    events = [
        Event("u", START_US + minute * MINUTE_US, f"e{minute}", page=page)
        for minute, page in ((0, "/a"), (10, "/a"), (14, "/b"), (20, "/b"), (30, "/c"))
    ]
    (found,) = ways.funnel(asking(events), asked("/a", "/b", "/c")).funnels
    assert [step.median_seconds for step in found.steps] == [None, 600.0, 600.0]
    (found,) = ways.funnel(asking(events), asked("/a", "/b", "/c", start=FunnelStart.FIRST)).funnels
    assert [step.median_seconds for step in found.steps] == [None, 840.0, 960.0]
    assert [step.share_of_first for step in found.steps] == [1.0, 1.0, 1.0]


def test_twelve_steps_are_made() -> None:
    pages = [f"/{number}" for number in range(12)]
    events = [Event("u", START_US + number * MINUTE_US, page, page=page) for number, page in enumerate(pages)]
    (found,) = ways.funnel(asking(events), asked(*pages)).funnels
    assert [step.user_count for step in found.steps] == [1] * 12


@pytest.mark.tools
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(journeys(), st.permutations(PAGES), st.sampled_from((5, 30, 240)))
def test_clickhouse_counts_the_same(events: list[Event], pages: list[str], minutes: int) -> None:
    """Its `windowFunnel` takes any start. Steps differ, as it lets one event make two steps that are the same."""
    from chdb import session

    within = minutes * 60
    rows = brute.chosen(events, WINDOW)
    (found,) = ways.funnel(asking(events), asked(*pages, within_seconds=within)).funnels
    values = ", ".join(f"('{each.user_id}', {each.t // 1_000_000}, '{each.page or ''}')" for each in rows)
    steps = ", ".join(f"page = '{page}'" for page in pages)
    depths: Counter[int] = Counter()
    if rows:
        sql = (
            f"SELECT windowFunnel({within})(t, {steps}) AS depth FROM (SELECT user_id, t, depth_of AS page FROM "
            f"values('user_id String, t UInt32, depth_of String', {values})) GROUP BY user_id"
        )
        with session.Session() as clickhouse:  # type: ignore[no-untyped-call]
            for line in str(clickhouse.query(sql, "TSV")).splitlines():
                depths[int(line.split("\t")[0])] += 1
    assert [step.user_count for step in found.steps] == [
        sum(count for depth, count in depths.items() if depth >= number) for number in range(1, 5)
    ]
