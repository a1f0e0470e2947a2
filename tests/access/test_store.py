"""The port of keys over every adapter."""

import asyncio
import dataclasses
from typing import cast

import msgspec
import pytest

from mesh.errors import Unavailable, VersionMismatch
from mesh.store import redis
from services.access.keys.adapters.memory import MemoryKeys
from services.access.keys.adapters.redis import RedisKeys
from services.access.keys.domain.key import Ending, Rights
from services.access.keys.ports import NO_REVISION, KeyStore
from tests.access.builders import World, asked, key
from tests.builders import MINUTE_US, NOW_US


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, valkey: redis.Client) -> KeyStore:
    return MemoryKeys() if request.param == "memory" else RedisKeys(valkey)


async def test_at_first_there_is_nothing(store: KeyStore) -> None:
    await store.ping()
    snapshot = await store.read()
    assert (snapshot.revision, dict(snapshot.keys), dict(await store.last_used())) == (NO_REVISION, {}, {})
    assert await store.revision() == NO_REVISION


async def test_what_is_put_is_read_with_its_revision(store: KeyStore) -> None:
    full = dataclasses.replace(
        key("k1", "Größe 😀", ends_us=NOW_US), created_us=1, ended_as=Ending.ROTATED, successor_id="k2"
    )
    plain = dataclasses.replace(key("k2", kind="sk"), rights=Rights(("help",)))
    assert await store.change([full, plain], [], NO_REVISION, "r1")
    snapshot = await store.read()
    assert (snapshot.revision, dict(snapshot.keys)) == ("r1", {"k1": full, "k2": plain})
    assert await store.revision() == "r1"


async def test_a_change_needs_the_current_revision(store: KeyStore) -> None:
    assert not await store.change([key("k1")], [], "r0", "r1")
    assert (await store.read()).revision == NO_REVISION
    assert await store.change([key("k1")], [], NO_REVISION, "r1")
    assert not await store.change([key("k2")], ["k1"], NO_REVISION, "r2")
    assert await store.change([key("k2")], ["k1", "unknown"], "r1", "r2")
    snapshot = await store.read()
    assert (snapshot.revision, set(snapshot.keys)) == ("r2", {"k2"})


async def test_a_repeated_change_is_made_once(store: KeyStore) -> None:
    assert await store.change([key("k1")], [], NO_REVISION, "r1")
    assert await store.change([key("k1")], [], NO_REVISION, "r1")
    assert (await store.read()).keys.keys() == {"k1"}


async def test_a_snapshot_stays_as_it_was(store: KeyStore) -> None:
    await store.change([key("k1")], [], NO_REVISION, "r1")
    snapshot = await store.read()
    await store.change([key("k2")], ["k1"], "r1", "r2")
    assert snapshot.keys.keys() == {"k1"}


async def test_the_later_use_stays(store: KeyStore) -> None:
    await store.change([key("k1"), key("k2")], [], NO_REVISION, "r1")
    await store.record_uses({"k1": NOW_US, "k2": NOW_US, "unknown": NOW_US})
    await store.record_uses({"k1": NOW_US - MINUTE_US, "k2": NOW_US + MINUTE_US})
    assert await store.last_used() == {"k1": NOW_US, "k2": NOW_US + MINUTE_US}
    assert await store.revision() == "r1"


async def test_the_uses_of_a_dropped_key_go_with_it(store: KeyStore) -> None:
    await store.change([key("k1"), key("k2")], [], NO_REVISION, "r1")
    await store.record_uses({"k1": NOW_US, "k2": NOW_US})
    await store.change([], ["k1"], "r1", "r2")
    await store.record_uses({"k1": NOW_US})
    assert await store.last_used() == {"k2": NOW_US}


async def test_many_uses_and_keys_fit_in_one_call(store: KeyStore) -> None:
    many = [key(f"k{number}") for number in range(2_000)]
    assert await store.change(many, [], NO_REVISION, "r1")
    await store.record_uses({f"k{number}": NOW_US for number in range(10_000)})
    assert len(await store.last_used()) == len((await store.read()).keys) == 2_000
    assert await store.change([], [each.key_id for each in many], "r1", "r2")
    assert not (await store.read()).keys


async def test_of_two_writers_none_loses_its_change(store: KeyStore) -> None:
    one, other = World(store, seed=1), World(store, seed=2)
    issued = await asyncio.gather(*(world.access.create(asked()) for world in (one, other) for _ in range(8)))
    snapshot = await store.read()
    assert snapshot.keys.keys() == {each.key.key_id for each in issued}
    await asyncio.gather(
        *(world.access.revoke(each.key.key_id) for each in issued for world in (one, other)),
        *(world.access.create(asked()) for world in (one, other)),
    )
    states = [each.has_ended for each in await one.access.listed()]
    assert (states.count(True), states.count(False)) == (16, 2)


async def test_of_two_rotations_at_once_one_is_made(store: KeyStore) -> None:
    one, other = World(store, seed=1), World(store, seed=2)
    key_id = (await one.access.create(asked())).key.key_id
    results = await asyncio.gather(*(world.access.rotate(key_id, 60) for world in (one, other)), return_exceptions=True)
    assert [isinstance(each, tuple) for each in results].count(True) == 1
    assert [getattr(each, "reason", "") for each in results].count("KEY_ENDED") == 1
    assert len((await store.read()).keys) == 2


async def test_an_emptied_store_gets_a_revision_it_never_had(server: redis.Client) -> None:
    store = RedisKeys(server)
    world = World(store)
    revisions = []
    for _ in range(2):
        await world.access.create(asked())
        revisions.append(await store.revision())
        await server.flushall()
    assert await store.revision() == NO_REVISION
    assert len({*revisions, NO_REVISION}) == 3


async def test_a_known_revision_costs_one_command(server: redis.Client) -> None:
    access = World(RedisKeys(server)).access
    await access.create(asked())
    found = await access.keyring("")
    assert found is not None
    await server.config_resetstat()
    assert await access.keyring(found.revision) is None
    counted = await server.info("commandstats")
    assert {name: each["calls"] for name, each in counted.items() if "config" not in name} == {"cmdstat_get": 1}


async def test_a_key_of_a_newer_version_waits(server: redis.Client) -> None:
    store = RedisKeys(server)
    await store.change([key("k1")], [], NO_REVISION, "r1")
    await server.hset("jm:{access}:keys", "k2", msgspec.msgpack.encode([2, {"another": "form"}]))
    with pytest.raises(VersionMismatch):
        await store.read()


@pytest.mark.parametrize("damage", [b"", b"\xc1", b"\x91\xa1x", msgspec.msgpack.encode([1, "pk"])])
async def test_a_damaged_key_is_left_out_alone(server: redis.Client, damage: bytes) -> None:
    store = RedisKeys(server)
    await store.change([key("k1")], [], NO_REVISION, "r1")
    await server.hset("jm:{access}:keys", "k2", damage)
    assert dict((await store.read()).keys) == {"k1": key("k1")}
    assert await store.change([key("k3")], [], "r1", "r2")
    assert await server.hget("jm:{access}:keys", "k2") == damage


async def test_a_key_that_has_grown_at_its_end_is_read(server: redis.Client) -> None:
    store = RedisKeys(server)
    await store.change([key("k1")], [], NO_REVISION, "r1")
    blob = cast("bytes", await server.hget("jm:{access}:keys", "k1"))
    grown = msgspec.msgpack.encode([*msgspec.msgpack.decode(blob), "more"])
    await server.hset("jm:{access}:keys", "k1", grown)
    assert dict((await store.read()).keys) == {"k1": key("k1")}


async def test_an_unreachable_server_is_unavailable() -> None:
    client = redis.connect("redis://127.0.0.1:1/0")
    store = RedisKeys(client)
    for attempt in (
        store.revision(),
        store.read(),
        store.change([key()], [], NO_REVISION, "r1"),
        store.record_uses({"k1": 1}),
        store.last_used(),
        store.ping(),
    ):
        with pytest.raises(Unavailable):
            await attempt
    await client.aclose()
