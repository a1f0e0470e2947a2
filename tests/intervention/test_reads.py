"""What a read of decisions may cost: as much as it returns, in pieces between which help goes on."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from journeymesh.intervention.v1 import intervention_pb2 as wire

from services.intervention import reading
from services.intervention.decision.adapters.memory import MemoryLedger
from services.intervention.decision.domain import ledger
from services.intervention.decision.ids import trace_name
from services.intervention.decision.ports import Entry, Reference
from tests.intervention.builders import NOON_ISH, Row, World

TRACE = 9
ASKED = wire.ListDecisionsRequest(trace_id=TRACE.to_bytes(16, "big").hex(), page_size=5)


class CountingLedger(MemoryLedger):
    """A ledger that counts the blocks it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.block_count = 0

    async def blocks(self, references: Sequence[Reference]) -> list[bytes | None]:
        self.block_count += len(references)
        return await super().blocks(references)


def large_world() -> tuple[World, CountingLedger]:
    """Records that all belong to one trace, which a client chose."""
    world, counting = World(), CountingLedger()
    world.reading._ledger = world.deciding._ledger = counting
    return world, counting


async def fill(world: World, records: int, rows: int) -> None:
    for number in range(records):
        at_us = NOON_ISH + number * 1_000
        await world.deliver(
            1 + number, [[Row(at_us=at_us + row, user_id=f"u{row}", trace=TRACE) for row in range(rows)]]
        )


@pytest.mark.parametrize(("records", "rows"), [(20, 1), (20, 50), (3, 400), (1, 2_000)])
async def test_no_more_is_read_and_derived_than_is_returned(
    records: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, counting = large_world()
    await fill(world, records, rows)
    derived = 0
    derive = ledger.decision_at

    def count(*arguments: object) -> object:
        nonlocal derived
        derived += 1
        return derive(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ledger, "decision_at", count)
    listed = (await world.servicer().ListDecisions(ASKED, None)).decisions  # type: ignore[arg-type]
    newest = [(number, row) for number in reversed(range(records)) for row in reversed(range(rows))][:5]
    assert [(int(each.position.sequence) - 1, each.position.event_index) for each in listed] == newest
    assert derived == 5
    assert counting.block_count <= 8


async def test_the_newest_of_all_shards_are_returned() -> None:
    world, counting = large_world()
    await fill(world, 12, 1)
    blocks = await counting.blocks([Reference("3", 1 + number) for number in range(12)])
    other = MemoryLedger()
    name = trace_name(TRACE.to_bytes(16, "big"))
    for number, block in enumerate(blocks):
        assert block is not None
        await other.record([Entry(str(number % 3), 1 + number, NOON_ISH, block, [name])])
    world.reading._ledger = other
    found = await world.reading.decisions_of_trace(TRACE.to_bytes(16, "big"), 4)
    assert [(each.facts.position.shard, each.facts.position.sequence) for each in found] == [
        ("2", 12),
        ("1", 11),
        ("0", 10),
        ("2", 9),
    ]


async def test_between_pieces_others_have_their_turn() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def work() -> int:
        until = time.perf_counter() + 0.003
        while time.perf_counter() < until:
            pass
        return turns

    beside = asyncio.create_task(others())
    seen = await reading.in_turns(work() for _ in range(10))
    beside.cancel()
    assert seen == sorted(set(seen))
    assert await reading.in_turns(iter(())) == []


async def test_reads_wait_for_each_other_and_not_for_ever() -> None:
    world, _ = large_world()
    await fill(world, 20, 20)
    servicer = world.servicer()
    answers = await asyncio.gather(*(servicer.ListDecisions(ASKED, None) for _ in range(32)))  # type: ignore[arg-type]
    assert {len(each.decisions) for each in answers} == {5}
    with pytest.raises(asyncio.TimeoutError):
        async with asyncio.timeout(0), servicer._places:
            await asyncio.Event().wait()
    assert len((await servicer.ListDecisions(ASKED, None)).decisions) == 5  # type: ignore[arg-type]
