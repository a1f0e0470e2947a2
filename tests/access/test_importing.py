"""Keys from files: taken once, kept as hashes, and never back once they were revoked."""

import random
from pathlib import Path
from typing import Final

import pytest

from mesh import keys as texts
from mesh.errors import InvalidArgument
from mesh.keys import Kind
from mesh.store import redis
from services.access import bootstrap
from services.access.audit.usecases import Filters
from services.access.keys.adapters.imported import MemoryImportedKeys, RedisImportedKeys
from services.access.keys.importing import Importing
from services.access.keys.ports import ImportedKeys
from tests.access.builders import DAY_US, World

_CHANCE: Final = random.Random(5)  # noqa: S311 - keys of tests
ADMIN: Final = texts.new_text(Kind.ADMIN, _CHANCE.randbytes)
SECRET: Final = texts.new_text(Kind.SECRET, _CHANCE.randbytes)
PUBLIC: Final = texts.new_text(Kind.PUBLIC, _CHANCE.randbytes)


@pytest.fixture(params=["memory", "redis"])
async def imported(request: pytest.FixtureRequest, valkey: redis.Client) -> ImportedKeys:
    return MemoryImportedKeys() if request.param == "memory" else RedisImportedKeys(valkey)


@pytest.fixture
def world() -> World:
    return World()


def key_id(text: str) -> str:
    found = texts.presented(text)
    assert found is not None
    return found.key_id


async def test_each_is_taken_once_with_what_is_usual_for_its_kind(world: World, imported: ImportedKeys) -> None:
    importing = Importing(world.access, imported)
    assert await importing.take({"operator": ADMIN, "shop": SECRET}) == 2
    assert await importing.take({"operator": ADMIN, "shop": SECRET}) == 0
    made = {used.key.name: used.key for used in await world.access.listed()}
    assert made.keys() == {"operator", "shop"}
    assert made["operator"].credentials.text_hash == texts.presented(ADMIN).text_hash  # type: ignore[union-attr]
    assert set(made["shop"].rights.scopes) == set(texts.USUAL_SCOPES[Kind.SECRET])
    listed, _ = await world.audit.listed(Filters(), 0, 10)
    assert [(each.entry.act.action, each.entry.act.subject) for each in reversed(listed)] == [
        ("keys.import", key_id(ADMIN)),
        ("keys.import", key_id(SECRET)),
    ]


async def test_one_that_was_revoked_does_not_come_back_even_when_it_is_forgotten(
    world: World, imported: ImportedKeys
) -> None:
    importing = Importing(world.access, imported)
    await importing.take({"operator": ADMIN})
    await world.access.revoke(key_id(ADMIN))
    world.now_us += 31 * DAY_US
    await importing.take({"shop": SECRET})  # a change, by which what ended long ago is forgotten
    assert await importing.take({"operator": ADMIN, "shop": SECRET}) == 0
    assert [used.key.name for used in await world.access.listed()] == ["shop"]


async def test_one_that_was_kept_before_a_crash_is_not_made_twice(world: World, imported: ImportedKeys) -> None:
    await Importing(world.access, MemoryImportedKeys()).take({"operator": ADMIN})
    await Importing(world.access, imported).take({"operator": ADMIN})
    assert len(await world.access.listed()) == 1


@pytest.mark.parametrize("text", [PUBLIC, ADMIN[:-1] + "?", "", "hunter2"])
async def test_what_is_no_such_key_is_refused_without_being_shown(world: World, text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await Importing(world.access, MemoryImportedKeys()).take({"operator": text})
    assert "'operator'" in refused.value.detail
    assert not text or text not in refused.value.detail


async def test_files_hold_the_keys_as_kubernetes_mounts_them(world: World, tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "operator").write_text(f"{ADMIN}\n")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "operator").symlink_to("..data/operator")
    importing = Importing(world.access, MemoryImportedKeys())
    await bootstrap.take_keys("", importing)
    assert not await world.access.listed()
    await bootstrap.take_keys(str(tmp_path), importing)
    assert [used.key.key_id for used in await world.access.listed()] == [key_id(ADMIN)]


@pytest.mark.parametrize("content", ["hunter2", None])
async def test_a_folder_that_cannot_be_used_ends_the_process_with_a_sentence(
    world: World, tmp_path: Path, content: str | None
) -> None:
    folder = tmp_path / "keys"
    if content:
        folder.mkdir()
        (folder / "operator").write_text(content)
    with pytest.raises(SystemExit) as ended:
        await bootstrap.take_keys(str(folder), Importing(world.access, MemoryImportedKeys()))
    assert str(ended.value).startswith("journeymesh: ")
    assert "hunter2" not in str(ended.value)
