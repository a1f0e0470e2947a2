"""The state port: `mesh.state.port.StateStore` over every adapter."""

from typing import NamedTuple

import pytest

from mesh.errors import FailedPrecondition, Unavailable
from mesh.leases.memory import MemoryLeases
from mesh.leases.port import Leases, ShardState
from mesh.leases.redis import RedisLeases
from mesh.state import erasing
from mesh.state.applied import ASIDE, Fence
from mesh.state.memory import MemoryState
from mesh.state.port import StateStore
from mesh.state.redis import RedisState
from mesh.store import redis

FENCE = Fence("events/0", 1)


class FencedStore(NamedTuple):
    """A store, and the leases its writes are held against."""

    store: StateStore
    leases: Leases

    async def taken(self, shard: str = "0") -> Fence:
        """What whoever takes a shard now shows."""
        standing = (await self.leases.standings()).get(shard, ShardState())
        lease = await self.leases.steal(shard, f"pod-{standing.epoch}", standing.epoch)
        assert lease is not None
        return Fence(f"events/{shard}", lease.epoch)


@pytest.fixture(params=["memory", "redis", "redis without MSETEX"])
async def fenced(request: pytest.FixtureRequest, valkey: redis.Client) -> FencedStore:
    if request.param == "memory":
        held = MemoryLeases(lambda: 0)
        return FencedStore(MemoryState(lambda shard: held._standing(shard.removeprefix("events/")).epoch), held)
    store = RedisState(valkey, "test", lifetime_seconds=60)
    store._has_msetex = request.param == "redis"
    return FencedStore(store, RedisLeases(valkey, "events", "dispatcher", 60))


@pytest.fixture
async def store(fenced: FencedStore) -> StateStore:
    """A store to which shard 0 is written under the first lease."""
    assert await fenced.taken() == FENCE
    return fenced.store


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


async def test_who_lost_the_shard_writes_nothing(fenced: FencedStore) -> None:
    older = await fenced.taken()
    await fenced.store.save({"a": b"1"}, older)
    newer = await fenced.taken()
    with pytest.raises(FailedPrecondition, match="POSITION_STALE"):
        await fenced.store.save({"a": b"3", "b": b"3"}, older)
    await fenced.store.save({"a": b"2"}, newer)
    with pytest.raises(FailedPrecondition, match="POSITION_STALE"):
        await fenced.store.save({"a": b"3", "b": b"3"}, older)
    assert await fenced.store.load(["a", "b"]) == [b"2", None]


@pytest.mark.parametrize("epoch", [2, 3, 2**53, 2**53 + 1, 2**64 - 1])
async def test_an_epoch_that_no_lease_has_writes_nothing_and_stops_nobody(fenced: FencedStore, epoch: int) -> None:
    held = await fenced.taken()
    with pytest.raises(FailedPrecondition, match="POSITION_STALE"):
        await fenced.store.save({"a": b"forged"}, held._replace(epoch=epoch))
    await fenced.store.save({"a": b"1"}, held)
    assert await fenced.store.load(["a"]) == [b"1"]


@pytest.mark.parametrize("shard", ["events/1", "others/0"])
async def test_a_shard_that_nobody_holds_has_no_epoch(fenced: FencedStore, shard: str) -> None:
    await fenced.taken()
    with pytest.raises(FailedPrecondition, match="POSITION_STALE"):
        await fenced.store.save({"a": b"forged"}, Fence(shard, 1))
    assert await fenced.store.load(["a"]) == [None]


async def test_a_fence_stands_around_one_shard_only(fenced: FencedStore) -> None:
    first, other = await fenced.taken("0"), await fenced.taken("1")
    first = await fenced.taken("0")
    await fenced.store.save({"a": b"1"}, first)
    await fenced.store.save({"b": b"2"}, other)
    await fenced.store.save({"a": b"3"}, first)
    assert await fenced.store.load(["a", "b"]) == [b"3", b"2"]


async def test_without_a_fence_the_last_writer_wins(store: StateStore) -> None:
    await store.save({"a": b"1"}, FENCE)
    await store.save({"a": b"2"}, None)
    await store.save({"a": b"3"}, None)
    assert await store.load(["a"]) == [b"3"]


async def test_a_batch_of_thousands_is_written_whole(store: StateStore) -> None:
    items = {f"user-{number}": b"%d" % number for number in range(4_321)}
    await store.save(items, FENCE)
    assert await store.load(list(items)) == list(items.values())


async def test_redis_values_end_after_their_lifetime(valkey: redis.Client) -> None:
    store = RedisState(valkey, "test", lifetime_seconds=60)
    await store.save({"a": b"1"}, None)
    assert store._key("a").startswith("jm:test:{")
    assert 0 < await valkey.ttl(store._key("a")) <= 60


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


async def test_what_is_deleted_is_gone(store: StateStore) -> None:
    await store.save({"a": b"1", "b": b"2", f"{ASIDE}a": b"damaged"}, FENCE)
    assert await erasing.count(store, ["a", "x"]) == 2
    await erasing.erase(store, ["a", "x"])
    assert await store.load(["a", f"{ASIDE}a", "b"]) == [None, None, b"2"]
    assert await erasing.count(store, ["a", "x"]) == 0
    await store.delete([])
