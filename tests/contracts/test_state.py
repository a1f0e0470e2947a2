"""The state port: `mesh.state.StateStore` over every adapter."""

import pytest

from mesh import redis
from mesh.applied import Fence
from mesh.errors import FailedPrecondition, Unavailable
from mesh.state import StateStore
from mesh.states.memory import MemoryState
from mesh.states.redis import RedisState

FENCE = Fence("events/0", 1)


@pytest.fixture(params=["memory", "redis", "redis without MSETEX"])
async def store(request: pytest.FixtureRequest, valkey: redis.Client) -> StateStore:
    if request.param == "memory":
        return MemoryState()
    store = RedisState(valkey, "test", lifetime_seconds=60)
    store._has_msetex = request.param == "redis"
    return store


async def test_values_come_back_in_the_order_of_the_keys(store: StateStore) -> None:
    await store.save({"b": b"2", "a": b"\x00\xff", "ü:{}": b""}, FENCE)
    assert await store.load(["a", "x", "ü:{}", "b", "a"]) == [b"\x00\xff", None, b"", b"2", b"\x00\xff"]


async def test_a_later_value_replaces_an_earlier_one(store: StateStore) -> None:
    await store.save({"a": b"1"}, FENCE)
    await store.save({"a": b"2"}, FENCE)
    assert await store.load(["a"]) == [b"2"]


async def test_nothing_asked_is_nothing_answered(store: StateStore) -> None:
    await store.save({}, FENCE)
    assert await store.load([]) == []
    await store.ping()


async def test_who_lost_the_shard_writes_nothing(store: StateStore) -> None:
    await store.save({"a": b"1"}, Fence("events/0", 1))
    await store.save({"a": b"2"}, Fence("events/0", 2))
    with pytest.raises(FailedPrecondition, match="POSITION_STALE"):
        await store.save({"a": b"3", "b": b"3"}, Fence("events/0", 1))
    assert await store.load(["a", "b"]) == [b"2", None]


async def test_a_fence_stands_around_one_shard_only(store: StateStore) -> None:
    await store.save({"a": b"1"}, Fence("events/0", 7))
    await store.save({"b": b"2"}, Fence("events/1", 1))
    await store.save({"a": b"3"}, Fence("events/0", 7))
    assert await store.load(["a", "b"]) == [b"3", b"2"]


async def test_without_a_fence_the_last_writer_wins(store: StateStore) -> None:
    await store.save({"a": b"1"}, Fence("events/0", 7))
    await store.save({"a": b"2"}, None)
    await store.save({"a": b"3"}, None)
    assert await store.load(["a"]) == [b"3"]


async def test_a_batch_of_thousands_is_written_whole(store: StateStore) -> None:
    items = {f"user-{number}": b"%d" % number for number in range(4_321)}
    await store.save(items, FENCE)
    assert await store.load(list(items)) == list(items.values())


async def test_redis_values_end_after_their_lifetime(valkey: redis.Client) -> None:
    await RedisState(valkey, "test", lifetime_seconds=60).save({"a": b"1"}, FENCE)
    fence, key = sorted(name.encode() if isinstance(name, str) else name for name in await valkey.keys("*"))
    assert fence == b"jm:test:fence:events/0"
    assert key.startswith(b"jm:test:{")
    assert 0 < await valkey.ttl(key) <= 60


async def test_an_unreachable_server_is_unavailable() -> None:
    client = redis.connect("redis://127.0.0.1:1/0")
    with pytest.raises(Unavailable):
        await RedisState(client, "test", lifetime_seconds=60).load(["a"])
    await client.aclose()


async def test_a_lifetime_can_be_renewed_without_writing(store: StateStore, valkey: redis.Client) -> None:
    await store.save({"a": b"1"}, FENCE)
    if isinstance(store, RedisState):
        await valkey.expire(store._key("a"), 5)
    await store.renew(["a", "not there"])
    await store.renew([])
    assert await store.load(["a", "not there"]) == [b"1", None]
    if isinstance(store, RedisState):
        assert await valkey.ttl(store._key("a")) > 5
