"""A person is erased from the archive: after what the archiver had gathered, and wherever the process ends."""

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from mesh.leases.port import ShardState
from services.ingest.accept.ports import ShardStanding
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.adapters.tail import ArrowTail
from services.ingest.archive.domain.layout import ArchiveFile, Content, Plan
from services.ingest.erasure.adapters.memory import MemoryErasures
from services.ingest.erasure.domain.erasure import Erasure, Step
from services.ingest.erasure.usecases import ArchiveErasing, Behind
from tests.archive.rows import EventRow, records
from tests.archive.test_files import HOUR, decision
from tests.builders import NOW_US, event

ERASURE = Erasure("e_1", "p", NOW_US, ("ada",), Step.ARCHIVE)


class Killed(BaseException):
    """The process ends here."""


@dataclasses.dataclass
class Standings:
    """How far the consumers are."""

    dispatcher: int = 9
    archiver: int = 9

    async def standings(self) -> list[ShardStanding]:
        reached = {"dispatcher": self.dispatcher, "archiver": self.archiver}
        return [ShardStanding(name, "0", ShardState(checkpoint=at)) for name, at in reached.items()]


class Mortal:
    """An archive whose process ends after some rewritten files, before or after the last is there."""

    def __init__(self, archive: ParquetArchive, files: int, *, is_before: bool) -> None:
        self._archive, self._files, self._is_before = archive, files, is_before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._archive, name)

    async def erase(self, file: ArchiveFile, user_ids: Collection[str]) -> Content | None:
        self._files -= 1
        if self._is_before and self._files < 0:
            raise Killed
        after = await self._archive.erase(file, user_ids)
        if self._files < 0:
            raise Killed
        return after


def tail(folder: Path) -> ArrowTail:
    return ArrowTail(f"file://{folder}")


async def filled(folder: Path) -> ParquetArchive:
    """Two files of each kind with the person, and one without."""
    archive = ParquetArchive(f"file://{folder}")
    for sequence, user in enumerate(("ada", "bob", "ada"), 1):
        rows = [EventRow(sequence, 0, event(f"e-{sequence}", user_id=user, received_time_us=NOW_US))]
        part = await archive.pack("0", records(rows), [decision(each) for each in rows])
        await archive.write("0", Plan(sequence - 1, sequence), {HOUR}, [part])
    return archive


@pytest.mark.parametrize("files", range(4))
@pytest.mark.parametrize("is_before", [True, False])
async def test_every_rewritten_file_is_told_wherever_the_process_ends(
    tmp_path: Path,
    files: int,
    is_before: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    archive, kept = await filled(tmp_path), MemoryErasures()
    held = await archive.holding({"ada"})
    mortal: Any = Mortal(archive, files, is_before=is_before)
    with pytest.raises(Killed):
        await ArchiveErasing(kept, mortal, tail(tmp_path), Behind(Standings())).advance(ERASURE)
    erases = ArchiveErasing(kept, archive, tail(tmp_path), Behind(Standings()))
    for _ in range(3):
        await erases.advance(ERASURE)
    archived = await kept.archived("e_1")
    assert archived.is_done
    assert await archive.holding({"ada"}) == {}
    assert {path: (each.rows_before, each.hash_before) for path, each in archived.files.items()} == {
        file.path: tuple(content) for file, content in held.items()
    }
    assert len(held) == 4
    assert {each.rows_after for each in archived.files.values()} == {0}


async def test_nothing_is_rewritten_before_the_archiver_has_written_what_it_gathered(tmp_path: Path) -> None:
    archive, kept, standings = await filled(tmp_path), MemoryErasures(), Standings(dispatcher=9, archiver=3)
    erases = ArchiveErasing(kept, archive, tail(tmp_path), Behind(standings))
    await erases.advance(ERASURE)
    assert (await kept.archived("e_1")).files == {}
    standings.dispatcher, standings.archiver = 20, 9  # what was accepted since is not the person's
    await erases.advance(ERASURE)
    assert len((await kept.archived("e_1")).files) == 4


@pytest.mark.parametrize("step", [each for each in Step if each is not Step.ARCHIVE])
async def test_the_archive_is_left_alone_at_every_other_step(tmp_path: Path, step: Step) -> None:
    archive, kept = await filled(tmp_path), MemoryErasures()
    await ArchiveErasing(kept, archive, tail(tmp_path), Behind(Standings())).advance(
        Erasure("e_1", "p", NOW_US, ("ada",), step)
    )
    assert len(await archive.holding({"ada"})) == 4


async def test_what_was_shown_before_it_was_written_is_gone_with_the_person(tmp_path: Path) -> None:
    archive, kept, shows = await filled(tmp_path), MemoryErasures(), tail(tmp_path)
    part = await archive.pack("0", records([EventRow(3, 0, event("e-3", received_time_us=NOW_US))]), [])
    await shows.write("0", Plan(2, 3), [part])
    standings = Standings()
    standings.archiver = 9
    for _ in range(2):
        await ArchiveErasing(kept, archive, shows, Behind(standings)).advance(ERASURE)
    assert (await kept.archived("e_1")).is_done
    assert shown(tmp_path) == []


async def test_what_is_shown_of_others_and_not_written_yet_stays(tmp_path: Path) -> None:
    archive, kept, shows = await filled(tmp_path), MemoryErasures(), tail(tmp_path)
    part = await archive.pack("0", records([EventRow(10, 0, event("e-10", user_id="bob"))]), [])
    await shows.write("0", Plan(9, 10), [part])
    for _ in range(2):
        await ArchiveErasing(kept, archive, shows, Behind(Standings())).advance(ERASURE)
    assert len(shown(tmp_path)) == 1


def shown(folder: Path) -> list[str]:
    return [path.name for path in (folder / "tail").rglob("*") if path.is_file()]
