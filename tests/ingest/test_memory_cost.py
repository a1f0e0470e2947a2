"""What it costs to remember: stated in the adapters and in docs/time.md, measured on a real server."""

import uuid
from collections.abc import Awaitable, Callable

import pytest

from mesh.store import redis
from services.ingest.accept.adapters.redis import RedisDuplicates, RedisIdentities, RedisSkews
from services.ingest.accept.domain import holders
from services.ingest.accept.domain.holders import How, Span
from services.ingest.accept.domain.skew import Skew, observe
from services.ingest.events.adapters.redis_applied import RedisApplied, _Noted
from services.ingest.events.adapters.redis_seen import RedisSeenEvents
from services.ingest.events.domain.event import EventPosition, Seen
from services.ingest.events.ports import AppendedEvents, Claim
from tests.builders import MINUTE_US, NOW_US, SECOND_US

EVENTS = 4_000
Remember = Callable[[redis.Client, int, int], Awaitable[None]]


def name(number: int) -> str:
    return str(uuid.UUID(int=number % (1 << 32) << 64))


async def remember_ids(client: redis.Client, first: int, count: int) -> None:
    place = EventPosition("3", (1_767_348_000_000 + first) << 32, first % 1000)
    seen = Seen(place, NOW_US, bytes(16))
    await RedisSeenEvents(client).claim([Claim(name(first + number), seen) for number in range(count)])


async def remember_records(client: redis.Client, first: int, count: int) -> None:
    """Records of two events, whose ids are not counted here."""
    appended = [
        AppendedEvents(
            "shardId-000000000003", (1 << 185) + number, [name(number), name(-number)], (0, 1), [NOW_US] * 2, [b""] * 2
        )
        for number in range(first + 1, first + count + 1)
    ]
    await RedisSeenEvents(client).remember(appended)
    for key in await client.keys("jm:seen:*"):
        await client.delete(key)


async def count_duplicates(client: redis.Client, first: int, count: int) -> None:
    await RedisDuplicates(client).add([name(first + number) for number in range(count)], NOW_US)


async def link(client: redis.Client, first: int, count: int) -> None:
    spans = [[Span(NOW_US, How.LINKED, name(number))] for number in range(count)]
    await RedisIdentities(client).link(
        {name(first + number): holders.written(each, "") for number, each in enumerate(spans)}
    )


def clock() -> Skew:
    """A clock with as many pieces as are kept."""
    skew = observe(None, NOW_US + MINUTE_US, NOW_US)
    for number in range(1, 5):
        skew = observe(skew, NOW_US + (61 - number) * SECOND_US, NOW_US + number)
        skew = Skew(skew.day, skew.smallest_us, skew.smallest_us, skew.pieces, NOW_US + number)
    assert len(skew.pieces) == 4
    return skew


async def keep_clocks(client: redis.Client, first: int, count: int) -> None:
    await RedisSkews(client).keep({f"d:{name(number)}\n{name(first + number)}": clock() for number in range(count)})


async def note_applied(client: redis.Client, first: int, count: int) -> None:
    applied = RedisApplied(client)
    for number in range(count):
        await applied._add({"shardId-000000000003": _Noted((1 << 185) + first + number, NOW_US)})


@pytest.mark.parametrize(
    ("remember", "stated_bytes"),
    [
        (remember_ids, 150),
        (remember_records, 200),
        (count_duplicates, 100),
        (link, 200),
        (keep_clocks, 300),
        (note_applied, 150),
    ],
)
async def test_it_costs_no_more_than_is_stated(server: redis.Client, remember: Remember, stated_bytes: int) -> None:
    for first in range(0, EVENTS, 1000):
        await remember(server, first, 1000)
    used = [await server.memory_usage(key, samples=0) or 0 for key in await server.keys("*")]
    assert stated_bytes / 2 < sum(used) / EVENTS < stated_bytes
