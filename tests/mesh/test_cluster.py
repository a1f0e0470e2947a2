"""A cluster of stores whose slots move, whose nodes are away, and whose fences are lost: `mesh.store.cluster`."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import SSLConnection
from redis.crc import key_slot
from redis.exceptions import DataError

from mesh.errors import FailedPrecondition, Unavailable
from mesh.leases import fences
from mesh.leases.redis import RedisLeases
from mesh.state.applied import Fence
from mesh.state.redis import RedisState
from mesh.store import redis
from mesh.store.cluster import Cluster
from mesh.stream.port import BEGINNING, Entry
from mesh.stream.redis import RedisStream
from services.ingest.events.adapters.redis_failed import RedisFailedEvents
from services.ingest.events.adapters.redis_seen import RedisSeenEvents, _seen_key
from services.ingest.events.ports import AppendedEvents
from tests.builders import NOW_US
from tests.cluster import PRIMARIES, StoreCluster, stored
from tests.ingest.test_ports import failed
from tests.mesh.test_restored import Reader

PATIENCE_SECONDS = 30
DAY_US = 86_400_000_000


@pytest.fixture
async def client(cluster: StoreCluster) -> AsyncIterator[Cluster]:
    """A client that knows the cluster by its last node alone."""
    first = redis.connect(f"redis+cluster://127.0.0.1:{cluster.ports[-1]}")
    assert isinstance(first, Cluster)
    async with contextlib.aclosing(first):
        await first.each("FLUSHALL")
        yield first


def slot_of(key: str) -> int:
    slot: int = key_slot(key.encode())
    return slot


def users(partition: int) -> "itertools.filterfalse[str]":
    """Keys of one partition, without end."""
    names = (f"user-{number}" for number in itertools.count())
    return itertools.filterfalse(lambda name: redis.partition(name) != partition, names)


async def in_time(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():  # noqa: ASYNC110 - what is awaited is another thread's work
            await asyncio.sleep(0.005)


async def test_commands_go_to_the_nodes_of_their_keys_and_answers_come_in_their_order(client: Cluster) -> None:
    names = [f"key-{number}" for number in range(100)]
    pipeline = client.pipeline()
    for name in names:
        pipeline.set(name, f"of {name}")
        pipeline.get(name)
    answers = await pipeline.execute()
    assert answers == [part for name in names for part in (True, b"of " + name.encode())]
    assert len(await stored(client)) == 100
    assert len(await client.each("PING")) == PRIMARIES


async def test_every_node_is_reached_as_the_url_says() -> None:
    async with contextlib.aclosing(redis.connect("rediss+cluster://ada@one,two:7000/0", "secret")) as client:
        assert isinstance(client, Cluster)
        assert client._seeds == ["one:6379", "two:7000"]
        for node, host in (("two:7000", "two"), ("[::1]:7000", "::1")):
            pool = client._node(node).connection_pool
            dialled = [pool.connection_kwargs[name] for name in ("host", "port", "username", "password")]
            assert dialled == [host, 7000, "ada", "secret"]
            assert issubclass(pool.connection_class, SSLConnection)


async def test_what_names_no_key_is_refused_unless_it_follows_one_that_does(client: Cluster) -> None:
    with pytest.raises(DataError):
        await client.time()
    with pytest.raises(DataError):
        await client.keys("*")
    pipeline = client.pipeline()
    pipeline.get("a")
    pipeline.time()
    assert (await pipeline.execute())[0] is None
    with pytest.raises(DataError):
        client.pipeline(transaction=True)


async def test_a_slot_that_has_moved_is_found(client: Cluster, cluster: StoreCluster) -> None:
    await client.set("a", "1")
    with cluster.moving(slot_of("a")):
        pass
    assert await client.get("a") == b"1"
    assert await client.incr("a") == 2


async def test_while_a_slot_moves_keys_are_read_and_written_wherever_they_are(
    client: Cluster, cluster: StoreCluster
) -> None:
    keys = [f"{{a}}:{number}" for number in range(20)]
    for key in keys:
        await client.set(key, key)
    with cluster.moving(slot_of("a")):
        cluster.move_keys(slot_of("a"), cluster.keeper(slot_of("a")), 10)
        # Some connections are free: what asks and what follows must be the same.
        assert await asyncio.gather(*map(client.get, keys)) == [key.encode() for key in keys]
        assert await client.incr("{a}:new") == 1
        assert await client.incr("{a}:new") == 2
    assert await asyncio.gather(*map(client.get, keys)) == [key.encode() for key in keys]
    assert await client.get("{a}:new") == b"2"


async def test_a_batch_whose_keys_stand_on_both_sides_waits_for_the_slot(
    client: Cluster, cluster: StoreCluster
) -> None:
    store = RedisState(client, "test", 60)
    names = list(itertools.islice(users(3), 20))
    await store.save(dict.fromkeys(names, b"1"), None)
    slot = slot_of(store._key(names[0]))
    with cluster.moving(slot):
        cluster.move_keys(slot, cluster.keeper(slot), 10)
        with pytest.raises(Unavailable):
            await store.load(names)
        with pytest.raises(Unavailable):
            await store.save(dict.fromkeys(names, b"2"), None)
    assert await store.load(names) == [b"1"] * 20
    await store.save(dict.fromkeys(names, b"2"), None)
    assert await store.load(names) == [b"2"] * 20


async def test_a_batch_that_begins_while_its_slot_moves_is_written_once_it_has_moved(
    client: Cluster, cluster: StoreCluster
) -> None:
    store = RedisState(client, "test", 60)
    names = list(itertools.islice(users(5), 20))
    await store.save(dict.fromkeys(names, b"1"), None)
    slot = slot_of(store._key(names[0]))
    with cluster.moving(slot):
        cluster.move_keys(slot, cluster.keeper(slot), 10)
        saving = asyncio.create_task(store.save(dict.fromkeys(names, b"2"), None))
        await asyncio.sleep(0.1)
        assert not saving.done()
    await saving
    assert await store.load(names) == [b"2"] * 20


async def test_a_script_that_names_keys_itself_waits_for_the_slot(client: Cluster, cluster: StoreCluster) -> None:
    kept = RedisFailedEvents(client)
    await kept.add([failed(number) for number in range(5)])
    slot = slot_of("{failed}")
    with cluster.moving(slot), pytest.raises(Unavailable):
        await kept.add([failed(5)])
    await kept.add([failed(number) for number in range(3, 8)])
    page, _ = await kept.list(10, "")
    assert sorted(page) == [failed(number) for number in range(8)]


async def test_a_node_that_is_away_is_unavailable_and_the_others_go_on(client: Cluster, cluster: StoreCluster) -> None:
    by_node = {cluster.keeper(slot_of(name)): name for name in (f"key-{number}" for number in range(100))}
    for name in by_node.values():
        await client.set(name, name)
    cluster.kill(1)
    try:
        assert await client.get(by_node[0]) == by_node[0].encode()
        with pytest.raises(Unavailable), redis.translating_errors():
            await client.get(by_node[1])
        with pytest.raises(Unavailable):
            await redis.ping(client)
    finally:
        cluster.start(1)
        cluster.await_ok()
    assert await client.get(by_node[1]) == by_node[1].encode()
    await redis.ping(client)


async def test_a_node_that_forgot_its_scripts_gets_them_again(client: Cluster, cluster: StoreCluster) -> None:
    store = RedisState(client, "test", 60)
    items = {f"user-{number}": b"1" for number in range(100)}
    await store.save(items, None)
    cluster.nodes[1].script_flush()
    await store.save(dict.fromkeys(items, b"2"), None)
    assert await store.load(list(items)) == [b"2"] * 100


async def test_a_fence_that_was_lost_stops_nobody_but_who_lost_the_shard(client: Cluster) -> None:
    leases = RedisLeases(client, "events", "dispatcher", 60)
    store = RedisState(client, "test", 60)
    older = await leases.acquire("0", "a")
    assert older is not None
    newer = await leases.steal("0", "b", older.epoch)
    assert newer is not None
    for partition in (2, 3):
        await client.delete(fences.key(partition))
    items = dict.fromkeys(itertools.chain(*(itertools.islice(users(number), 3) for number in (2, 3, 4))), b"1")
    with pytest.raises(FailedPrecondition, match="POSITION_STALE"):
        await store.save(items, Fence("events/0", older.epoch))
    assert await store.load(list(items)) == [None] * 9
    await store.save(items, Fence("events/0", newer.epoch))
    assert await store.load(list(items)) == [b"1"] * 9


async def test_a_lease_is_beyond_every_fence(client: Cluster) -> None:
    leases = RedisLeases(client, "events", "dispatcher", 60)
    await client.hset(leases._key, mapping={"epoch:0": 4, "owner:0": "", "ends:0": 0})
    await client.hset(fences.key(7), "events/0", "9")
    await client.hset(fences.key(8), "events/0", "no number")
    lease = await leases.acquire("0", "a")
    assert lease is not None
    assert lease.epoch == 10
    assert (await leases.standings())["0"].epoch == 10
    kept = [await client.hget(fences.key(number), "events/0") for number in range(redis.PARTITION_COUNT)]
    assert kept == [b"10"] * redis.PARTITION_COUNT


async def test_what_reads_for_others_raises_no_fences(client: Cluster) -> None:
    await RedisLeases(client, "events", "archiver", 60).acquire("0", "a")
    assert await stored(client) == [b"jm:leases:{events}:archiver"]


async def test_a_mesh_goes_on_where_its_keys_were_copied_to(client: Cluster, server: redis.Client) -> None:
    """From a snapshot of a single server, with its streams, leases and checkpoints; there are no fences yet."""
    before, after = Reader(server), Reader(client)
    async with before.reading():
        await before.send(10)
        await before.until_counted(10)
    await before.send(5)
    keys = [key.decode() for key in await stored(server)]
    snapshot = server.pipeline(transaction=True)
    for key in keys:
        snapshot.dump(key)
    for key, value in zip(keys, await snapshot.execute(), strict=True):
        await client.restore(key, 0, value)
    async with after.reading():
        await after.send(10)
        await after.until_counted(25)
    assert after.given > before.given


async def test_a_cluster_that_is_not_called_one_is_unavailable_and_says_why(cluster: StoreCluster) -> None:
    async with contextlib.aclosing(redis.connect(f"redis://127.0.0.1:{cluster.ports[0]}/0")) as client:
        store = RedisState(client, "test", 60)
        with pytest.raises(Unavailable, match="but JOURNEYMESH_REDIS_URL does not say so"):
            for partition in range(redis.PARTITION_COUNT):
                await store.save({next(users(partition)): b""}, None)


async def test_a_server_that_is_called_a_cluster_is_refused(valkey_url: str) -> None:
    url = valkey_url.replace("redis://", "redis+cluster://")
    async with contextlib.aclosing(redis.connect(url)) as client:
        with pytest.raises(redis.Refused, match="is not a cluster"):
            await redis.ping(client)


@contextlib.asynccontextmanager
async def read_under_load(reader: Reader) -> AsyncIterator[Callable[[], int]]:
    """Records are appended and applied within the block, which is given how many; in the end each counted once."""
    sent, is_over = 0, False

    async def send() -> None:
        nonlocal sent
        while not is_over:
            try:
                await reader.send(10)
            except Unavailable:  # it may or may not stand on the stream: so it is not sent again
                continue
            sent += 10
            await asyncio.sleep(0.002)

    async with reader.reading():
        sending = asyncio.create_task(send())
        yield lambda: sent
        is_over = True
        await sending
        records = (await reader.stream.read("0", BEGINNING, 1_000_000, 0.001)).records
        assert len(records) == sent > 0
        await reader.until_counted(sent, PATIENCE_SECONDS)  # it reads ten at a time, and was held up


async def test_slots_that_move_under_load_lose_nothing_and_double_nothing(
    client: Cluster, cluster: StoreCluster
) -> None:
    """The stream, its leases and the state move key by key, then as a whole, while records are appended and applied."""
    reader = Reader(client)
    slots = [slot_of(key) for key in (reader.stream._key("0"), reader.leases._key, reader.state._key("ada"))]
    async with read_under_load(reader) as sent:
        for slot in slots:
            moving = cluster.moving(slot)
            await asyncio.to_thread(moving.__enter__)
            before = sent()
            await in_time(lambda before=before: sent() > before)  # type: ignore[misc]
            await asyncio.to_thread(moving.__exit__, None, None, None)
            await asyncio.to_thread(cluster.move_at_once, slot)


async def test_a_state_whose_slot_moves_as_a_whole_again_and_again_keeps_every_write(
    client: Cluster, cluster: StoreCluster
) -> None:
    reader = Reader(client)
    async with read_under_load(reader) as sent:
        for _ in range(9):
            before = sent()
            await in_time(lambda before=before: sent() > before + 100)  # type: ignore[misc]
            await asyncio.to_thread(cluster.move_at_once, slot_of(reader.state._key("ada")))


async def test_ids_that_are_remembered_while_their_slots_move_as_a_whole_are_all_found(
    client: Cluster, cluster: StoreCluster
) -> None:
    seen, remembered, is_over = RedisSeenEvents(client), list[str](), False

    async def remember() -> None:
        while not is_over:
            number = len(remembered)
            ids = [f"e-{number + place}" for place in range(50)]
            assert (
                await seen.remember([AppendedEvents("0", number, ids, range(50), [NOW_US] * 50, [b""] * 50)]) == set()
            )
            remembered.extend(ids)

    remembering = asyncio.create_task(remember())
    for key in [_seen_key(slot, NOW_US // DAY_US) for slot in (0, 7)] * 4:
        before = len(remembered)
        await in_time(lambda before=before: len(remembered) > before + 500 or remembering.done())  # type: ignore[misc]
        await asyncio.to_thread(cluster.move_at_once, slot_of(key))
    is_over = True
    await remembering
    assert None not in await seen.find(remembered, NOW_US)


async def test_an_ordering_group_keeps_its_order_while_its_slot_moves(client: Cluster, cluster: StoreCluster) -> None:
    stream = RedisStream(client, "events", shard_count=1, max_waiting_bytes=1 << 30)
    slot = slot_of(stream._key("0"))
    for number in range(30):
        if number in {5, 15}:
            moving = cluster.moving(slot)
            moving.__enter__()
        if number in {10, 20}:
            moving.__exit__(None, None, None)
        await stream.append([Entry("0", b"%d" % (number * 10 + place)) for place in range(10)])
    records = (await stream.read("0", BEGINNING, 1000, 0.001)).records
    assert [int(record.payload) for record in records] == list(range(300))


async def test_a_scan_finds_the_keys_of_all_nodes_also_as_the_first_command(
    client: Cluster, cluster: StoreCluster
) -> None:
    state = RedisState(client, "scanned", 60)
    keys = [f"key-{number}" for number in range(50)]
    await state.save(dict.fromkeys(keys, b"1"), None)
    fresh = redis.connect(f"redis+cluster://127.0.0.1:{cluster.ports[-1]}")
    async with contextlib.aclosing(fresh):
        found = {key async for some in RedisState(fresh, "scanned", 60).scan() for key in some}
    assert found == set(keys)
    await state.delete(keys[:25])
    assert {key async for some in state.scan() for key in some} == set(keys[25:])
