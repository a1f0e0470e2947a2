"""Ingest's ports: one suite over memory and Redis."""

import asyncio

import pytest

from mesh import redis
from mesh.errors import InvalidArgument
from services.ingest.adapters.memory import MemoryFailedEvents, MemorySeenEvents
from services.ingest.adapters.redis import RedisFailedEvents, RedisSeenEvents
from services.ingest.domain.event import FailedEvent, Place, Seen
from services.ingest.ports import Claim, FailedEvents, SeenEvents
from tests.builders import NOW_US

DAY_US = 24 * 3600 * 1_000_000


@pytest.fixture(params=["memory", "redis", "redis without HSETEX"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def seen_events(kind: str, valkey: redis.Client) -> SeenEvents:
    if kind == "memory":
        return MemorySeenEvents()
    seen_events = RedisSeenEvents(valkey)
    seen_events._has_hsetex = kind == "redis"
    return seen_events


@pytest.fixture
async def failed_events(kind: str, valkey: redis.Client) -> FailedEvents:
    return MemoryFailedEvents() if kind == "memory" else RedisFailedEvents(valkey)


def seen(sequence: int, received_time_us: int = NOW_US, event_index: int = 7) -> Seen:
    return Seen(Place("3", sequence, event_index), received_time_us, bytes(range(16)))


async def test_the_first_claim_wins_for_good(seen_events: SeenEvents) -> None:
    first, second = seen(2**180), seen(2**181)
    assert await seen_events.claim([Claim("a", first), Claim("b", second)]) == [first, second]
    assert await seen_events.claim([Claim("a", second), Claim("b", second), Claim("c", first)]) == [
        first,
        second,
        first,
    ]
    assert await seen_events.find(["c", "x", "a"], NOW_US) == [first, None, first]
    assert await seen_events.find([], NOW_US) == []
    assert await seen_events.claim([]) == []


@pytest.mark.parametrize("apart_us", [-DAY_US, -1, 0, 1, DAY_US])
async def test_copies_around_midnight_meet(seen_events: SeenEvents, apart_us: int) -> None:
    midnight_us = NOW_US // DAY_US * DAY_US
    first, copy = seen(1, midnight_us), seen(2, midnight_us + apart_us)
    await seen_events.claim([Claim("a", first)])
    assert await seen_events.claim([Claim("a", copy)]) == [first]


async def test_what_is_noted_is_found_and_never_replaces_a_claim(seen_events: SeenEvents) -> None:
    await seen_events.claim([Claim("a", seen(1))])
    await seen_events.note([Claim("a", seen(2)), Claim("b", seen(3)), Claim("c", seen(4))])
    await seen_events.note([Claim("b", seen(5))])
    await seen_events.note([])
    assert await seen_events.find(["a", "b", "c"], NOW_US) == [seen(1), seen(3), seen(4)]
    assert await seen_events.claim([Claim("b", seen(6))]) == [seen(3)]


async def test_claims_at_the_same_time_have_one_winner(seen_events: SeenEvents) -> None:
    claims = [[Claim(f"e-{number}", seen(sequence)) for number in range(50)] for sequence in range(8)]
    owners = await asyncio.gather(*map(seen_events.claim, claims))
    assert all(answer == owners[0] for answer in owners)


async def test_an_id_is_known_a_day_later(seen_events: SeenEvents) -> None:
    await seen_events.claim([Claim("a", seen(1))])
    assert await seen_events.find(["a"], NOW_US + DAY_US) == [seen(1)]


def failed(number: int) -> FailedEvent:
    return FailedEvent(f"f-{number}", "MISSING_FIELD", "No user.", NOW_US + number, "e", "u", b"\xff{", b"t", "gateway")


async def test_failed_events_are_listed_newest_first_page_by_page(failed_events: FailedEvents) -> None:
    await failed_events.add([failed(number) for number in range(5)])
    first, token = await failed_events.list(2, "")
    second, token = await failed_events.list(2, token)
    third, end = await failed_events.list(2, token)
    assert [*first, *second, *third] == [failed(number) for number in (4, 3, 2, 1, 0)]
    assert end == ""
    with pytest.raises(InvalidArgument):
        await failed_events.list(2, "x")


async def test_a_failed_event_is_found_replaced_and_removed(failed_events: FailedEvents) -> None:
    await failed_events.add([failed(1)])
    await failed_events.add([failed(1)._replace(detail="Again.")])
    assert await failed_events.find(["f-1", "f-2"]) == [failed(1)._replace(detail="Again."), None]
    await failed_events.remove("f-1")
    await failed_events.remove("f-1")
    assert await failed_events.list(10, "") == ([], "")


async def test_of_copies_noted_around_midnight_the_older_is_found(valkey: redis.Client) -> None:
    midnight_us = NOW_US // DAY_US * DAY_US
    older, newer = seen(1, midnight_us - 1), seen(2, midnight_us)
    seen_events = RedisSeenEvents(valkey)
    assert await seen_events.find(["a"], midnight_us) == [None]
    await seen_events.note([Claim("a", older)])
    await seen_events.note([Claim("a", newer)])
    assert await seen_events.find(["a"], midnight_us) == [older]
