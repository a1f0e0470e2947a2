"""Every event that counts is in the archive once, whatever happens while it is written."""

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2, event_table_pb2

from mesh.errors import FailedPrecondition, Unavailable
from mesh.leases.port import Lease
from mesh.stream.port import END
from records.table import of_events
from records.wire import encoded
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.archiver import Limits
from services.ingest.archive.domain.layout import DECISIONS, EVENTS, HOUR_US, Plan, gaps, hour_of
from services.ingest.archive.ports import Part
from tests.archive.world import PATIENT, SHARD, World, until
from tests.builders import NOW_US, event


def decisions(world: World) -> list[dict[str, Any]]:
    batches = (batch for file in world.archive.files(DECISIONS) for batch in world.archive.batches(file))
    return [row for batch in batches for row in batch.to_pylist()]


async def test_events_and_decisions_are_kept_each_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.append(event("a"), event("b"))
    last = await world.append(event("c", user_id="bob"))
    await world.dispatch(score=80)
    async with world.following():
        await world.until_checkpoint(last)
    assert [each[:3] for each in world.events()] == [(SHARD, 0, 0), (SHARD, 0, 1), (SHARD, 1, 0)]
    assert [each.event for each in world.events()] == [event("a"), event("b"), event("c", user_id="bob")]
    assert not any(each.is_set_aside for each in world.events())
    rows = decisions(world)
    assert [row["event_id"] for row in rows] == ["a", "b", "c"]
    assert [row["kind"] for row in rows] == ["intervene", "none", "intervene"]
    assert [row["reasons"] for row in rows] == [
        ["risk_at_trigger"],
        ["already_pending", "risk_at_trigger"],
        ["risk_at_trigger"],
    ]
    helped = rows[0]
    assert helped["decision_id"] == f"d-{SHARD}-0-0"
    assert json.loads(helped["intervention"])["id"] == f"i-{SHARD}-0-0"
    assert helped["explanation"].startswith("The risk of 80.0")
    assert (helped["score"], helped["level"], helped["model_version"]) == (80.0, "high", "model-1")
    assert helped["indicators"] == [{"name": "form_errors", "contribution": 10.0, "reason": "because of form_errors"}]
    assert helped["propensity"] == 1.0


async def test_of_a_record_every_event_is_kept_and_one_decision_on_each_user(tmp_path: Path) -> None:
    world = World(tmp_path)
    last = await world.append(event("a"), event("b", "bob"), event("c"), event("d"), event("a"))
    await world.dispatch(score=80, is_by_event=False)
    async with world.following():
        await world.until_checkpoint(last)
    assert world.ids() == ["a", "b", "c", "d"]
    assert not any(each.is_set_aside for each in world.events())
    rows = [(row["event_id"], row["kind"], row["event_count"]) for row in decisions(world)]
    assert rows == [("b", "intervene", 1), ("d", "intervene", 3)]


async def test_of_a_record_applied_in_part_the_rest_is_marked(tmp_path: Path) -> None:
    world = World(tmp_path)
    last = await world.append(event("a"), event("b", "bob"), event("c"))
    await world.failed_records.add(SHARD, [last])
    await world.dispatch(is_by_event=False, only="ada")
    async with world.following():
        await world.until_checkpoint(last)
    assert [(each.event.event_id, each.is_set_aside) for each in world.events()] == [
        ("a", False),
        ("b", True),
        ("c", False),
    ]


async def test_plain_decisions_have_their_columns_and_no_more(tmp_path: Path) -> None:
    world = World(tmp_path)
    last = await world.append(event("a"))
    await world.dispatch(score=10)
    async with world.following():
        await world.until_checkpoint(last)
    (rows,) = decisions(world)
    assert (rows["kind"], rows["reasons"], rows["level"]) == ("none", ["below_trigger"], "low")
    assert (rows["explanation"], rows["intervention"], rows["propensity"]) == (None, None, None)


async def test_only_the_copy_that_counts_is_kept(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.append(event("a"), event("b"), event("a"))
    last = await world.append(event("b"), event("c"))
    await world.dispatch()
    async with world.following():
        await world.until_checkpoint(last)
    assert [(each.sequence, each.event_index, each.event.event_id) for each in world.events()] == [
        (0, 0, "a"),
        (0, 1, "b"),
        (1, 1, "c"),
    ]


async def test_what_was_set_aside_is_kept_and_marked(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.append(event("a"))
    poison = await world.append(event("b"))
    last = await world.append(event("c"), event("b"))
    await world.dispatch(poison=[poison])
    await world.append(event("d"))
    async with world.following():
        await world.until_checkpoint(last)
    rows = {(each.sequence, each.event.event_id): each.is_set_aside for each in world.events()}
    # Nobody had claimed "b" where it was set aside: the copy was applied, and counts.
    assert rows == {(0, "a"): False, (2, "c"): False, (2, "b"): False}

    world = World(tmp_path / "claimed")
    poison = await world.append(event("b"))
    await world.dispatch(poison=[poison])
    last = await world.append(event("b"), event("c"))
    await world.dispatch()
    async with world.following():
        await world.until_checkpoint(poison)
    assert poison not in await world.failed_records.find(SHARD, [poison])


async def test_an_event_that_counts_and_was_set_aside_is_marked(tmp_path: Path) -> None:
    world = World(tmp_path)
    poison = await world.append(event("a"), event("b"))
    await world.dispatch(poison=[poison])
    async with world.following():
        await world.until_checkpoint(poison)
    assert [(each.event.event_id, each.is_set_aside) for each in world.events()] == [("a", True), ("b", True)]
    assert decisions(world) == []
    # The mark is of no more use.
    assert await world.failed_records.find(SHARD, [poison]) == set()


async def test_a_record_that_does_not_decode_leaves_no_gap(tmp_path: Path) -> None:
    world = World(tmp_path)
    for payload in (b"\xff\xff", b"\xff"):
        last = await world.append_payload(payload)
        await world.dispatch()
        async with world.following():
            await world.until_checkpoint(last)
    last = await world.append(event("a"))
    await world.dispatch()
    async with world.following():
        await world.until_checkpoint(last)
    assert world.ids() == ["a"]
    assert [(file.first, file.last) for file in world.archive.files(EVENTS)] == [(0, 0), (1, 1), (2, 2)]


async def test_events_that_the_version_before_wrote_one_by_one_are_archived_alike(tmp_path: Path) -> None:
    rows = [event("a"), event("b", properties=b'{"a": 1}'), event("c", kind="click", click={"x": 1.0})]
    archives = []
    for name in ("now", "before"):
        world = World(tmp_path / name)
        if name == "now":
            last = await world.append(*rows)
        else:
            last = await world.append_payload(event_pb2.EventRecord(events=rows).SerializeToString())
        await world.dispatch()
        async with world.following():
            await world.until_checkpoint(last)
        archives.append((world.events(), decisions(world)))
    assert archives[0] == archives[1]
    assert [each.event for each in archives[0][0]] == rows


def with_a_member_of_tomorrow() -> event_table_pb2.StreamRecord:
    newer = event_table_pb2.StreamRecord(table=encoded(of_events([event("b")])), format_version=1)
    newer.table.MergeFromString(b"\xc2\x3e\x05hello")  # field 1000
    return newer


@pytest.mark.parametrize(
    "newer",
    [with_a_member_of_tomorrow(), event_table_pb2.StreamRecord(events=[event("b")], format_version=2)],
    ids=["a member", "a form"],
)
async def test_what_a_newer_version_tells_waits_and_what_stands_before_it_does_not(
    newer: event_table_pb2.StreamRecord, tmp_path: Path
) -> None:
    world = World(tmp_path)
    last = await world.append(event("a"))
    await world.dispatch()
    await world.pass_by(await world.append_payload(newer.SerializeToString()))
    async with world.following():
        await world.until_checkpoint(last)
        await until(lambda: "newer version" in world.standing().trouble)
        assert world.standing().checkpoint == last
    assert world.ids() == ["a"]


async def test_where_its_leases_are_gone_it_goes_on_behind_its_last_files(tmp_path: Path) -> None:
    world = World(tmp_path)
    for name in ("a", "b"):
        last = await world.append(event(name))
        await world.dispatch()
        async with world.following():
            await world.until_checkpoint(last)
    world.leases._standings.clear()
    world.plans._kept = {shard: (0, plan) for shard, (_, plan) in world.plans._kept.items()}
    last = await world.append(event("c"))
    await world.dispatch()
    async with world.following():
        await world.until_checkpoint(last)
    assert world.ids() == ["a", "b", "c"]


@pytest.mark.parametrize("at", [0, 1, 2])
async def test_a_record_that_cannot_be_archived_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, at: int
) -> None:
    world = World(tmp_path)
    names = ["a", "b", "c"]
    names[at] = "bad"
    for name in names:
        last = await world.append(event(name))
    await world.dispatch()
    pack = ParquetArchive.pack

    async def picky(self: ParquetArchive, shard: str, rows: Any, decided: Any) -> Any:
        if any("bad" in row.table.event_id for row in rows):
            raise LookupError(*names)
        return await pack(self, shard, rows, decided)

    monkeypatch.setattr(ParquetArchive, "pack", picky)
    async with world.following():
        await world.until_checkpoint(last)
    assert world.ids() == [name for name in names if name != "bad"]
    assert sum("cannot be archived" in one.getMessage() for one in caplog.records) == 1
    assert str(LookupError(*names)) not in caplog.text


async def test_what_the_dispatcher_is_not_through_with_waits(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.append(event("a"))
    await world.dispatch()
    last = await world.append(event("b"))
    async with world.following():
        await world.until_checkpoint(0)
        assert world.ids() == ["a"]
        await world.dispatch()
        await world.until_checkpoint(last)
    assert world.ids() == ["a", "b"]


async def test_the_stream_forgets_what_is_archived(tmp_path: Path) -> None:
    world = World(tmp_path)
    last = await world.append(event("a"))
    await world.dispatch()
    async with world.following():
        await world.until_checkpoint(last)
    assert (await world.stream.read(SHARD, -1, 10, 0.001)).records == []


async def test_what_is_gathered_is_written_where_it_is_told_to_stop(tmp_path: Path) -> None:
    world = World(tmp_path, PATIENT)
    last = await world.append(event("a"))
    await world.dispatch()
    read = asyncio.Event()

    class Dispatched:
        asked = 0

        async def checkpoint(self, shard: str) -> int:
            self.asked += 1
            if self.asked > 1:
                read.set()
            return await world.dispatched.checkpoint(shard)

    async with world.following(world.archiver(dispatched=Dispatched())):
        await asyncio.wait_for(read.wait(), 10)
        assert world.ids() == []
    assert world.ids() == ["a"]
    assert await world.leases.checkpoint(SHARD) == last


@pytest.mark.parametrize("limits", [Limits(flush_events=4, rest_seconds=0), Limits(flush_bytes=1, rest_seconds=0)])
async def test_enough_is_written_at_once(tmp_path: Path, limits: Limits) -> None:
    world = World(tmp_path, limits)
    for number in range(3):
        last = await world.append(*[event(f"{number}-{index}") for index in range(2)])
    await world.dispatch()
    async with world.following():
        await world.until_checkpoint(1)
    assert len(world.ids()) == 6
    assert await world.leases.checkpoint(SHARD) == last


async def test_a_closed_shard_is_through_when_all_of_it_is_written(tmp_path: Path) -> None:
    world = World(tmp_path, PATIENT)
    await world.append(event("a"))
    await world.dispatch()
    async with world.following() as following:
        await world.stream.split(SHARD)
        await world.dispatch()
        await asyncio.wait_for(following, 10)
    assert world.ids() == ["a"]
    assert await world.leases.checkpoint(SHARD) == END


async def test_files_of_an_hour_that_is_over_become_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.following():
        for number in range(4):
            at_us = NOW_US + (HOUR_US if number == 3 else 0)
            last = await world.append(event(f"e-{number}", received_time_us=at_us))
            await world.dispatch()
            await world.until_checkpoint(last)
        await until(lambda: len(world.archive.files(DECISIONS)) == 2)
    hour = hour_of(NOW_US)
    assert [(file.hour, file.first, file.last) for file in world.archive.files(EVENTS)] == [
        (hour, 0, 2),
        (hour + 1, 3, 3),
    ]
    assert world.ids() == ["e-0", "e-1", "e-2", "e-3"]


async def test_who_takes_over_joins_what_the_other_has_left(tmp_path: Path) -> None:
    world = World(tmp_path)
    for number in range(2):
        last = await world.append(event(f"e-{number}"))
        await world.dispatch()
        async with world.following():
            await world.until_checkpoint(last)
    await world.append(event("e-2", received_time_us=NOW_US + HOUR_US))
    await world.dispatch()
    async with world.following():
        await until(lambda: [file.last for file in world.archive.files(DECISIONS)] == [1, 2])
    assert [(file.first, file.last) for file in world.archive.files(EVENTS)] == [(0, 1), (2, 2)]


async def test_a_store_that_is_away_is_waited_for_and_that_is_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    last = await world.append(event("a"))
    await world.dispatch()
    (tmp_path / "events").write_text("in the way")
    async with world.following():
        await until(lambda: bool(world.standing().trouble))
        (tmp_path / "events").unlink()
        await world.until_checkpoint(last)
    assert world.ids() == ["a"]
    assert world.standing().trouble == ""


class Crash(BaseException):
    """The end of a process."""


class Crashing:
    """An archive, plans and leases in which the process ends at the n-th call that writes; half of it may be done."""

    def __init__(self, world: World, at: int) -> None:
        self._left = at
        self.archive, self.plans, self.leases = (
            self._around(world.archive, "write", "compact"),
            self._around(world.plans, "save"),
            self._around(world.leases, "save"),
        )

    def _around(self, whole: Any, *names: str) -> Any:
        class Part:
            def __getattr__(self, name: str) -> Any:
                return getattr(whole, name)

        part = Part()
        for name in names:
            setattr(part, name, self._counted(getattr(whole, name)))
        return part

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def counted(*arguments: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                raise Crash
            answer = await call(*arguments)
            self._left -= 1
            if self._left == 0:
                raise Crash
            return answer

        return counted


@given(
    records=st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=1, max_size=8),
    crashes=st.lists(st.integers(1, 12), max_size=4),
    flush_events=st.integers(1, 5),
)
async def test_nothing_is_lost_and_nothing_doubled_wherever_it_crashes(
    tmp_path_factory: pytest.TempPathFactory, records: list[list[int]], crashes: list[int], flush_events: int
) -> None:
    world = World(tmp_path_factory.mktemp("archive"), Limits(flush_events, period_seconds=3600, rest_seconds=0))
    for number, ids in enumerate(records):
        # Every third record is of the next hour.
        at_us = NOW_US + number // 3 * HOUR_US
        await world.append(*[event(f"e-{each}", received_time_us=at_us) for each in ids])
    await world.stream.split(SHARD)
    await world.dispatch()
    for at in crashes:
        if await world.leases.checkpoint(SHARD) == END:
            break
        crashing = Crashing(world, at)
        archiver = world.archiver(archive=crashing.archive, plans=crashing.plans, leases=crashing.leases)
        try:
            await archiver.follow(await world.take())
        except Crash:
            # The next one may be set otherwise; an open plan is kept to all the same.
            world.limits = Limits(flush_events + 1, period_seconds=3600, rest_seconds=0)
    if await world.leases.checkpoint(SHARD) != END:
        await world.archiver().follow(await world.take())
    wanted = list(dict.fromkeys(f"e-{each}" for ids in records for each in ids))
    assert world.ids() == wanted
    assert sorted(row["event_id"] for row in decisions(world)) == sorted(wanted)
    assert gaps(world.archive.files(EVENTS)) == []


async def test_who_has_lost_the_shard_writes_no_plan_and_ends(tmp_path: Path) -> None:
    world = World(tmp_path)
    last = await world.append(event("a"))
    await world.dispatch()
    entered, released = asyncio.Event(), asyncio.Event()

    class Slow:
        take = world.plans.take

        async def save(self, shard: str, epoch: int, plan: Plan) -> None:
            entered.set()
            await released.wait()
            await world.plans.save(shard, epoch, plan)

    late = asyncio.create_task(world.archiver(plans=Slow()).follow(await world.take()))
    await asyncio.wait_for(entered.wait(), 10)
    async with world.following():
        await world.until_checkpoint(last)
    released.set()
    with pytest.raises(FailedPrecondition, match="given to another"):
        await late
    assert world.ids() == ["a"]


async def test_a_plan_that_was_made_is_kept_to_by_who_takes_over_while_the_other_still_writes(tmp_path: Path) -> None:
    world = World(tmp_path, Limits(flush_events=2, period_seconds=3600, rest_seconds=0))
    await world.append(event("a"), event("b"))
    await world.dispatch()
    entered, released = asyncio.Event(), asyncio.Event()

    class Slow:
        hours, pack, compact = world.archive.hours, world.archive.pack, world.archive.compact

        async def write(self, shard: str, plan: Plan, hours: Collection[int], parts: Sequence[Part]) -> None:
            entered.set()
            await released.wait()
            await world.archive.write(shard, plan, hours, parts)

    late = asyncio.create_task(world.archiver(archive=Slow()).follow(await world.take()))
    await asyncio.wait_for(entered.wait(), 10)
    last = await world.append(event("c"), event("d"))
    await world.dispatch()
    async with world.following():
        await world.until_checkpoint(last)
        released.set()
        with pytest.raises(FailedPrecondition):
            await late
    assert world.ids() == ["a", "b", "c", "d"]
    assert [(file.first, file.last) for file in world.archive.files(EVENTS)] == [(0, 0), (1, 1)]


async def test_a_plan_of_which_the_stream_has_lost_records_does_not_hold_the_shard_up(tmp_path: Path) -> None:
    world = World(tmp_path)
    last = await world.append(event("a"))
    await world.append(event("b"))
    await world.dispatch()
    await world.plans.save(SHARD, 0, Plan(-1, last))
    await world.stream.trim(SHARD, last)
    async with world.following():
        await world.until_checkpoint(last + 1)
    assert world.ids() == ["b"]


class _Absent(ParquetArchive):
    """An archive that takes nothing."""

    async def write(self, shard: str, plan: Plan, hours: Collection[int], parts: Sequence[Part]) -> int:
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "The archive cannot be reached.")


async def test_it_stops_although_the_archive_is_away(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.append(event("a"))
    await world.dispatch()
    lease: Lease = await world.take()
    following = asyncio.create_task(world.archiver(archive=_Absent(f"file://{tmp_path}")).follow(lease))
    await until(lambda: bool(world.standing().trouble))
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    assert await world.leases.checkpoint(SHARD) == -1
