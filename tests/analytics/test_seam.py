"""Where the archive ends and its tail begins: each event is on one side, whatever is written meanwhile."""

import asyncio
import dataclasses
import tempfile
from collections import Counter
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from journeymesh.analytics.v1 import analytics_pb2 as wire

from records.tenants import qualified
from services.analytics.adapters.copies import manifests
from services.analytics.adapters.copies.following import Follower
from services.analytics.adapters.tasks import Place
from services.analytics.domain.layout import EVENTS, TailFile, part_path, tail_path
from services.analytics.domain.manifest import Piece, pieces
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.adapters.tail import ArrowTail
from services.ingest.archive.archiver import Limits
from services.ingest.archive.domain.layout import HOUR_US, DecisionRow, Plan, hour_of
from services.ingest.archive.ports import EventRows, Part
from tests.analytics.test_service import SECOND_US, Site, site
from tests.archive.rows import EventRow, records
from tests.archive.test_files import decision
from tests.archive.world import until
from tests.buckets import new_bucket
from tests.builders import NOW_US, event

SHOWING = Limits(period_seconds=3600.0, rest_seconds=0.02, tail_seconds=0.001)
STEPS = ("gather", "gather", "show", "write", "write and leave the tail", "write half", "be killed", "join", "look")


@dataclasses.dataclass
class Shard:
    """One shard: record n holds an event of each of two hours. What is gathered lies after the checkpoint."""

    folder: Path
    appended: int = 0
    checkpoint: int = 0
    gathered: int = 0
    planned: int = 0
    shown: int = 0
    """Through which record the tail shows."""
    parts: dict[int, Part] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        url = self.folder.as_uri() + "/archive"
        self.archive, self.tail = ParquetArchive(url), ArrowTail(url)
        self.follower = Follower(Place(url, str(self.folder / "copies")), grace_seconds=0.0)

    async def step(self, name: str) -> None:
        if name == "gather" and not 0 < self.planned <= self.gathered:  # of an open plan no more is gathered
            self.gathered = max(self.gathered, self.checkpoint) + 1
            if self.gathered not in self.parts:
                self.parts[self.gathered] = await self.archive.pack("0", *_rows(self.gathered))
        elif name == "show" and self.gathered > self.checkpoint:
            await self.tail.write("0", Plan(self.checkpoint, self.gathered), self._parts(self.gathered))
            self.shown = self.gathered
        elif name.startswith("write"):
            await self._write(name)
        elif name == "be killed":
            self.gathered = self.checkpoint
        elif name == "join":
            for hour in await self.archive.hours():
                await self.archive.compact("0", hour)

    async def _write(self, name: str) -> None:
        through = self.planned or self.gathered
        self.gathered = max(self.gathered, through)
        if through == self.checkpoint:
            return
        hours = {hour_of(NOW_US), hour_of(NOW_US - HOUR_US)}
        if name != "write":
            await self.step("show")
        if name == "write half":
            self.planned = through
            hours = {min(hours)}
        await self.archive.write("0", Plan(self.checkpoint, through), hours, self._parts(through))
        if name != "write half":
            self.checkpoint, self.planned = through, 0
        if name == "write":
            await self.tail.write("0", Plan(through, through), ())
            self.shown = 0

    def _parts(self, through: int) -> list[Part]:
        return [self.parts[number] for number in range(self.checkpoint + 1, through + 1)]

    def counted(self) -> Counter[str]:
        """How often the copies and their tail have each event."""
        root = self.folder / "copies"
        known = manifests.read(root)
        files = [part_path(kind, day, part.name) for (kind, day), part in known.parts.items() if kind == EVENTS]
        files += [tail_path(day, part.name) for (kind, day), part in known.tail.parts.items() if kind == EVENTS]
        found = [duckdb.read_parquet(str(root / path)).project("event_id").fetchall() for path in files]
        return Counter(event_id for rows in found for (event_id,) in rows)


def _rows(number: int) -> tuple[list[EventRows], list[DecisionRow]]:
    rows = [
        EventRow(number, index, event(f"e-{number}-{index}", received_time_us=NOW_US - index * HOUR_US))
        for index in range(2)
    ]
    return records(rows), [decision(row) for row in rows]


@settings(max_examples=8, phases=(Phase.generate,), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.booleans()), max_size=14))
def test_each_event_counts_once_whatever_is_written_between_two_looks(steps: list[tuple[str, bool]]) -> None:
    async def lived(shard: Shard) -> None:
        for name, is_all in [*steps, ("look", False), ("look", True)]:
            await shard.step(name)
            if name == "look":
                shard.follower.bring_up(is_all=is_all)
                through = max(shard.checkpoint, shard.shown)
                every = {f"e-{number}-{index}" for number in range(1, through + 1) for index in range(2)}
                # Of a plan that was written by half, the next holder may not have come as far again.
                half = {f"e-{number}-1" for number in range(1, shard.planned + 1)}
                counted = shard.counted()
                assert every <= counted.keys() <= every | half
                assert set(counted.values()) <= {1}

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(lived(Shard(Path(folder))))


def test_files_of_the_tail_that_overlap_show_each_row_once() -> None:
    old, new = TailFile("0", 1, 9, "old"), TailFile("0", 5, 12, "new")
    inside, other = TailFile("0", 2, 3, "inside"), TailFile("1", 1, 3, "other")
    assert pieces([new, other, inside, old]) == [Piece(old, 1), Piece(new, 10), Piece(other, 1)]


async def _shown(at: Site, count: int, tenant: str = "") -> None:
    """Looks at the tail until so many events are counted."""
    async with asyncio.timeout(20):
        while await at.count(tenant) != count:
            await at.copies.bring_up(is_all=False)


async def test_what_is_not_archived_yet_is_in_every_answer_and_in_the_receipt(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-1"), event("e-2", user_id="bob"))
        at.world.limits = SHOWING
        async with at.world.following():
            await at.world.append(
                event("e-3", received_time_us=NOW_US + SECOND_US),
                event(qualified("acme", "e-4"), user_id=qualified("acme", "eve")),
            )
            await at.world.dispatch(score=80)
            await _shown(at, 3)
            assert at.copies.manifest().tail.parts
            assert [await at.count(tenant) for tenant in ("acme", "other")] == [1, 0]
            assert await at.journey("ada") == ["e-1", "e-3"]
            shown = await at.stub.AskKpis(wire.AskKpisRequest(question=wire.KpisQuestion()))
            assert shown.receipt.watermark.ToMicroseconds() == NOW_US + SECOND_US
            listed = await at.stub.AskList(wire.AskListRequest(question=wire.ListQuestion(kind=wire.LIST_KIND_OFFERS)))
            assert [row.user_id for row in listed.rows] == ["ada"]
        await at.bring_up()
        assert not at.copies.manifest().tail.parts
        archived = await at.stub.AskKpis(wire.AskKpisRequest(question=wire.KpisQuestion()))
        assert (archived.kpis, archived.receipt.row_count) == (shown.kpis, shown.receipt.row_count)


@pytest.mark.parametrize("is_copy_first", [True, False])
async def test_a_copy_counts_instead_of_its_original_on_either_side(tmp_path: Path, is_copy_first: bool) -> None:  # noqa: FBT001 - a parameter of the test
    original, copy = event("e-1", user_id="anon"), event("jm:e-1", user_id="ada", copied_event_id="e-1")
    first, second = (copy, original) if is_copy_first else (original, copy)
    async with site(tmp_path) as at:
        await at.archive(first)
        at.world.limits = SHOWING
        async with at.world.following():
            await at.world.append(second, event("e-2", user_id="bob"))
            await at.world.dispatch()
            await _shown(at, 2)
            elsewhere = wire.Condition(field=wire.FIELD_PAGE, comparison=wire.COMPARISON_IS_NOT, values=["/x"])
            for segment in (wire.UserFilter(), wire.UserFilter(did=[elsewhere])):
                asked = wire.ListQuestion(kind=wire.LIST_KIND_USERS, segment=segment)
                listed = await at.stub.AskList(wire.AskListRequest(question=asked))
                assert {row.user_id for row in listed.rows} == {"ada", "bob"}
            users = wire.TrendQuestion(measure=wire.MEASURE_USERS)
            assert (await at.stub.AskTrend(wire.AskTrendRequest(question=users))).series[0].total == 2


async def test_who_is_erased_does_not_come_back_with_the_tail(tmp_path: Path) -> None:
    shard = Shard(tmp_path)
    for name in ("gather", "show"):
        await shard.step(name)
    shard.follower.bring_up(is_all=False)
    assert len(shard.counted()) == 2
    await shard.step("write")
    for file in shard.archive.files(EVENTS):
        await shard.archive.erase(file, ["ada"])
    # An archiver that has lost the shard, and does not know it yet, shows what it had gathered.
    await shard.tail.write("0", Plan(0, 1), [shard.parts[1]])
    for is_all in (False, True):
        shard.follower.bring_up(is_all=is_all)
        assert shard.counted() == Counter()
    assert [*(tmp_path / "copies").rglob("*.parquet")] == []


async def test_that_a_tail_has_gone_says_that_it_is_archived(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.world.limits = SHOWING
        async with at.world.following():
            await at.world.append(event("e-1"))
            await at.world.dispatch()
            await until(lambda: any((tmp_path / "archive").rglob("*.arrows")))
        await _shown(at, 1)


async def test_the_tail_is_read_from_a_bucket_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    url = new_bucket(monkeypatch, request.getfixturevalue("s3"))
    async with site(tmp_path, archive_url=url) as at:
        at.world.limits = SHOWING
        async with at.world.following():
            await at.world.append(event("e-1"))
            await at.world.dispatch()
            await _shown(at, 1)
            assert at.world.archive.files(EVENTS) == []
        await _shown(at, 1)
        assert at.world.archive.files(EVENTS)
