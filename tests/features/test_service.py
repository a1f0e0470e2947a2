"""The service through a real stub: answers, effects once, the last events, errors, and the real store."""

import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from journeymesh.common.v1 import event_pb2, position_pb2
from journeymesh.features.v1 import features_pb2, features_pb2_grpc

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from mesh.observability.metrics import Metrics
from mesh.state.memory import MemoryState
from mesh.state.redis import RedisState
from mesh.store import redis
from records import table
from services.features.domain import money
from services.features.domain.event import Click, Event, Kind, Platform
from services.features.domain.journey import apply
from services.features.domain.signal import SignalType
from services.features.domain.state import State
from services.features.domain.vector import DEFINITIONS, FEATURE_NAMES, SCHEMA_VERSION, vector
from services.features.servicer import FeaturesServicer
from services.features.translation.rows import events_of
from services.features.usecases import Features
from tests.builders import NOW_US, SECOND_US, event
from tests.features.stored import decode, encode
from tests.serving import serving

# The class stands in the generated annotations only.
Stub: TypeAlias = "features_pb2_grpc.FeaturesServiceAsyncStub"


@pytest.fixture(params=["memory", "redis"])
async def stub(request: pytest.FixtureRequest, valkey: redis.Client) -> AsyncIterator[Stub]:
    store = MemoryState() if request.param == "memory" else RedisState(valkey, "features", 3600)
    servicer = FeaturesServicer(Features(store), Metrics())
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
    given: dict[str, Any] = {
        "event_id": f"{user_id}-{seconds}",
        "event_time_us": NOW_US + seconds * SECOND_US,
        **members,
    }
    return event(user_id=user_id, kind=kind, **given)


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
    for row, applied_event in enumerate(events_of(table.of_events(calculator()))):
        apply(state, applied_event)
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
        at(86_400, "purchase", platform=event_pb2.PLATFORM_MOBILE, purchase=bought, page="/paid", is_bot=True),
    ]
    await stub.ApplyEvents(batch(days, 1))
    profile = await stub.GetProfile(features_pb2.GetProfileRequest(user_id="ada"))
    assert profile.first_seen_time.ToMicroseconds() == NOW_US
    assert profile.last_seen_time.ToMicroseconds() == NOW_US + 86_400 * SECOND_US
    assert (profile.event_count, profile.session_count) == (2, 2)
    assert (profile.purchase_count, profile.purchase_amount) == (1, 12.5)
    assert [(each.currency, each.amount) for each in profile.purchase_amounts] == [("EUR", 12.5)]
    assert list(profile.platforms) == ["web", "mobile"]
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


async def test_an_unknown_user_is_not_found(stub: Stub) -> None:
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
    servicer = FeaturesServicer(Features(RedisState(client, "features", 60)), Metrics())
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


def test_translation_distinguishes_unknown_from_false() -> None:
    plain, watched, viewed, stepped = events_of(
        table.of_events(
            [
                at(0, "click", click=event_pb2.Click()),
                at(0, "click", click=event_pb2.Click(x=0.0, effect_observed=False)),
                at(0, "page_view"),
                at(0, "click", click=event_pb2.Click(value_changed=False, role="spinbutton")),
            ]
        )
    )
    assert plain.click == Click()
    assert watched.click == Click(0.0, None, effect_observed=False)
    assert viewed == Event("ada-0", Kind.PAGE_VIEW, NOW_US, "/home", received_us=NOW_US)
    assert stepped.click == Click(value_changed=False, role="spinbutton")


# Added by later versions.


def bought(seconds: int, amount: float, currency: str, user_id: str = "ada", **members: object) -> event_pb2.Event:
    purchase = event_pb2.Purchase(amount=amount, currency=currency, is_refund=amount < 0)
    return at(seconds, "purchase", user_id, purchase=purchase, page="/thanks", **members)


async def test_signals_that_a_success_ended_are_answered_with_its_row(stub: Stub) -> None:
    failed = [at(second, "task_failure", page="/pay", target="pay") for second in (0, 1, 2)]
    succeeded = [at(3, "page_view", "bob"), at(4, "task_success", page="/pay", target="pay"), at(5, "page_view")]
    answer = await stub.ApplyEvents(batch([*failed, *succeeded], 1))
    found = [(each.signal.type, each.signal.signal_time_us, each.signal.target) for each in answer.signals]
    assert [(each.row, each.type, each.signal_time_us, each.target) for each in answer.settled] == [
        (4, *signal_row) for signal_row in found
    ]
    later = await stub.ApplyEvents(batch([at(6, "task_success", page="/pay", target="pay")], 2))
    assert not later.settled


async def test_a_repeated_batch_returns_the_same_settled_signals(stub: Stub) -> None:
    await stub.ApplyEvents(batch([at(second, "task_failure", page="/pay") for second in (0, 1)], 1))
    batches = [batch([at(2, "task_success", page="/pay")], 2), batch([at(2, "task_success", page="/pay")], 2, 3)]
    answers = [await stub.ApplyEvents(each) for each in (*batches, *batches)]
    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert len(answers[0].settled) == 1


async def test_a_rage_is_answered_with_the_start_of_its_run(stub: Stub) -> None:
    clicks = [at(0, "click", target="pay", click=event_pb2.Click(effect_observed=False)) for _ in range(5)]
    for number, each in enumerate(clicks):
        each.event_time_us += 200_000 * number
    answer = await stub.ApplyEvents(batch(clicks, 1))
    rages = [each.signal for each in answer.signals if each.signal.type == features_pb2.SIGNAL_TYPE_RAGE_CLICKS]
    assert [each.run_start_time_us for each in rages] == [NOW_US] * 3
    success = await stub.ApplyEvents(batch([at(3, "task_success", target="pay", page="/home")], 2))
    kinds = [(each.type, each.signal_time_us) for each in success.settled]
    assert kinds == [(features_pb2.SIGNAL_TYPE_RAGE_CLICKS, clicks[-1].event_time_us)]


async def test_every_row_has_the_zone_last_reported(stub: Stub) -> None:
    rows = [
        at(0, "page_view"),
        at(1, "page_view", "bob", time_zone="Asia/Tokyo"),
        at(2, "error", time_zone="Europe/Berlin"),
        at(3, "error", "bob"),
        at(4, "error"),
        at(-60, "error", "bob", time_zone="Europe/Berlin"),
    ]
    answer = await stub.ApplyEvents(batch(rows, 1))
    names = ["", *answer.time_zone_names]
    assert [names[zone] for zone in answer.time_zones] == [
        "",
        "Asia/Tokyo",
        "Europe/Berlin",
        "Asia/Tokyo",
        "Europe/Berlin",
        "Asia/Tokyo",
    ]
    assert sorted(answer.time_zone_names) == ["Asia/Tokyo", "Europe/Berlin"]
    later = await stub.ApplyEvents(batch([at(9, "page_view", "bob")], 2))
    assert (list(later.time_zone_names), list(later.time_zones)) == (["Asia/Tokyo"], [1])


async def test_purchases_move_with_a_link_once(stub: Stub) -> None:
    anonymous = [bought(0, 30.0, "EUR", "anon"), bought(1, 5.0, "USD", "anon")]
    link = at(9, "identify", "anon", linked_user_id="ada", anonymous_id="anon")
    await stub.ApplyEvents(batch(anonymous, 1))
    first, again = [await stub.ApplyEvents(batch([link], 2, brings_arrivals=True)) for _ in range(2)]
    assert first == again
    (moved,) = first.carried
    assert (moved.row, moved.carried.purchase_count) == (0, 2)
    arrival = at(9, "identify", anonymous_id="anon", copied_event_id=link.event_id)
    arrival.carried.CopyFrom(moved.carried)
    arrival.carried.standing = b"x" * 5000
    copies = [
        bought(1, 5.0, "USD", event_id="jm:copy:1", copied_event_id="anon-1"),
        bought(0, 30.0, "EUR", event_id="jm:copy:0", copied_event_id="anon-0"),
    ]
    for _ in range(2):
        await stub.ApplyEvents(batch([bought(8, 10.0, "EUR"), arrival, *copies], 3))
    profile = await stub.GetProfile(features_pb2.GetProfileRequest(user_id="ada"))
    assert [(each.currency, each.amount) for each in profile.purchase_amounts] == [("EUR", 40.0), ("USD", 5.0)]
    assert (profile.purchase_count, profile.purchase_amount) == (3, 0.0)
    left = await stub.GetProfile(features_pb2.GetProfileRequest(user_id="anon"))
    assert (left.purchase_count, len(left.purchase_amounts)) == (0, 0)
    recent = await stub.ListRecentEvents(features_pb2.ListRecentEventsRequest(user_id="ada"))
    assert not any(each.HasField("carried") for each in recent.events), "or a copy of it would carry it again"


async def test_an_ingest_that_brings_no_arrivals_loses_no_purchase(stub: Stub) -> None:
    """It drops what is carried away, and copies purchases under ids that do not begin as those of today."""
    link = at(9, "identify", "anon", linked_user_id="ada", anonymous_id="anon")
    old_copy = bought(0, 30.0, "EUR", event_id="anon-0~4f2a", copied_event_id="anon-0")
    await stub.ApplyEvents(batch([bought(0, 30.0, "EUR", "anon")], 1))
    answer = await stub.ApplyEvents(batch([link], 2))
    assert not answer.carried
    await stub.ApplyEvents(batch([old_copy], 3, brings_arrivals=True))
    known = await stub.GetProfile(features_pb2.GetProfileRequest(user_id="ada"))
    assert (known.purchase_count, known.purchase_amount) == (1, 30.0)


async def test_a_user_of_system_events_only_was_never_seen(stub: Stub) -> None:
    await stub.ApplyEvents(batch([at(0, "feature_interaction", is_system=True)], 1))
    profile = await stub.GetProfile(features_pb2.GetProfileRequest(user_id="ada"))
    assert (profile.event_count, profile.session_count) == (1, 0)
    assert not profile.HasField("first_seen_time")
    features = await stub.GetFeatures(features_pb2.GetFeaturesRequest(user_id="ada"))
    assert not features.HasField("as_of_time")
    (event_read,) = (await stub.ListRecentEvents(features_pb2.ListRecentEventsRequest(user_id="ada"))).events
    assert (event_read.session_start_us, event_read.session_id) == (0, "")


# The face.

WRONG: dict[str, event_pb2.Event] = {
    "a time before 1970": at(0, "click", event_time_us=-1),
    "the last time there is": at(0, "click", event_time_us=2**63 - 1),
    "a kind that is none": event_pb2.Event(event_id="e", user_id="ada", event_time_us=NOW_US),
    "a kind below all": event_pb2.Event(event_id="e", user_id="ada", event_time_us=NOW_US, event_type=-1),  # type: ignore[arg-type]
    "no user": at(0, "click", user_id=""),
    "a user with a long id": at(0, "click", user_id="u" * 129),
    "a long event id": event("e" * 257, "ada", "click"),
    "a long zone": at(0, "click", time_zone="Europe/" + "x" * 200),
    "a place that is no number": at(0, "click", click=event_pb2.Click(x=float("nan"))),
    "an endless place": at(0, "click", click=event_pb2.Click(y=float("inf"))),
    "an endless amount": at(0, "purchase", purchase=event_pb2.Purchase(amount=float("-inf"))),
    "an amount that is no number": at(0, "purchase", purchase=event_pb2.Purchase(amount=float("nan"))),
    "a currency of many letters": at(0, "purchase", purchase=event_pb2.Purchase(amount=1, currency="EUR" * 9)),
    "an endless sum that moves": at(
        0,
        "identify",
        carried=event_pb2.Carried(purchase_amounts=[event_pb2.Money(currency="EUR", amount=float("inf"))]),
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_an_impossible_event_is_refused_and_changes_nothing(stub: Stub, wrong: event_pb2.Event) -> None:
    await stub.ApplyEvents(batch(calculator(), 1))
    read = features_pb2.GetProfileRequest(user_id="ada")
    before = await stub.GetProfile(read)
    with pytest.raises(InvalidArgument) as refused:
        await stub.ApplyEvents(batch([at(40, "error"), wrong], 2))
    assert refused.value.reason in {"VALUE_OUT_OF_RANGE", "INVALID_IDENTIFIER"}
    assert await stub.GetProfile(read) == before


@pytest.mark.parametrize("kind", [20, 99, 2**31 - 1])
async def test_an_event_kind_of_a_newer_version_waits_for_the_upgrade(stub: Stub, kind: int) -> None:
    with pytest.raises(Unavailable) as refused:
        wrong = at(0, "click")
        wrong.event_type = kind  # type: ignore[assignment]
        await stub.ApplyEvents(batch([wrong], 1))
    assert refused.value.reason == "VERSION_MISMATCH"
    with pytest.raises(NotFound):
        await stub.GetProfile(features_pb2.GetProfileRequest(user_id="ada"))


@pytest.mark.parametrize("platform", [4, 31, 32, 99, -1, 2**31 - 1])
async def test_a_platform_of_a_newer_version_costs_no_event(stub: Stub, platform: int) -> None:
    await stub.ApplyEvents(
        batch([at(0, "click", platform=event_pb2.PLATFORM_WEB), at(1, "click", platform=platform)], 1)
    )
    profile = await stub.GetProfile(features_pb2.GetProfileRequest(user_id="ada"))
    assert (profile.event_count, list(profile.platforms)) == (2, ["web"])


async def test_an_engagement_of_no_row_is_refused(stub: Stub) -> None:
    for update in (
        features_pb2.EngagementUpdate(row=3, score=1),
        features_pb2.EngagementUpdate(row=0, score=float("nan")),
    ):
        with pytest.raises(InvalidArgument):
            await stub.ApplyEvents(batch(calculator(), 1, engagements=[update]))


@pytest.mark.parametrize("time_us", [0, 1, NOW_US, 2**53])
async def test_accepted_events_can_be_read(stub: Stub, time_us: int) -> None:
    extreme = at(
        0, "page_view", event_time_us=time_us, received_time_us=2**63 - 1, page="/" + "p" * 5000, target="t" * 5000
    )
    answer = await stub.ApplyEvents(batch([extreme, at(0, "error"), extreme], 1))
    assert all(math.isfinite(value) for value in answer.values)
    await stub.GetFeatures(features_pb2.GetFeaturesRequest(user_id="ada"))
    profile = await stub.GetProfile(features_pb2.GetProfileRequest(user_id="ada"))
    assert len(profile.last_page) <= 200
    recent = await stub.ListRecentEvents(features_pb2.ListRecentEventsRequest(user_id="ada"))
    assert len(recent.events) == 3


# States of earlier versions.


def test_a_state_of_the_first_version_is_read_and_goes_on() -> None:
    state = decode((Path(__file__).parent / "golden" / "state-struggle-1.msgpack").read_bytes())
    assert money.amounts(state) == {"": 40.0}
    assert (state.form, state.form_is_open, len(state.chain), state.event_count) == ("loan", True, 2, 9)
    third = NOW_US + 50_600_000
    (rage,) = apply(state, Event("e", Kind.CLICK, third, "/apply", "send", click=Click(effect_observed=False))).signals
    assert (rage.type, rage.run_start_us) == (SignalType.RAGE_CLICKS, NOW_US + 50_000_000)
    (errors,) = apply(state, Event("f", Kind.ERROR, third, "/apply", "loan")).signals
    assert errors.reason == "3 errors in the form loan"
    apply(state, Event("g", Kind.PURCHASE, third + 1, "/apply", amount=2.5, currency="EUR"))
    assert money.amounts(state) == {"": 40.0, "EUR": 2.5}
    assert decode(encode(state)) == state


async def test_only_the_assessed_rows_have_a_vector_and_a_zone(stub: Stub) -> None:
    events = [*calculator(), at(31, "click", "bob", time_zone="Asia/Tokyo"), at(32, "click")]
    every = await stub.ApplyEvents(batch(events, 1))
    some = await stub.ApplyEvents(batch(events, 1, assessed_rows=[3, 4]))
    assert list(some.values) == list(every.values[39:])
    assert [some.time_zone_names[zone - 1] if zone else "" for zone in some.time_zones] == ["Asia/Tokyo", ""]
    assert (some.signals, some.settled) == (every.signals, every.settled)


@pytest.mark.parametrize("rows", [[3], [1, 0], [1, 1]])
async def test_invalid_or_unordered_assessed_rows_are_refused(stub: Stub, rows: list[int]) -> None:
    with pytest.raises(InvalidArgument):
        await stub.ApplyEvents(batch(calculator(), 1, assessed_rows=rows))
