"""A release of the mesh is a change that it notes by itself: once, whichever processes start, crash or are killed."""

import asyncio
import itertools
import logging
import signal
import sys
from collections.abc import Sequence
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import Unavailable, VersionMismatch
from mesh.store import redis
from services.analytics import releasing
from services.analytics.adapters.releases import MemoryReleases, RedisReleases
from services.analytics.domain import releases
from services.analytics.domain.changes import Change
from services.analytics.domain.question import DAY_US
from services.analytics.domain.releases import MOST_CHANGES, MOST_STARTS, Releases, Start
from services.analytics.ports import KeptReleases, ReleaseStore
from services.analytics.releasing import AllChanges, note
from tests.analytics.test_explaining import World, known, watching
from tests.builders import NOW_US

SECOND_US: Final = 1_000_000
REPLICAS: Final = ("a", "b", "c")


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest, valkey: redis.Client) -> ReleaseStore:
    return MemoryReleases() if request.param == "memory" else RedisReleases(valkey)


def deploy(time_us: int, before: str, after: str) -> Change:
    return Change(time_us, "deploy", f"Journeymesh {before} → {after}")


async def noted(store: ReleaseStore) -> Sequence[Change]:
    return (await store.read()).releases.changes


async def test_another_version_is_a_change_in_both_directions(store: ReleaseStore) -> None:
    for seconds, version in enumerate(("0.1.0", "0.1.0", "0.2.0", "0.2.0", "0.1.0")):
        await note(store, Start("a", version), NOW_US + seconds * SECOND_US)
    back, forth = deploy(NOW_US + 4 * SECOND_US, "0.2.0", "0.1.0"), deploy(NOW_US + 2 * SECOND_US, "0.1.0", "0.2.0")
    assert await noted(store) == (back, forth)


async def test_only_who_has_seen_the_last_change_replaces_it(store: ReleaseStore) -> None:
    assert await store.read() == KeptReleases(0, Releases())
    first, second = Releases("0.1.0", (Start("a", "0.1.0"),)), Releases("0.2.0", (), (deploy(1, "0.1.0", "0.2.0"),))
    assert await store.replace(first, 0)
    assert not await store.replace(second, 0)
    assert await store.read() == KeptReleases(1, first)
    assert await store.replace(second, 1)
    assert await store.read() == KeptReleases(2, second)


async def test_replicas_that_start_together_note_it_once(store: ReleaseStore) -> None:
    await note(store, Start("a", "0.1.0"), NOW_US)
    await asyncio.gather(*(note(store, Start(f"new {each}", "0.2.0"), NOW_US + each) for each in range(1, 9)))
    (change,) = await noted(store)
    assert change.name == "Journeymesh 0.1.0 → 0.2.0"
    assert {each.version for each in (await store.read()).releases.starts[:8]} == {"0.2.0"}


@given(st.data(), st.sampled_from(("", "-{}")))
def test_replicas_replaced_one_by_one_are_one_change_though_any_of_them_crash(data: st.DataObject, suffix: str) -> None:
    every = data.draw(st.lists(st.sampled_from(("0.1.0", "0.2.0", "0.3.0")), min_size=1, max_size=5))
    versions = [version for version, _ in itertools.groupby(every)]
    running, now, known = dict.fromkeys(REPLICAS, Start("", "")), Releases(), itertools.count(NOW_US)
    for number, version in enumerate(versions):
        for replica in data.draw(st.permutations(REPLICAS)):
            running[replica] = Start(replica + suffix.format(number), version)
            now = releases.started(now, running[replica], next(known))
            for crashed in data.draw(st.lists(st.sampled_from([each for each in running.values() if each.version]))):
                now = releases.started(now, crashed, next(known))
    assert now.version == versions[-1]
    expected = [f"Journeymesh {before} → {after}" for before, after in itertools.pairwise(versions)]
    assert [each.name for each in now.changes] == expected[::-1]
    assert sorted(now.changes, reverse=True) == [*now.changes]


def test_what_is_remembered_is_bounded() -> None:
    now = Releases()
    for number in range(3 * MOST_STARTS):
        now = releases.started(now, Start(f"pod-{number}", f"0.{number}.0"), NOW_US + number)
    assert (len(now.starts), len(now.changes)) == (MOST_STARTS, MOST_CHANGES)
    assert now.starts[0].replica == f"pod-{3 * MOST_STARTS - 1}"
    assert now.changes[0].name.endswith(f" → {now.version}")


async def test_it_is_told_to_every_tenant_beside_incidents_and_in_the_list() -> None:
    store, world = MemoryReleases(), World(known_changes=())
    await note(store, Start("a", "0.1.0"), NOW_US - 20 * DAY_US)
    await note(store, Start("a", "0.2.0"), NOW_US - 15 * DAY_US)
    await note(store, Start("a", "0.3.0"), world.found[0].opened_us - SECOND_US)
    told = deploy(world.found[0].opened_us - SECOND_US, "0.2.0", "0.3.0")
    watched = watching(world, AllChanges(world, store))
    assert [[*await watched.changes(tenant)] for tenant in ("", "acme")] == [[told], [told]]
    assert (await known(watched)).changes == (told,)


class Away(MemoryReleases):
    """A store that is away at first, and then loses the answer to what it did."""

    attempts = 0

    async def replace(self, releases: Releases, seen: int) -> bool:
        self.attempts += 1
        if self.attempts == 1:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "The store is away.")
        is_done = await super().replace(releases, seen)
        if self.attempts == 2:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "The store is away.")
        return is_done


async def test_it_is_noted_at_the_time_of_the_start_once_the_store_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releasing, "_RETRY_SECONDS", 0)
    store = Away()
    await note(store, Start("a", "0.1.0"), NOW_US)
    store.attempts = 0
    await note(store, Start("a", "0.2.0"), NOW_US + 1)
    assert store.attempts == 3
    assert await noted(store) == (deploy(NOW_US + 1, "0.1.0", "0.2.0"),)


async def test_what_a_newer_build_stored_is_left_alone(server: redis.Client, caplog: pytest.LogCaptureFixture) -> None:
    blob = msgspec.msgpack.encode([2, {"of": "another form"}])
    await server.hset("jm:{analytics}:releases", mapping={"releases": blob, "changes": 7})
    store = RedisReleases(server)
    with pytest.raises(VersionMismatch):
        await store.read()
    with caplog.at_level(logging.WARNING):
        await note(store, Start("a", "0.1.0"), NOW_US)
    assert "newer version" in caplog.text
    assert await server.hgetall("jm:{analytics}:releases") == {b"releases": blob, b"changes": b"7"}


@pytest.mark.parametrize("blob", [b"", b"\xc1garbage", b"[]", msgspec.msgpack.encode([1, 2, 3, 4])])
async def test_what_cannot_be_read_begins_anew(server: redis.Client, blob: bytes) -> None:
    await server.hset("jm:{analytics}:releases", mapping={"releases": blob, "changes": 7})
    store = RedisReleases(server)
    await note(store, Start("a", "0.1.0"), NOW_US)
    await note(store, Start("a", "0.2.0"), NOW_US)
    assert await store.read() == KeptReleases(
        9, Releases("0.2.0", (Start("a", "0.2.0"),), (deploy(NOW_US, "0.1.0", "0.2.0"),))
    )


async def died(store_url: str, version: str, time_us: int, count: int) -> bool:
    """Whether a process was killed after so many steps, and did not end before."""
    arguments = [store_url, "a", version, str(time_us), str(count)]
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.analytics.dying_start", *arguments)
    code = await process.wait()
    assert code in {0, -signal.SIGKILL}
    return code != 0


@pytest.mark.processes
async def test_wherever_a_process_is_killed_its_release_is_noted_once(server: redis.Client, valkey_url: str) -> None:
    times = list[int]()
    for count in itertools.count(1):
        await server.flushall()
        store = RedisReleases(server)
        await note(store, Start("a", "0.1.0"), NOW_US)
        is_dead = await died(valkey_url, "0.2.0", NOW_US + 1, count)
        await note(store, Start("a", "0.2.0"), NOW_US + 2)
        (change,) = await noted(store)
        assert change == deploy(change.time_us, "0.1.0", "0.2.0")
        times.append(change.time_us - NOW_US)
        if not is_dead:
            break
    # Killed before it noted its start, the next one does.
    assert times == [2, 1, 1]
