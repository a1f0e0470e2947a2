"""What is over its days goes, and nothing else: as the dry run says, and wherever the process ends."""

import asyncio
import dataclasses
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import InvalidArgument
from mesh.observability.metrics import Metrics
from records.tenants import qualified, tenant_of
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import DECISIONS, EVENTS, HOUR_US, ArchiveFile, Plan, hour_of
from services.ingest.erasure.adapters.memory import MemoryErasures
from services.ingest.retention.adapters.memory import MemoryPasses
from services.ingest.retention.domain.terms import FOR_GOOD, Terms
from services.ingest.retention.usecases import LATEST_DAY, Expiring, Pass, Retention
from tests.archive.rows import EventRow, records
from tests.archive.test_files import decision
from tests.builders import event

TODAY = 20_000
DAY_US = 24 * HOUR_US
KINDS = (EVENTS, DECISIONS)
Row = tuple[int, int, str]
"""Days before today, hour of the day, tenant."""


class Killed(BaseException):
    """The process ends here."""


class Mortal:
    """An archive whose process ends after some files, before or after the last one is changed."""

    def __init__(self, archive: ParquetArchive, files: int, *, is_before: bool) -> None:
        self._archive, self._files, self._is_before = archive, files, is_before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._archive, name)

    async def _last(self, change: Any) -> None:
        self._files -= 1
        if self._files >= 0 or not self._is_before:
            await change
        else:
            change.close()
        if self._files < 0:
            raise Killed

    async def expire(self, file: ArchiveFile, gone: Any) -> None:
        await self._last(self._archive.expire(file, gone))

    async def delete(self, file: ArchiveFile) -> None:
        await self._last(self._archive.delete(file))


@dataclasses.dataclass
class World:
    """An archive, with the time and the terms."""

    archive: Any
    terms: Terms
    now_us: int = TODAY * DAY_US + 1
    passes: MemoryPasses = dataclasses.field(default_factory=MemoryPasses)
    metrics: Metrics = dataclasses.field(default_factory=Metrics)

    async def known(self) -> Terms:
        return self.terms

    @property
    def retention(self) -> Retention:
        return Retention(self.archive, self.known, lambda: self.now_us)

    @property
    def expiring(self) -> Expiring:
        return Expiring(self.retention, self.passes, MemoryErasures(), self.metrics)

    async def live(self) -> None:
        for due in await self.expiring.due():
            await self.expiring.advance(due)


async def filled(folder: Path, rows: list[Row]) -> ParquetArchive:
    """Each row in the range of a record of its own, but for those of one hour that follow one another."""
    archive = ParquetArchive(f"file://{folder}")
    written = 0
    while written < len(rows):
        through = written
        while through < len(rows) and rows[through][:2] == rows[written][:2]:
            through += 1
        made = [_event(number, *rows[number]) for number in range(written, through)]
        part = await archive.pack("0", records(made), [*map(decision, made)])
        await archive.write("0", Plan(written, through), {hour_of(made[0].event.received_time_us)}, [part])
        written = through
    return archive


def _event(number: int, age_days: int, hour: int, tenant: str) -> EventRow:
    at_us = (TODAY - age_days) * DAY_US + hour * HOUR_US + number
    return EventRow(
        number + 1, 0, event(qualified(tenant, f"e-{number}"), user_id=qualified(tenant, "ada"), received_time_us=at_us)
    )


def rows_of(archive: ParquetArchive, kind: str) -> list[tuple[str, str]]:
    """Tenant and event of each row, in the order of the archive."""
    batches = (batch for file in archive.files(kind) for batch in archive.batches(file))
    return [(tenant_of(each["user_id"]), each["event_id"]) for batch in batches for each in batch.to_pylist()]


def contents(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


TENANTS = st.sampled_from(("", "acme", "b-2", "c"))
ROWS = st.lists(st.tuples(st.integers(-1, 12), st.sampled_from((0, 23)), TENANTS), max_size=8)
RULES = st.builds(Terms, st.integers(0, 9), st.dictionaries(TENANTS.filter(bool), st.integers(1, 9), max_size=3))


@settings(max_examples=25, deadline=None)
@given(ROWS, RULES, st.integers(-2, 3))
def test_the_dry_run_says_exactly_what_the_pass_of_its_day_deletes(rows: list[Row], terms: Terms, later: int) -> None:
    async def story(folder: Path) -> None:
        archive, day = await filled(folder, sorted(rows, reverse=True)), TODAY + later
        world = World(archive, terms)
        before, files = {kind: rows_of(archive, kind) for kind in KINDS}, contents(folder)
        said = await world.retention.forecast(day)
        assert contents(folder) == files
        await world.expiring.advance(Pass(day))
        after, left = {kind: rows_of(archive, kind) for kind in KINDS}, contents(folder)

        for kind in KINDS:
            gone = [each for each in before[kind] if each not in after[kind]]
            assert after[kind] == [each for each in before[kind] if each in after[kind]]
            told = {each.tenant: each.row_count for each in said.expiries if each.kind == kind}
            assert {tenant: count for tenant, count in told.items() if count} == Counter(tenant for tenant, _ in gone)
            ages = {f"e-{number}": row[0] for number, row in enumerate(sorted(rows, reverse=True))}
            for tenant, event_id in before[kind]:
                days = terms.days(tenant)
                is_over = days != FOR_GOOD and ages[event_id.rpartition("\x1f")[2]] + later > days
                assert is_over == ((tenant, event_id) in gone)
        deleted = files.keys() - left.keys()
        rewritten = {path for path in left if left[path] != files[path]}
        assert (said.deleted_files, said.deleted_bytes) == (len(deleted), sum(len(files[each]) for each in deleted))
        assert said.rewritten_files == len(rewritten)
        assert said.rewritten_bytes == sum(len(files[each]) for each in rewritten)

        again = await world.retention.forecast(day)
        assert not any(each.row_count for each in again.expiries)
        await world.expiring.advance(Pass(day))
        assert contents(folder) == left

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(story(Path(folder)))


SOME: list[Row] = [(9, 3, ""), (9, 3, "acme"), (8, 3, "acme"), (3, 3, ""), (3, 3, "acme"), (1, 3, "")]
SHORT = Terms(7, {"acme": 2})


@pytest.mark.parametrize("files", range(6))
@pytest.mark.parametrize("is_before", [True, False])
async def test_a_pass_goes_on_wherever_the_process_ended(
    tmp_path: Path,
    files: int,
    is_before: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    archive = await filled(tmp_path / "a", SOME)
    world = World(archive, SHORT)
    await World(await filled(tmp_path / "b", SOME), SHORT).expiring.advance(Pass(TODAY))
    with pytest.raises(Killed):
        await World(Mortal(archive, files, is_before=is_before), SHORT).expiring.advance(Pass(TODAY))
    await world.expiring.advance(Pass(TODAY))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert rows_of(archive, EVENTS) == [("", "e-3"), ("", "e-5")]


async def test_what_stays_is_written_as_it_was(tmp_path: Path) -> None:
    archive = await filled(tmp_path, [(3, 3, ""), (3, 3, "acme"), (3, 3, "")])
    (file,) = archive.files(EVENTS)
    before = pq.read_table(tmp_path / file.path)
    await archive.expire(file, ["acme"])
    after = pq.read_table(tmp_path / file.path)
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.to_pylist() == [before.to_pylist()[0], before.to_pylist()[2]]


async def test_ranges_stay_complete_while_anybody_keeps_something_of_the_hour(tmp_path: Path) -> None:
    archive = await filled(tmp_path, [(9, 3, ""), (8, 3, "acme"), (1, 3, "")])
    await World(archive, Terms(30, {"acme": 2})).expiring.advance(Pass(TODAY))
    assert [(each.first, each.last) for each in archive.files(EVENTS)] == [(1, 1), (2, 2), (3, 3)]
    await World(archive, Terms(7, {"acme": 2})).expiring.advance(Pass(TODAY))
    assert [(each.first, each.last) for each in archive.files(EVENTS)] == [(3, 3)]


async def test_a_pass_is_made_once_per_day_and_first_on_the_day_after_the_first_start(tmp_path: Path) -> None:
    world = World(await filled(tmp_path, SOME), SHORT)
    await world.live()
    assert len(rows_of(world.archive, EVENTS)) == len(SOME)
    world.now_us += DAY_US
    await world.live()
    assert rows_of(world.archive, EVENTS) == [("", "e-3"), ("", "e-5")]
    assert b"expired_rows_total 8" in world.metrics.render()
    # A change of the terms waits for the next day, so that it can be forecast.
    world.terms = Terms(1)
    await world.live()
    assert rows_of(world.archive, EVENTS) == [("", "e-3"), ("", "e-5")]
    world.now_us += DAY_US
    await world.live()
    assert rows_of(world.archive, EVENTS) == []


async def test_a_file_that_nobody_can_read_keeps_no_other_and_goes_with_its_hour(tmp_path: Path) -> None:
    archive = await filled(tmp_path, SOME)
    broken = tmp_path / archive.files(EVENTS)[0].path
    broken.write_bytes(b"no Parquet")
    await World(archive, Terms(0, {"acme": 2})).expiring.advance(Pass(TODAY))
    assert broken.exists()
    await World(archive, SHORT).expiring.advance(Pass(TODAY))
    assert not broken.exists()


@pytest.mark.parametrize("day", [-1, LATEST_DAY + 1])
async def test_a_day_is_one_of_a_calendar(tmp_path: Path, day: int) -> None:
    with pytest.raises(InvalidArgument):
        await World(await filled(tmp_path, []), SHORT).retention.forecast(day)


async def test_without_a_day_it_is_tomorrow(tmp_path: Path) -> None:
    world = World(await filled(tmp_path, []), Terms(7, {"acme": 2}))
    said = await world.retention.forecast(None)
    assert said.on_day == TODAY + 1
    assert {(each.tenant, each.days, each.first_kept_day) for each in said.expiries} == {
        ("", 7, TODAY - 6),
        ("acme", 2, TODAY - 1),
    }


async def test_files_expire_and_go_in_every_storage(archive: ParquetArchive) -> None:
    made = [_event(number, 3, 3, tenant) for number, tenant in enumerate(("", "acme", "acme"))]
    part = await archive.pack("0", records(made), [*map(decision, made)])
    hour = hour_of(made[0].event.received_time_us)
    await archive.write("0", Plan(0, 3), {hour}, [part])
    assert await archive.before(hour) == {}
    held = await archive.before(hour + 1)
    assert {file.kind: dict(holding.rows) for file, holding in held.items()} == {
        kind: {"": 1, "acme": 2} for kind in KINDS
    }
    for file in held:
        for _ in range(2):
            await archive.expire(file, ["acme"])
    assert [dict(each.rows) for each in (await archive.before(hour + 1)).values()] == [{"": 1}, {"": 1}]
    for file in held:
        for _ in range(2):
            await archive.delete(file)
        await archive.expire(file, [""])
    assert await archive.before(hour + 1) == {}
