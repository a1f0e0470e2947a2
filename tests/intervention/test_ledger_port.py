"""The ledger port over every adapter."""

import pytest

from mesh.errors import Unavailable
from mesh.store import redis
from services.intervention.decision.adapters.memory import MemoryLedger
from services.intervention.decision.adapters.redis import RedisLedger
from services.intervention.decision.ports import Entry, Ledger, Reference
from tests.intervention.builders import HOUR, NOON_ISH

KINESIS = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898


@pytest.fixture(params=["memory", "redis"])
async def ledger(request: pytest.FixtureRequest, valkey: redis.Client) -> Ledger:
    if request.param == "memory":
        return MemoryLedger()
    return RedisLedger(valkey, lifetime_seconds=86_400)


def entry(sequence: int, *names: str, shard: str = "3", at_us: int = NOON_ISH) -> Entry:
    return Entry(shard, sequence, at_us, f"block {shard} {sequence}".encode(), names)


async def found(ledger: Ledger, name: str) -> set[Reference]:
    generations = await ledger.find(name)
    flat = [each for generation in generations for each in generation]
    assert len(set(flat)) == len(flat)
    return set(flat)


async def test_blocks_come_back_in_the_order_of_the_references(ledger: Ledger) -> None:
    await ledger.record([entry(8, "a"), entry(9, "a"), entry(KINESIS, "a")])
    references = [Reference("3", 9), Reference("3", 7), Reference("3", KINESIS), Reference("4", 8)]
    assert await ledger.blocks(references) == [b"block 3 9", None, b"block 3 %d" % KINESIS, None]


async def test_names_find_every_block_of_theirs(ledger: Ledger) -> None:
    await ledger.record([entry(9, "a", "b"), entry(10, "b", "ü\x00")])
    await ledger.record([entry(5, "b", shard="4")])
    assert await found(ledger, "a") == {Reference("3", 9)}
    assert await found(ledger, "b") == {Reference("3", 9), Reference("3", 10), Reference("4", 5)}
    assert await found(ledger, "ü\x00") == {Reference("3", 10)}
    assert await found(ledger, "c") == set()


async def test_recording_again_from_an_earlier_record_on_changes_nothing(ledger: Ledger) -> None:
    entries = [entry(sequence, "a", f"b{sequence % 3}") for sequence in range(1, 60)]
    await ledger.record(entries)
    before = await found(ledger, "a"), await found(ledger, "b1")
    for start, end in ((20, 45), (1, 59), (58, 59)):
        await ledger.record(entries[start:end])
        assert (await found(ledger, "a"), await found(ledger, "b1")) == before
    assert before == ({Reference("3", n) for n in range(40, 60)}, {Reference("3", n) for n in range(1, 60, 3)})


async def test_a_record_may_have_many_names(ledger: Ledger) -> None:
    names = [f"n{i}" for i in range(2_500)]
    await ledger.record([entry(1, *names), entry(2, *names)])
    for name in ("n0", "n999", "n1000", "n2499"):
        assert await found(ledger, name) == {Reference("3", 1), Reference("3", 2)}


async def test_nothing_recorded_is_nothing_found(ledger: Ledger) -> None:
    await ledger.record([])
    assert await ledger.blocks([]) == []
    assert await ledger.find("a") == []


async def test_redis_tells_generations_newest_first(valkey: redis.Client) -> None:
    ledger = RedisLedger(valkey, lifetime_seconds=86_400)
    await ledger.record([entry(1, "a"), entry(2, "a", at_us=NOON_ISH + 7 * HOUR)])
    await ledger.record([entry(1, "a", shard="4", at_us=NOON_ISH + 8 * HOUR)])
    newest, oldest = await ledger.find("a")
    assert set(newest) == {Reference("3", 2), Reference("4", 1)}
    assert oldest == [Reference("3", 1)]


async def test_redis_finds_again_after_the_store_has_lost_everything(server: redis.Client) -> None:
    ledger = RedisLedger(server, lifetime_seconds=86_400)
    await ledger.record([entry(1, "a")])
    await server.flushall()
    await ledger.record([entry(2, "a")])
    assert await found(ledger, "a") == {Reference("3", 2)}


async def test_everything_in_redis_but_the_registry_passes(server: redis.Client) -> None:
    await RedisLedger(server, lifetime_seconds=400).record([entry(1, "a")])
    lives = {key: await server.ttl(key) for key in await server.keys("*")}
    registry = lives.pop(b"jm:intervention:names")
    assert registry == -1
    assert len(lives) == 2
    assert all(390 < seconds <= 500 for seconds in lives.values())


async def test_an_unreachable_server_is_unavailable() -> None:
    client = redis.connect("redis://127.0.0.1:1/0")
    with pytest.raises(Unavailable):
        await RedisLedger(client, lifetime_seconds=60).record([entry(1, "a")])
    await client.aclose()


async def test_all_blocks_are_found_and_rewritten(ledger: Ledger) -> None:
    entries = [entry(number, "uada", "ubob", shard=shard) for shard in ("3", "shardId-000001") for number in (1, 2)]
    for shard in ("3", "shardId-000001"):
        await ledger.record([each for each in entries if each.shard == shard])
    everywhere = {each async for some in ledger.references() for each in some}
    assert everywhere == {Reference(each.shard, each.sequence) for each in entries}
    at = Reference("3", 2)
    (before,) = await ledger.blocks([at])
    assert before is not None
    assert [await ledger.rewrite(at, before, b"after"), await ledger.rewrite(at, before, b"later")] == [True, False]
    assert await ledger.blocks([at, Reference("3", 1)]) == [b"after", b"block 3 1"]


async def test_names_are_forgotten(ledger: Ledger) -> None:
    await ledger.record([entry(1, "uada", "ubob")])
    await ledger.forget(["uada", "unobody"])
    assert await ledger.find("uada") == []
    assert await found(ledger, "ubob") == {Reference("3", 1)}
