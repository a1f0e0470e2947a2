"""How far consumers lag, measured at the stream: `services.ingest.accept.adapters.lag`."""

from typing import Any, NamedTuple

import pytest

from mesh.errors import Unavailable
from mesh.leases.memory import MemoryLeases
from mesh.leases.port import Lease, Leases
from mesh.leases.redis import RedisLeases
from mesh.store import redis
from mesh.stream.memory import MemoryStream
from mesh.stream.port import END, Entry, Position
from mesh.stream.redis import RedisStream
from services.ingest.accept.adapters.lag import MeasuredPipeline
from services.ingest.accept.adapters.progress import LeasePipeline
from services.ingest.accept.ports import ShardStanding
from tests.ingest.harness import OWNER, Time

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US


class World(NamedTuple):
    """A stream of one shard, its reader's leases, and both clocks: what they tell of moves with `time` alone."""

    time: Time
    monotonic: Time
    stream: MemoryStream
    leases: MemoryLeases
    pipeline: MeasuredPipeline

    def pass_seconds(self, seconds: int) -> None:
        for clock in (self.time, self.monotonic):
            clock.now_us += seconds * SECOND_US

    async def append(self) -> Position:
        (position,) = await self.stream.append([Entry("0", b"")])
        return position

    async def hold(self) -> Lease:
        lease = await self.leases.acquire("0", OWNER)
        assert lease
        return lease

    async def standing(self) -> Any:
        (leased,) = await self.pipeline.standings()
        assert (leased.consumer, leased.shard) == ("dispatcher", "0")
        return leased.standing


@pytest.fixture(params=["always", "where nobody tells"])
def world(request: pytest.FixtureRequest) -> World:
    time, monotonic = Time(), Time()
    stream, leases = MemoryStream(shard_count=1, clock=time), MemoryLeases(time, time_to_live_seconds=10)
    always = ("dispatcher",) if request.param == "always" else ()
    leased = LeasePipeline({"dispatcher": leases})
    pipeline = MeasuredPipeline(leased, stream, monotonic, consumers=("dispatcher",), always=always)
    return World(time, monotonic, stream, leases, pipeline)


async def test_of_a_shard_that_nobody_has_ever_read_the_lag_grows_from_its_first_record_on(world: World) -> None:
    standing = await world.standing()
    assert (standing.owner, standing.lag_seconds) == ("", 0)
    world.pass_seconds(2)
    await world.append()
    world.pass_seconds(5)
    assert (await world.standing()).lag_seconds == 5
    world.pass_seconds(3600)
    assert (await world.standing()).lag_seconds == 3605


async def test_where_the_last_reader_has_gone_the_lag_is_that_of_what_came_since(world: World) -> None:
    lease, done = await world.hold(), await world.append()
    await world.leases.save(lease, done.sequence, 0.0)
    await world.leases.release(lease)
    world.pass_seconds(60)
    assert (await world.standing()).lag_seconds == 0
    await world.append()
    world.pass_seconds(7)
    assert (await world.standing()).lag_seconds == 7


async def test_where_the_holder_is_in_trouble_the_lag_goes_on_growing(world: World) -> None:
    await world.append()
    lease = await world.hold()
    await world.leases.complain(lease, "The lease shown is not the one under which the shard is held.")
    for expected in (2, 4, 6):
        world.pass_seconds(2)
        await world.leases.renew(lease)
        standing = await world.standing()
        assert (standing.lag_seconds, bool(standing.trouble)) == (expected, True)


async def test_once_what_waited_is_done_there_is_no_lag(world: World) -> None:
    position = await world.append()
    world.pass_seconds(5)
    assert (await world.standing()).lag_seconds == 5
    lease = await world.hold()
    await world.leases.save(lease, position.sequence, 0.0)
    world.pass_seconds(2)
    assert (await world.standing()).lag_seconds == 0


@pytest.mark.parametrize("hours", [-2, 2])
async def test_a_clock_that_is_set_hides_nothing_that_waits(world: World, hours: int) -> None:
    await world.append()
    assert (await world.standing()).lag_seconds == 0
    world.time.now_us += hours * HOUR_US
    world.pass_seconds(30)
    assert (await world.standing()).lag_seconds >= 30


async def test_a_closed_shard_that_is_through_has_no_lag(world: World) -> None:
    lease = await world.hold()
    await world.leases.save(lease, END, 0.0)
    await world.append()
    world.pass_seconds(5)
    assert (await world.standing()).lag_seconds == 0


async def test_a_holder_that_says_nothing_hides_no_lag_where_it_is_always_measured() -> None:
    time = Time()
    stream, leases = MemoryStream(shard_count=1, clock=time), MemoryLeases(time, time_to_live_seconds=3600)
    leased = LeasePipeline({"dispatcher": leases})
    pipeline = MeasuredPipeline(leased, stream, time, consumers=("dispatcher",), always=("dispatcher",))
    await stream.append([Entry("0", b"")])
    await leases.acquire("0", OWNER)
    time.now_us += 20 * SECOND_US
    ((_, _, standing),) = await pipeline.standings()
    assert (standing.owner, standing.trouble, standing.lag_seconds) == (OWNER, "", 20)


async def test_children_that_wait_for_their_parents_are_not_told_as_unread() -> None:
    time = Time()
    stream, leases = MemoryStream(shard_count=1, clock=time), MemoryLeases(time)
    children = await stream.split("0")
    leased = LeasePipeline({"dispatcher": leases})
    pipeline = MeasuredPipeline(leased, stream, time, consumers=("dispatcher",), always=())
    assert [each.shard for each in await pipeline.standings()] == ["0"]
    lease = await leases.acquire("0", OWNER)
    assert lease
    await leases.save(lease, END, 0.0)
    assert {each.shard for each in await pipeline.standings()} == {"0", *children}


async def test_the_stream_is_asked_once_a_second_whoever_wants_to_know() -> None:
    time, asked = Time(), 0
    stream = MemoryStream(shard_count=1, clock=time)

    class Counted:
        def __getattr__(self, name: str) -> Any:
            return getattr(stream, name)

        async def waiting_seconds(self, shard: str, after: int) -> float | None:
            nonlocal asked
            asked += 1
            if asked > 2:
                raise Unavailable("DEPENDENCY_UNAVAILABLE", "Gone.")
            return await stream.waiting_seconds(shard, after)

    leased, counted = LeasePipeline({"dispatcher": MemoryLeases(time)}), Counted()
    pipeline = MeasuredPipeline(leased, counted, time, consumers=("dispatcher",), always=())
    for _ in range(10):
        await pipeline.standings()
    assert asked == 1
    time.now_us += SECOND_US
    await pipeline.standings()
    time.now_us += SECOND_US
    assert [each.standing.lag_seconds for each in await pipeline.standings()] == [0.0], "and is away"


async def test_on_redis_the_lag_of_what_nobody_reads_is_told(server: redis.Client) -> None:
    stream = RedisStream(server, "events", shard_count=2, max_waiting_bytes=1 << 30)
    leases: Leases = RedisLeases(server, "redis/events", "dispatcher", 5)
    seconds, _ = await server.time()
    await server.xadd("jm:stream:{events-1}", {b"p": b"x"}, id=f"{(seconds - 100) * 1000}-0")
    leased = LeasePipeline({"dispatcher": leases})
    pipeline = MeasuredPipeline(leased, stream, Time(), consumers=("dispatcher",), always=("dispatcher",))
    first, second = await pipeline.standings()
    assert first == ShardStanding("dispatcher", "0", first.standing)
    assert first.standing.lag_seconds == 0
    assert 99 < second.standing.lag_seconds < 200
