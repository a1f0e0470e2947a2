"""The service through a real stub: answers, effects once, the last events, errors, and the real store."""

from collections.abc import AsyncIterator, Sequence
from typing import TypeAlias

import pytest
from journeymesh.common.v1 import event_pb2, position_pb2
from journeymesh.features.v1 import features_pb2, features_pb2_grpc

from mesh import redis
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from mesh.metrics import Metrics
from mesh.states.memory import MemoryState
from mesh.states.redis import RedisState
from services.features import translation
from services.features.domain.event import Event, Kind, Platform
from services.features.domain.journey import apply
from services.features.domain.signal import SignalType
from services.features.domain.state import State
from services.features.domain.vector import DEFINITIONS, FEATURE_NAMES, SCHEMA_VERSION, vector
from services.features.servicer import FeaturesServicer
from tests.builders import NOW_US, SECOND_US, event
from tests.serving import serving

# The class stands in the generated annotations only.
Stub: TypeAlias = "features_pb2_grpc.FeaturesServiceAsyncStub"


@pytest.fixture(params=["memory", "redis"])
async def stub(request: pytest.FixtureRequest, valkey: redis.Client) -> AsyncIterator[Stub]:
    store = MemoryState() if request.param == "memory" else RedisState(valkey, "features", 3600)
    servicer = FeaturesServicer(store, Metrics())
    async with serving(lambda to: features_pb2_grpc.add_FeaturesServiceServicer_to_server(servicer, to)) as channel:
        yield features_pb2_grpc.FeaturesServiceStub(channel)


def batch(events: Sequence[event_pb2.Event], *sequences: int, **members: object) -> features_pb2.ApplyEventsRequest:
    position = position_pb2.BatchPosition(stream="events", shard="0", sequences=[str(number) for number in sequences])
    return features_pb2.ApplyEventsRequest(
        position=position,
        events=events,
        **members,  # type: ignore[arg-type]
    )


def at(seconds: int, kind: str, user_id: str = "ada", **members: object) -> event_pb2.Event:
    return event(f"{user_id}-{seconds}", user_id, kind, event_time_us=NOW_US + seconds * SECOND_US, **members)


def calculator() -> list[event_pb2.Event]:
    return [
        at(0, "page_view", page="/calculator"),
        at(15, "feature_interaction", page="/calculator", target="loan_amount"),
        at(30, "struggle_signal", page="/calculator", attempt_count=3),
    ]


async def test_a_row_is_answered_with_the_state_after_it(stub: Stub) -> None:
    answer = await stub.ApplyEvents(batch(calculator(), 1))
    assert answer.feature_schema_version == SCHEMA_VERSION
    assert answer.feature_count == 13
    assert len(answer.values) == 39
    state = State()
    for row, wire in enumerate(calculator()):
        apply(state, translation.event_of(wire))
        assert list(answer.values[row * 13 : row * 13 + 13]) == vector(state)
    (found,) = answer.signals
    assert found.row == 2
    assert found.signal.type == features_pb2.SIGNAL_TYPE_REPEATED_FAILURES
    assert found.signal.strength == pytest.approx(78.4)
    assert found.signal.reason == "3 failed attempts on /calculator"
    assert found.signal.signal_time_us == NOW_US + 30 * SECOND_US


async def test_users_of_a_batch_are_kept_apart(stub: Stub) -> None:
    mixed = [at(0, "error"), at(0, "page_view", "bob"), at(1, "error", page="/x"), at(1, "error", "bob")]
    answer = await stub.ApplyEvents(batch(mixed, 1))
    assert [answer.values[row * 13] for row in range(4)] == [1, 0, 2, 1]


async def test_a_batch_delivered_again_is_answered_the_same_and_counted_once(
    stub: Stub,
) -> None:
    await stub.ApplyEvents(batch(calculator(), 1))
    failures = [at(60 + second, "error", page="/calculator") for second in range(9)]
    first = await stub.ApplyEvents(batch(failures, 2, 3))
    again = await stub.ApplyEvents(batch(failures, 2, 3))
    assert again.SerializeToString() == first.SerializeToString()
    profile = await stub.GetProfile(features_pb2.GetProfileRequest(user_id="ada"))
    assert profile.event_count == 12
    recent = await stub.ListRecentEvents(features_pb2.ListRecentEventsRequest(user_id="ada"))
    assert [each.event_id for each in recent.events] == [each.event_id for each in reversed(calculator() + failures)]


async def test_a_batch_from_before_the_last_is_stale(stub: Stub) -> None:
    for sequence in (1, 2):
        await stub.ApplyEvents(batch([at(sequence, "error")], sequence))
    with pytest.raises(FailedPrecondition) as refused:
        await stub.ApplyEvents(batch([at(1, "error")], 1))
    assert refused.value.reason == "POSITION_STALE"


async def test_features_are_read_as_of_the_last_event(stub: Stub) -> None:
    answer = await stub.ApplyEvents(batch(calculator(), 1))
    read = await stub.GetFeatures(features_pb2.GetFeaturesRequest(user_id="ada"))
    assert [feature.name for feature in read.features] == list(FEATURE_NAMES)
    assert [feature.value for feature in read.features] == list(answer.values[-13:])
    assert read.as_of_time.ToMicroseconds() == NOW_US + 30 * SECOND_US
    assert read.feature_schema_version == SCHEMA_VERSION


async def test_video_engagement_stands_for_its_playback(stub: Stub) -> None:
    watched = [at(0, "video_playback", playback=event_pb2.Playback(video_id="v"))] * 2
    updates = [features_pb2.EngagementUpdate(row=1, score=100)]
    answer = await stub.ApplyEvents(batch(watched, 1, engagements=updates))
    place = FEATURE_NAMES.index("engagement_score")
    assert answer.values[place] == 60
    assert answer.values[13 + place] == pytest.approx(60 + 40 / 3)


async def test_the_profile_sums_up(stub: Stub) -> None:
    bought = event_pb2.Purchase(amount=12.5, currency="EUR")
    days = [
        at(0, "page_view", platform=event_pb2.PLATFORM_WEB, time_zone="Europe/Berlin"),
        at(86_400, "purchase", platform=event_pb2.PLATFORM_BACKEND, purchase=bought, page="/paid", is_bot=True),
    ]
    await stub.ApplyEvents(batch(days, 1))
    profile = await stub.GetProfile(features_pb2.GetProfileRequest(user_id="ada"))
    assert profile.first_seen_time.ToMicroseconds() == NOW_US
    assert profile.last_seen_time.ToMicroseconds() == NOW_US + 86_400 * SECOND_US
    assert (profile.event_count, profile.session_count) == (2, 2)
    assert (profile.purchase_count, profile.purchase_amount) == (1, 12.5)
    assert list(profile.platforms) == ["web", "backend"]
    assert profile.time_zone == "Europe/Berlin"
    assert profile.last_page == "/paid"
    assert profile.is_bot


async def test_the_last_twenty_events_come_whole_and_newest_first(
    stub: Stub,
) -> None:
    events = [at(second, "click", click=event_pb2.Click(x=1), properties=b'{"a":1}') for second in range(50)]
    for sequence in range(10):
        await stub.ApplyEvents(batch(events[sequence * 5 : sequence * 5 + 5], sequence))
    everything = await stub.ListRecentEvents(features_pb2.ListRecentEventsRequest(user_id="ada"))
    assert [each.event_id for each in everything.events] == [each.event_id for each in events[:29:-1]]
    assert everything.events[0].properties == b'{"a":1}'
    assert everything.events[0].click == events[0].click
    few = await stub.ListRecentEvents(features_pb2.ListRecentEventsRequest(user_id="ada", limit=3))
    assert list(few.events) == list(everything.events)[:3]
    with pytest.raises(InvalidArgument):
        await stub.ListRecentEvents(features_pb2.ListRecentEventsRequest(user_id="ada", limit=21))


async def test_an_event_is_read_back_with_its_session(stub: Stub) -> None:
    gap = 31 * 60
    events = [at(0, "click"), at(60, "click", session_id="own"), at(60 + gap, "click"), at(-gap, "click")]
    await stub.ApplyEvents(batch(events, 1))
    recent = await stub.ListRecentEvents(features_pb2.ListRecentEventsRequest(user_id="ada"))
    late, later, joined, first = recent.events
    assert first.session_start_us == joined.session_start_us == events[0].event_time_us
    assert later.session_start_us == events[2].event_time_us
    assert late.session_start_us == events[3].event_time_us
    assert joined.session_id == "own"
    assert len({first.session_id, later.session_id, late.session_id}) == 3


async def test_a_large_event_is_kept_without_its_properties(stub: Stub) -> None:
    large, small = at(0, "click", properties=b"x" * 1100), at(1, "click", properties=b"x" * 700)
    await stub.ApplyEvents(batch([large, small], 1))
    recent = await stub.ListRecentEvents(features_pb2.ListRecentEventsRequest(user_id="ada"))
    assert [len(each.properties) for each in recent.events] == [700, 0]
    assert recent.events[1].event_id == large.event_id


async def test_of_an_unknown_user_nothing_is_found(stub: Stub) -> None:
    calls = (
        stub.GetFeatures(features_pb2.GetFeaturesRequest(user_id="nobody")),
        stub.GetProfile(features_pb2.GetProfileRequest(user_id="nobody")),
        stub.ListRecentEvents(features_pb2.ListRecentEventsRequest(user_id="nobody")),
    )
    for call in calls:
        with pytest.raises(NotFound) as unknown:
            await call
        assert unknown.value.reason == "USER_NOT_FOUND"


async def test_the_definitions_are_those_of_the_code(stub: Stub) -> None:
    answer = await stub.ListFeatureDefinitions(features_pb2.ListFeatureDefinitionsRequest())
    assert answer.feature_schema_version == SCHEMA_VERSION
    assert [(each.name, each.meaning, each.unit, each.window, each.empty_value) for each in answer.definitions] == [
        (each.name, each.meaning, each.unit, each.window, each.empty_value) for each in DEFINITIONS
    ]
    assert all(each.meaning and each.unit and each.window for each in answer.definitions)


async def test_a_store_that_cannot_be_reached_is_unavailable() -> None:
    client = redis.connect("redis://127.0.0.1:1/0")
    servicer = FeaturesServicer(RedisState(client, "features", 60), Metrics())
    async with serving(lambda to: features_pb2_grpc.add_FeaturesServiceServicer_to_server(servicer, to)) as channel:
        with pytest.raises(Unavailable):
            await features_pb2_grpc.FeaturesServiceStub(channel).ApplyEvents(batch(calculator(), 1))
    await client.aclose()


def test_the_numbers_of_the_domain_are_those_of_the_contract() -> None:
    for enum, ours in (
        (event_pb2.EventType, Kind),
        (event_pb2.Platform, Platform),
        (features_pb2.SignalType, SignalType),
    ):
        prefix = {"EventType": "EVENT_TYPE_", "Platform": "PLATFORM_", "SignalType": "SIGNAL_TYPE_"}[
            enum.DESCRIPTOR.name
        ]
        contract = {name.removeprefix(prefix): number for name, number in enum.items() if number}
        assert {name: number for name, number in vars(ours).items() if name.isupper()} == contract


def test_translation_tells_the_unknown_from_the_false() -> None:
    plain = translation.event_of(at(0, "click", click=event_pb2.Click()))
    assert plain.click is not None
    assert (plain.click.x, plain.click.effect_observed, plain.click.error_observed) == (None, None, False)
    watched = translation.event_of(at(0, "click", click=event_pb2.Click(x=0.0, effect_observed=False)))
    assert watched.click is not None
    assert (watched.click.x, watched.click.y, watched.click.effect_observed) == (0.0, None, False)
    assert translation.event_of(at(0, "page_view")) == Event("ada-0", Kind.PAGE_VIEW, NOW_US, "/home")
