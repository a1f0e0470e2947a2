"""A store that was restored from a backup under readers that run: what it holds of leases is of another time."""

import asyncio
import contextlib

import pytest

from mesh.leases.port import Lease, ShardState
from mesh.leases.redis import RedisLeases
from mesh.leases.sharing import Sharing
from mesh.process.lifecycle import in_background
from mesh.state import applied
from mesh.state.applied import Batch
from mesh.state.redis import RedisState
from mesh.store import redis
from mesh.stream.port import BEGINNING, END, Entry
from mesh.stream.redis import RedisStream

STREAM = "redis/events"


class Reader:
    """Counts the records of one key, each once, as a service does on behalf of the dispatcher."""

    def __init__(self, client: redis.Client) -> None:
        self.stream = RedisStream(client, "events", shard_count=1, max_waiting_bytes=1 << 30)
        self.leases = RedisLeases(client, STREAM, "dispatcher", 5)
        self.state = RedisState(client, "test", 3600)
        self.given: list[int] = []

    def reading(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Reads within the block."""
        return in_background(Sharing(self.stream, self.leases, "pod-1", self._follow, lease_seconds=5).run())

    async def _follow(self, lease: Lease) -> None:
        self.given.append(lease.epoch)
        checkpoint = await self.leases.checkpoint(lease.shard)
        while checkpoint != END:
            records, _ = await self.stream.read(lease.shard, checkpoint, 10, wait_seconds=0.02)
            if records:
                sequences = tuple(record.sequence for record in records)
                await self._apply(Batch(STREAM, lease.shard, sequences, lease.epoch))
                checkpoint = sequences[-1]
                await self.leases.save(lease, checkpoint, 0.0)

    async def _apply(self, batch: Batch) -> None:
        (blob,) = await self.state.load(["ada"])
        resumed = applied.resume(blob, batch)
        after = b"%d" % (int(resumed.state or b"0") + len(batch.sequences))
        await self.state.save({"ada": applied.seal(resumed, after, batch)}, batch.fence)

    async def send(self, count: int) -> None:
        await self.stream.append([Entry("0", b"")] * count)

    async def until_counted(self, count: int, patience_seconds: float = 5) -> None:
        async with asyncio.timeout(patience_seconds):
            while True:
                (blob,) = await self.state.load(["ada"])
                if applied.current(blob) == b"%d" % count:
                    return
                await asyncio.sleep(0.005)

    async def until_given(self, count: int) -> None:
        """On a cluster, fences know of no other epoch: a lost lease is found with the checkpoint, which comes last."""
        async with asyncio.timeout(5):
            while len(self.given) < count:  # noqa: ASYNC110 - what another does
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("epoch", [1, 4, 6, 1_000_000, 2**40])
async def test_readers_go_on_under_leases_of_a_lower_or_higher_epoch(valkey: redis.Client, epoch: int) -> None:
    reader = Reader(valkey)
    await valkey.hset(reader.leases._key, mapping={"epoch:0": 4, "owner:0": "", "ends:0": 0})
    async with reader.reading():
        await reader.send(10)
        await reader.until_counted(10)
        assert reader.given == [5]
        await valkey.hset(reader.leases._key, "epoch:0", str(epoch))
        await reader.send(10)
        await reader.until_counted(20)
        await reader.until_given(2)
        assert len(reader.given) == 2
        standing = (await reader.leases.standings())["0"]
        assert (standing.owner, standing.trouble) == ("pod-1", "")


async def test_readers_go_on_where_the_leases_are_gone(valkey: redis.Client) -> None:
    """Without its checkpoint the shard is read from its beginning, and what is applied lies before what was."""
    reader = Reader(valkey)
    async with reader.reading():
        await reader.send(10)
        await reader.until_counted(10)
        await valkey.delete(reader.leases._key)
        await valkey.delete(reader.state._key("ada"))
        await reader.send(10)
        await reader.until_counted(20)
        await reader.until_given(2)
        assert len(reader.given) == 2


@pytest.mark.parametrize("epoch", ["abc", "", "-5", "nan", "1e3", "0x10", str(2**53), str(2**63), "9" * 40, b"\xff"])
async def test_an_epoch_that_cannot_be_costs_one_round_and_no_later_one_is_lower(
    valkey: redis.Client, epoch: str | bytes
) -> None:
    reader = Reader(valkey)
    async with reader.reading():
        await reader.send(10)
        await reader.until_counted(10)
        await valkey.hset(reader.leases._key, "epoch:0", epoch)
        assert "0" in await reader.leases.standings()
        await reader.send(10)
        await reader.until_counted(20)
        await reader.until_given(2)
        assert reader.given == sorted(set(reader.given))
        standing = (await reader.leases.standings())["0"]
        assert (standing.owner, standing.trouble) == ("pod-1", "")
        assert standing.epoch == reader.given[-1] > 10**12


async def test_epochs_never_go_back_where_the_leases_are_gone(valkey: redis.Client) -> None:
    reader = Reader(valkey)
    async with reader.reading():
        await reader.send(1)
        await reader.until_counted(1)
        await valkey.delete(reader.leases._key)
        async with asyncio.timeout(10):
            while len(reader.given) < 2:  # noqa: ASYNC110 - what another does
                await asyncio.sleep(0.01)
    assert reader.given == sorted(set(reader.given))


MEMBERS = [("epoch", "abc"), ("epoch", str(2**63)), ("checkpoint", "abc"), ("checkpoint", "-2"), ("since", "x"),
           ("ends", "nan"), ("lag", "inf"), ("checkpoint", "9" * 90), ("lag", b"\xff")]  # fmt: skip


@pytest.mark.parametrize(("member", "value"), MEMBERS)
async def test_a_damaged_member_of_a_lease_is_that_shard_s_trouble_alone(
    valkey: redis.Client, member: str, value: str | bytes
) -> None:
    leases = RedisLeases(valkey, STREAM, "dispatcher", 5)
    for shard in ("0", "1"):
        lease = await leases.acquire(shard, "pod-1")
        assert lease is not None
        await leases.save(lease, 7, 0.0)
    await valkey.hset(leases._key, f"{member}:0", value)
    standings = await leases.standings()
    assert standings["0"].trouble == f"The store holds a lease with a damaged {member}."
    assert (standings["1"].trouble, standings["1"].checkpoint) == ("", 7)
    assert await leases.checkpoint("0") in {BEGINNING, 7}
    taken = await leases.acquire("0", "pod-1")
    assert taken is not None
    await leases.save(taken, 8, 0.0)
    assert (await leases.standings())["0"] == ShardState("pod-1", taken.epoch, 8)


@pytest.mark.parametrize("checkpoint", [2**88, 2**100, 2**255])
async def test_a_checkpoint_that_was_never_given_is_the_beginning(valkey: redis.Client, checkpoint: int) -> None:
    stream = RedisStream(valkey, "events", shard_count=1, max_waiting_bytes=1 << 30)
    await stream.append([Entry("0", b"a")])
    assert [each.payload for each in (await stream.read("0", checkpoint, 10, 0.01)).records] == [b"a"]
    assert await stream.waiting_seconds("0", checkpoint) is not None


@pytest.mark.parametrize("member", ["owner", "epoch", "checkpoint", "since", "ends", "lag", "trouble"])
async def test_a_member_of_a_lease_that_is_gone_stops_nobody(valkey: redis.Client, member: str) -> None:
    leases = RedisLeases(valkey, STREAM, "dispatcher", 5)
    lease = await leases.acquire("0", "pod-1")
    assert lease is not None
    await leases.save(lease, 7, 0.0)
    await valkey.hdel(leases._key, f"{member}:0")
    assert "0" in await leases.standings()
    # Where no epoch is known the next one is the time in milliseconds: one that is lost was given before this one.
    while await _now_ms(valkey, leases) <= lease.epoch:
        pass
    taken = await leases.acquire("0", "pod-1")
    assert taken is not None
    assert taken.epoch > lease.epoch


async def _now_ms(client: redis.Client, leases: RedisLeases) -> int:
    time = redis.Script("return redis.call('TIME')")
    ((seconds, microseconds),) = await time.run(client, redis.Call([leases._key], []))
    return int(seconds) * 1000 + int(microseconds) // 1000


async def test_a_position_that_is_always_refused_is_reported_and_tried_less_and_less_often(
    valkey: redis.Client,
) -> None:
    """Only the leases are of another time, and the state knows more than their checkpoint."""
    reader = Reader(valkey)
    async with reader.reading():
        for count in (10, 20, 30):
            await reader.send(10)
            await reader.until_counted(count)
        await valkey.hset(reader.leases._key, mapping={"checkpoint:0": "-1", "epoch:0": 7})
        await reader.send(1)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            while not (trouble := (await reader.leases.standings())["0"].trouble):  # noqa: ASYNC110 - another's standing
                await asyncio.sleep(0.005)
        assert "lies before what was already applied" in trouble
        tried, ends = len(reader.given), loop.time() + 1
        while loop.time() < ends:  # noqa: ASYNC110 - the pauses are what is tried
            await asyncio.sleep(0.05)
        assert len(reader.given) - tried <= 2
