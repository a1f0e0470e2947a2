"""The lease port: `mesh.leases` over every adapter."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest

from mesh.errors import FailedPrecondition
from mesh.leases.memory import MemoryLeases
from mesh.leases.port import Lease, Leases, ShardState
from mesh.leases.redis import RedisLeases
from mesh.store import redis
from mesh.stream.port import BEGINNING, END

TIME_TO_LIVE_SECONDS = 0.2


class LeaseStore(NamedTuple):
    """Leases, and how their time is made to run out."""

    leases: Leases
    expire: Callable[[], Awaitable[None]]
    step: Callable[[int], Awaitable[None]]
    """Sets the clock they use, by so many hours."""


@pytest.fixture(params=["memory", "redis"])
def leased(request: pytest.FixtureRequest, valkey: redis.Client) -> LeaseStore:
    if request.param == "redis":
        leases = RedisLeases(valkey, "events", "dispatcher", TIME_TO_LIVE_SECONDS)

        async def wait_until_free() -> None:
            async with asyncio.timeout(10):
                while any(standing.owner for standing in (await leases.standings()).values()):  # noqa: ASYNC110 - the server's clock
                    await asyncio.sleep(0.01)

        async def shift(hours: int) -> None:  # what was written lies as far away as if the clock had been set
            for field in ("since:0", "ends:0"):
                await valkey.hincrby(leases._key, field, -hours * 3_600_000)

        return LeaseStore(leases, wait_until_free, shift)
    now_us = 0

    async def advance() -> None:
        nonlocal now_us
        now_us += round(TIME_TO_LIVE_SECONDS * 1_000_000)

    async def step(hours: int) -> None:
        nonlocal now_us
        now_us += hours * 3_600_000_000

    return LeaseStore(MemoryLeases(lambda: now_us, TIME_TO_LIVE_SECONDS), advance, step)


async def taken(leases: Leases, shard: str, owner: str) -> Lease:
    lease = await leases.acquire(shard, owner)
    assert lease is not None
    assert (lease.shard, lease.owner) == (shard, owner)
    return lease


async def test_a_free_shard_is_taken_by_the_first_who_asks(leased: LeaseStore) -> None:
    assert await leased.leases.standings() == {}
    lease = await taken(leased.leases, "0", "a")
    assert await leased.leases.acquire("0", "b") is None
    assert await leased.leases.standings() == {"0": ShardState("a", lease.epoch, BEGINNING)}


async def test_shards_are_held_one_by_one(leased: LeaseStore) -> None:
    await taken(leased.leases, "0", "a")
    await taken(leased.leases, "shardId-000000000001", "b")
    standings = await leased.leases.standings()
    assert {shard: standing.owner for shard, standing in standings.items()} == {"0": "a", "shardId-000000000001": "b"}


async def test_a_process_that_comes_back_takes_its_own_shard_at_once_under_a_new_epoch(leased: LeaseStore) -> None:
    before = await taken(leased.leases, "0", "a")
    after = await taken(leased.leases, "0", "a")
    assert after.epoch > before.epoch
    assert not await leased.leases.renew(before)
    assert await leased.leases.renew(after)


async def test_a_lease_that_ran_out_passes_to_who_asks_next(leased: LeaseStore) -> None:
    late = await taken(leased.leases, "0", "a")
    await leased.expire()
    lease = await taken(leased.leases, "0", "b")
    assert lease.epoch > late.epoch
    assert not await leased.leases.renew(late)
    with pytest.raises(FailedPrecondition, match="LEASE_LOST"):
        await leased.leases.save(late, 7, 0)
    assert (await leased.leases.standings())["0"] == ShardState("b", lease.epoch, BEGINNING)


async def test_a_lease_that_ran_out_and_that_nobody_took_may_be_renewed(leased: LeaseStore) -> None:
    lease = await taken(leased.leases, "0", "a")
    await leased.expire()
    assert (await leased.leases.standings())["0"].owner == ""
    assert await leased.leases.renew(lease)
    assert await leased.leases.acquire("0", "b") is None


@pytest.mark.parametrize("hours", [-2, 2])
async def test_a_clock_that_is_set_keeps_no_shard_from_who_lives(leased: LeaseStore, hours: int) -> None:
    lost = await taken(leased.leases, "0", "a")  # who does not live any more
    await leased.step(hours)
    assert (await leased.leases.standings())["0"].owner == ""
    lease = await taken(leased.leases, "0", "b")
    assert (await leased.leases.standings())["0"].owner == "b"
    assert not await leased.leases.renew(lost)
    assert await leased.leases.renew(lease)


@pytest.mark.parametrize("hours", [-2, 2])
async def test_a_clock_that_is_set_takes_no_shard_from_who_renews_before_others_ask(
    leased: LeaseStore, hours: int
) -> None:
    lease = await taken(leased.leases, "0", "a")
    await leased.step(hours)
    assert await leased.leases.renew(lease)
    assert (await leased.leases.standings())["0"].owner == "a"
    assert await leased.leases.acquire("0", "b") is None


@pytest.mark.parametrize("prolong", ["renew", "save"])
async def test_a_lease_lasts_from_when_it_was_last_renewed_or_saved(prolong: str) -> None:
    now_us = 0
    leases = MemoryLeases(lambda: now_us, time_to_live_seconds=10)
    lease = await taken(leases, "0", "a")
    now_us = 9_000_000
    await (leases.renew(lease) if prolong == "renew" else leases.save(lease, 1, 0))
    now_us = 18_000_000
    assert await leases.acquire("0", "b") is None
    now_us = 19_000_000
    await taken(leases, "0", "b")


@pytest.mark.parametrize("prolong", ["renew", "save"])
async def test_redis_prolongs_a_lease_by_its_own_clock(valkey: redis.Client, prolong: str) -> None:
    short, long = (RedisLeases(valkey, "events", "dispatcher", seconds) for seconds in (0.001, 60))
    lease = await taken(short, "0", "a")
    await (long.renew(lease) if prolong == "renew" else long.save(lease, 1, 0))
    assert (await long.standings())["0"].owner == "a"
    assert await long.acquire("0", "b") is None


async def test_a_shard_is_stolen_by_who_knows_its_epoch(leased: LeaseStore) -> None:
    lost = await taken(leased.leases, "0", "a")
    await leased.leases.save(lost, 5, 0)
    assert await leased.leases.steal("0", "b", lost.epoch - 1) is None
    lease = await leased.leases.steal("0", "b", lost.epoch)
    assert lease is not None
    assert lease.epoch > lost.epoch
    assert await leased.leases.steal("0", "c", lost.epoch) is None
    with pytest.raises(FailedPrecondition, match="LEASE_LOST"):
        await leased.leases.save(lost, 6, 0)
    assert await leased.leases.checkpoint("0") == 5


async def test_a_steal_whose_answer_was_lost_may_be_repeated(leased: LeaseStore) -> None:
    held = await taken(leased.leases, "0", "a")
    first = await leased.leases.steal("0", "b", held.epoch)
    assert await leased.leases.steal("0", "b", held.epoch) == first


async def test_of_many_who_steal_at_once_one_succeeds(leased: LeaseStore) -> None:
    held = await taken(leased.leases, "0", "a")
    thefts = await asyncio.gather(*[leased.leases.steal("0", f"b{number}", held.epoch) for number in range(8)])
    (lease,) = [theft for theft in thefts if theft]
    assert (await leased.leases.standings())["0"].owner == lease.owner


async def test_a_released_shard_is_free_and_its_epoch_still_grows(leased: LeaseStore) -> None:
    before = await taken(leased.leases, "0", "a")
    await leased.leases.release(before)
    assert (await leased.leases.standings())["0"].owner == ""
    assert not await leased.leases.renew(before)
    after = await taken(leased.leases, "0", "b")
    assert after.epoch > before.epoch
    await leased.leases.release(before)
    assert await leased.leases.renew(after)


async def test_a_checkpoint_outlives_its_holder_to_the_last_digit(leased: LeaseStore) -> None:
    assert await leased.leases.checkpoint("0") == BEGINNING
    lease = await taken(leased.leases, "0", "a")
    await leased.leases.save(lease, 2**186 + 1, 1.25)
    await leased.leases.release(lease)
    successor = await taken(leased.leases, "0", "b")
    assert await leased.leases.checkpoint("0") == 2**186 + 1
    assert await leased.leases.checkpoint("1") == BEGINNING
    assert await leased.leases.standings() == {"0": ShardState("b", successor.epoch, 2**186 + 1, 1.25)}


async def test_a_shard_that_was_read_to_its_end_stays_listed(leased: LeaseStore) -> None:
    lease = await taken(leased.leases, "0", "a")
    await leased.leases.save(lease, END, 0)
    await leased.leases.release(lease)
    assert await leased.leases.checkpoint("0") == END
    assert (await leased.leases.standings())["0"] == ShardState("", lease.epoch, END)


async def test_trouble_is_reported_until_a_checkpoint_clears_it(leased: LeaseStore) -> None:
    lease = await taken(leased.leases, "0", "a")
    await leased.leases.complain(lease, "features cannot be reached", 7.5)
    assert (await leased.leases.standings())["0"][2:] == (BEGINNING, 7.5, "features cannot be reached")
    await leased.leases.save(lease, 1, 0.5)
    assert (await leased.leases.standings())["0"][2:] == (1, 0.5, "")
    await leased.leases.release(lease)
    await leased.leases.complain(lease, "too late", 9)
    assert (await leased.leases.standings())["0"].trouble == ""


async def test_redis_keeps_readers_apart_and_all_of_one_in_one_slot(server: redis.Client) -> None:
    for reader, checkpoint in (("dispatcher", 1), ("archiver", 2)):
        leases = RedisLeases(server, "events", reader, 10)
        await leases.save(await taken(leases, "0", "a"), checkpoint, 0)
    assert await RedisLeases(server, "events", "dispatcher", 10).checkpoint("0") == 1
    assert sorted(await server.keys("*")) == [b"jm:leases:{events}:archiver", b"jm:leases:{events}:dispatcher"]
