"""Made-up journeys: the same for the same seed, in time order, and each with the struggle of its story."""

import collections
import itertools
from datetime import datetime
from typing import Any, cast

import pytest
from journeymesh.common.v1 import event_pb2

from offline.datasets import simulator
from services.features.domain.event import Click, Event, Kind
from services.features.domain.journey import apply
from services.features.domain.signal import SignalType
from services.features.domain.state import State


def test_the_same_seed_gives_the_same_events() -> None:
    first = list(simulator.events(20, seed=3))
    assert first == list(simulator.events(20, seed=3))
    assert first != list(simulator.events(20, seed=4))


def test_more_users_change_nothing_for_the_others() -> None:
    few = list(simulator.events(5))
    users = {event["userId"] for event in few}
    assert [event for event in simulator.events(30) if event["userId"] in users] == few


def test_events_are_in_time_order_with_ids_of_their_own() -> None:
    events = list(simulator.events(50))
    times = [datetime.fromisoformat(str(event["timestamp"])) for event in events]
    assert times == sorted(times)
    assert len({str(event["eventId"]) for event in events}) == len(events)
    assert len({event["userId"] for event in events}) == 50
    kinds = {name.removeprefix("EVENT_TYPE_").lower() for name in event_pb2.EventType.keys()}  # noqa: SIM118 - an enum
    assert {str(event["eventType"]) for event in events} <= kinds


def test_any_number_of_users_is_generated_lazily() -> None:
    begun = list(itertools.islice(simulator.events(3000), 10))
    assert len(begun) == 10
    assert list(simulator.events(0)) == []


def found(story: str) -> collections.Counter[int]:
    """The signals of every user of one story, counted by kind."""
    states: dict[object, State] = collections.defaultdict(State)
    kinds: collections.Counter[int] = collections.Counter()
    for event in simulator.events(len(simulator.STORIES) * 10):
        if str(event["userId"]).startswith(f"sim-{story}-"):
            kinds.update({signal.type for signal in apply(states[event["userId"]], of(event)).signals})
    assert len(states) == 10
    return kinds


def of(event: dict[str, object]) -> Event:
    properties = cast("dict[str, Any]", event["properties"])
    at = datetime.fromisoformat(str(event["timestamp"]))
    click = Click(properties.get("x"), properties.get("y"), properties.get("effectObserved"))
    return Event(
        str(event["eventId"]),
        getattr(Kind, str(event["eventType"]).upper()),
        round(at.timestamp() * 1000) * 1000,
        properties.get("page", ""),
        next((properties[name] for name in ("feature", "element", "form", "task") if name in properties), ""),
        properties.get("attempts", 0),
        properties.get("errorCode", ""),
        properties.get("isRefresh", False),
        click=click if event["eventType"] == "click" else None,
    )


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ("struggling", {SignalType.REPEATED_FAILURES}),
        (
            "form-trouble",
            {
                SignalType.FORM_ERRORS,
                SignalType.HELP_SEEKING,
                SignalType.PAGE_REFRESHES,
                SignalType.FORM_ABANDONMENT,
                SignalType.ENGAGEMENT_DROP,
            },
        ),
        ("broken-button", {SignalType.RAGE_CLICKS, SignalType.DEAD_CLICK}),
        ("lost", {SignalType.QUICK_BACKS, SignalType.RAPID_NAVIGATION}),
    ],
)
def test_every_user_of_a_story_shows_its_struggle(story: str, expected: set[int]) -> None:
    kinds = found(story)
    assert all(kinds[kind] >= 10 for kind in expected)


@pytest.mark.parametrize("story", ["calm", "buyer", "video-learner"])
def test_successful_users_show_no_struggle(story: str) -> None:
    assert not found(story)
