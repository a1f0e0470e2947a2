"""The state port: `mesh.state.StateStore` over every adapter."""

import pytest

from mesh import redis
from mesh.errors import Unavailable
from mesh.state import StateStore
from mesh.states.memory import MemoryState
from mesh.states.redis import RedisState


@pytest.fixture(params=["memory", "redis", "redis without MSETEX"])
async def store(request: pytest.FixtureRequest, valkey: redis.Client) -> StateStore:
    if request.param == "memory":
        return MemoryState()
    store = RedisState(valkey, "test", lifetime_seconds=60)
    store._has_msetex = request.param == "redis"
    return store


async def test_values_come_back_in_the_order_of_the_keys(store: StateStore) -> None:
    await store.save({"b": b"2", "a": b"\x00\xff", "ü:{}": b""})
    assert await store.load(["a", "x", "ü:{}", "b", "a"]) == [b"\x00\xff", None, b"", b"2", b"\x00\xff"]


async def test_a_later_value_replaces_an_earlier_one(store: StateStore) -> None:
    await store.save({"a": b"1"})
    await store.save({"a": b"2"})
    assert await store.load(["a"]) == [b"2"]


async def test_nothing_asked_is_nothing_answered(store: StateStore) -> None:
    await store.save({})
    assert await store.load([]) == []
    await store.ping()


async def test_redis_values_end_after_their_lifetime(valkey: redis.Client) -> None:
    await RedisState(valkey, "test", lifetime_seconds=60).save({"a": b"1"})
    (key,) = await valkey.keys("*")
    assert isinstance(key, bytes)
    assert key.startswith(b"jm:test:{")
    assert 0 < await valkey.ttl(key) <= 60


async def test_an_unreachable_server_is_unavailable() -> None:
    client = redis.connect("redis://127.0.0.1:1/0")
    with pytest.raises(Unavailable):
        await RedisState(client, "test", lifetime_seconds=60).load(["a"])
    await client.aclose()
