"""What the archiver has gathered and not written is shown beside the archive."""

import asyncio
from pathlib import Path

import pyarrow as pa

from mesh.errors import Unavailable
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.adapters.tail import ArrowTail
from services.ingest.archive.archiver import Limits
from services.ingest.archive.domain.layout import EVENTS, Plan
from services.ingest.archive.ports import Part
from tests.archive.rows import EventRow, records
from tests.archive.world import SHARD, World, until
from tests.builders import event

SHOWING = Limits(period_seconds=3600.0, rest_seconds=0.0, tail_seconds=0.001)


def shown(folder: Path) -> dict[str, list[list[str]]]:
    """By file of the tail, the ids of its events and those of its decisions' events."""
    found = {}
    for path in sorted((folder / "tail" / "v1").glob("[!.]*")):
        with path.open("rb") as opened:
            found[path.name] = [pa.ipc.open_stream(opened).read_all()["event_id"].to_pylist() for _ in range(2)]
    return found


def ids(folder: Path) -> list[str]:
    return [each for rows, _ in shown(folder).values() for each in rows]


async def test_what_is_gathered_is_shown_until_it_is_written(tmp_path: Path) -> None:
    world = World(tmp_path, SHOWING)
    async with world.following():
        await world.append(event("a"), event("b"))
        await world.dispatch()
        await until(lambda: ids(tmp_path) == ["a", "b"])
        await world.append(event("c", user_id="bob"))
        await world.dispatch()
        await until(lambda: ids(tmp_path) == ["a", "b", "c"])
        ((name, (_, decided)),) = shown(tmp_path).items()
        assert name == f"0-{0:020d}-{1:020d}.arrows"
        assert decided == ["a", "b", "c"]
        assert world.archive.files(EVENTS) == []
    assert [each.event.event_id for each in world.events()] == ["a", "b", "c"]
    assert [*shown(tmp_path).values()] == [[[], []]]


async def test_an_archiver_that_was_killed_leaves_what_it_showed_to_the_next(tmp_path: Path) -> None:
    world = World(tmp_path, SHOWING)

    async def killed() -> None:
        """Follows the shard, and ends without writing what it gathered."""
        following = asyncio.create_task(world.archiver(plans=Unwritable()).follow(await world.take()))
        await until(lambda: ids(tmp_path) == ["a"])
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    await world.append(event("a"))
    await world.dispatch()
    await killed()
    assert ids(tmp_path) == ["a"]
    await world.append(event("b"))
    await world.dispatch()
    async with world.following():
        await until(lambda: ids(tmp_path) == ["a", "b"])
        assert len(shown(tmp_path)) == 1
    assert [each.event.event_id for each in world.events()] == ["a", "b"]
    assert [*shown(tmp_path).values()] == [[[], []]]


async def test_nothing_is_shown_where_that_is_not_wanted(tmp_path: Path) -> None:
    world = World(tmp_path, Limits(period_seconds=0.0, rest_seconds=0.0, tail_seconds=0.0))
    await world.append(event("a"))
    await world.dispatch()
    async with world.following():
        await until(lambda: bool(world.archive.files(EVENTS)))
    assert not (tmp_path / "tail").exists()


async def test_a_tail_that_cannot_be_written_keeps_nothing_from_the_archive(tmp_path: Path) -> None:
    (tmp_path / "tail").write_text("no folder")
    world = World(tmp_path, Limits(flush_events=2, rest_seconds=0.0, tail_seconds=0.001))
    async with world.following():
        await world.append(event("a"))
        await world.dispatch()
        last = await world.append(event("b"))
        await world.dispatch()
        await world.until_checkpoint(last)
    assert [each.event.event_id for each in world.events()] == ["a", "b"]


async def test_the_tail_of_a_shard_is_one_range_in_a_folder_or_a_bucket(url: str, archive: ParquetArchive) -> None:
    tail = ArrowTail(url)

    async def part(sequence: int, shard: str = "0") -> Part:
        return await archive.pack(shard, records([EventRow(sequence, 0, event(f"e-{sequence}"))]), [])

    parts = [await part(1), await part(2)]
    await tail.write("0", Plan(0, 1), parts[:1])
    await tail.write("0-b", Plan(0, 7), [await part(7, "0-b")])
    await tail.write("0", Plan(0, 2), parts)
    files, root = archive._files, archive._root

    def names() -> list[str]:
        found = files.get_file_info(pa.fs.FileSelector(f"{root}/tail/v1", recursive=True, allow_not_found=True))
        return sorted(each.base_name for each in found if each.is_file)

    assert names() == [f"0-{1:020d}-{2:020d}.arrows", f"0-b-{1:020d}-{7:020d}.arrows"]
    await tail.remove("0", 0)
    assert len(names()) == 2
    await tail.remove("0", 2)
    assert names() == [f"0-b-{1:020d}-{7:020d}.arrows"]


class Unwritable:
    """No plans can be kept, so nothing is written."""

    async def take(self, shard: str, epoch: int) -> None:
        assert shard == SHARD

    async def save(self, shard: str, epoch: int, plan: Plan) -> None:
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "The store is away.")
