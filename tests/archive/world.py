"""The archiver over a stream in memory, a ledger in memory, and files in a directory."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from journeymesh.common.v1 import event_pb2, event_table_pb2
from journeymesh.intervention.v1 import intervention_pb2 as wire

from mesh.leases.memory import MemoryLeases
from mesh.leases.port import Lease, ShardState
from mesh.observability.metrics import Metrics
from mesh.state.applied import Batch
from mesh.stream.memory import MemoryStream
from mesh.stream.port import END, Entry
from offline.decisions.what_if import each_alone
from records.table import of_events
from records.wire import encoded
from services.ingest.archive.adapters import event_rows
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.adapters.plans import MemoryPlans
from services.ingest.archive.adapters.tail import ArrowTail
from services.ingest.archive.archiver import Archiver, Limits
from services.ingest.archive.domain.layout import EVENTS
from services.ingest.dispatch.translation.groups import Groups, groups_of
from services.ingest.events.adapters.memory import MemoryFailedRecords, MemorySeenEvents
from services.ingest.events.claims import claimed
from services.ingest.events.translation import records
from services.ingest.events.translation.records import Decoded, decoded
from services.intervention.batch.rows import Rows
from services.intervention.bootstrap import in_memory
from services.intervention.servicer import InterventionServicer
from tests.builders import NOW_US
from tests.intervention.builders import DOCUMENT, Row

SHARD: Final = "0"
QUICK: Final = Limits(flush_events=50_000, period_seconds=0.0, rest_seconds=0.0)
PATIENT: Final = Limits(period_seconds=3600.0, rest_seconds=0.0)


@dataclasses.dataclass(frozen=True)
class Direct:
    """The intervention service without a wire."""

    servicer: InterventionServicer

    async def ReadLedger(self, request: wire.ReadLedgerRequest, timeout: float) -> wire.ReadLedgerResponse:  # noqa: ASYNC109
        return await self.servicer.ReadLedger(request, None)  # type: ignore[arg-type]


async def until(condition: Callable[[], bool]) -> None:
    """Returns once a condition holds; nobody says when it begins to."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - as said
            await asyncio.sleep(0.002)


class World:
    """One shard and what is behind it. `follower` archives; `dispatch` does what the dispatcher does."""

    def __init__(self, folder: Path, limits: Limits = QUICK) -> None:
        self.stream = MemoryStream(shard_count=1)
        self.leases, self.dispatched = MemoryLeases(lambda: NOW_US), MemoryLeases(lambda: NOW_US)
        self.plans, self.archive = MemoryPlans(), ParquetArchive(f"file://{folder}")
        self.tail = ArrowTail(f"file://{folder}")
        self.seen, self.failed_records = MemorySeenEvents(), MemoryFailedRecords()
        self.interventions = in_memory([(0, DOCUMENT)], lambda: NOW_US)
        self.limits = limits
        self._sequence = -1

    def archiver(self, **replaced: Any) -> Archiver:
        """An archiver; some of its parts may be others."""
        intervention: Any = Direct(InterventionServicer(*self.interventions, Metrics()))
        made = Archiver(
            reader=self.stream,
            leases=self.leases,
            dispatched=self.dispatched,
            plans=self.plans,
            archive=self.archive,
            tail=self.tail,
            seen=self.seen,
            failed_records=self.failed_records,
            intervention=intervention,
            limits=self.limits,
            metrics=Metrics(),
        )
        return dataclasses.replace(made, **replaced)

    async def append(self, *events: event_pb2.Event) -> int:
        """Puts a record on the stream; returns its sequence number."""
        record = event_table_pb2.StreamRecord(table=encoded(of_events(events)), format_version=1)
        return await self.append_payload(record.SerializeToString())

    async def append_payload(self, payload: bytes) -> int:
        """Puts bytes on the stream; returns their sequence number."""
        ((_, sequence),) = await self.stream.append([Entry("0", payload)])
        return sequence

    async def dispatch(
        self, *, score: float = 10.0, poison: Sequence[int] = (), is_by_event: bool = True, only: str = ""
    ) -> None:
        """Decides on all that waits, and says so; poison records are set aside.

        By event, as the version before did; else each user of a record once. `only` one user's events, if one is named.
        """
        lease = await self.dispatched.acquire(SHARD, "dispatcher")
        assert lease
        records, is_end = await self.stream.read(SHARD, self._sequence, 10_000, 0.001)
        for record in records:
            self._sequence = record.sequence
            if record.sequence in poison:
                await self.failed_records.add(SHARD, [record.sequence])
                continue
            users = frozenset({only}) if only else None
            await self._decide(
                dataclasses.replace(decoded(record), users=users),
                score,
                each_alone if is_by_event else groups_of,
            )
        await self.dispatched.save(lease, END if is_end else self._sequence, 0.0)

    async def pass_by(self, sequence: int) -> None:
        """Says that all was decided up to there, as a newer dispatcher would of what only it understands."""
        lease = await self.dispatched.acquire(SHARD, "dispatcher")
        assert lease
        self._sequence = sequence
        await self.dispatched.save(lease, sequence, 0.0)

    async def take(self) -> Lease:
        """The shard, for a new archiver."""
        known = (await self.leases.standings()).get(SHARD)
        lease = await self.leases.steal(SHARD, f"archiver-{known.epoch if known else 0}", known.epoch if known else 0)
        assert lease
        return lease

    @contextlib.asynccontextmanager
    async def following(self, archiver: Archiver | None = None) -> AsyncIterator["asyncio.Task[None]"]:
        """An archiver at work within the block; cancelled, as at the end of a process, with it."""
        task = asyncio.create_task((archiver or self.archiver()).follow(await self.take()))
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def until_checkpoint(self, sequence: int) -> None:
        """Returns once the archiver has come so far."""
        await until(lambda: self.standing().checkpoint >= sequence)

    def standing(self) -> ShardState:
        """How the archiver gets on."""
        return self.leases._standings.get(SHARD, ShardState())

    def events(self) -> list[event_rows.Archived]:
        """What the archive has, in the order of the stream."""
        batches = (batch for file in self.archive.files(EVENTS) for batch in self.archive.batches(file))
        return sorted((each for batch in batches for each in event_rows.archived(batch)), key=lambda e: e[:3])

    def ids(self) -> list[str]:
        """The ids of the events in the archive."""
        return [each.event.event_id for each in self.events()]

    async def _decide(
        self,
        record: Decoded,
        score: float,
        judge: Callable[[records.Rows], Groups],
    ) -> None:
        rows = await claimed(self.seen, SHARD, [record])
        if not rows.events:
            return
        groups = judge(rows)
        decided = [rows.events[row] for row in groups.deciding]
        columns = Rows(
            record_indexes=rows.record_indexes,
            event_indexes=rows.event_indexes,
            user_ids=[event.user_id for event in decided],
            event_ids=[event.event_id for event in decided],
            received_us=[event.received_time_us for event in rows.events],
            trace_ids=[event.trace_id for event in rows.events],
            span_ids=[event.span_id for event in rows.events],
            pages=[event.page for event in decided],
            time_zones=[event.time_zone for event in decided],
            assessments=[Row(score=score, indicators=("form_errors",)).assessment for _ in decided],
            bot_rows=[],
            outcomes={},
            model_version="model-1",
            rules_version="rules-1",
            decided_rows=groups.deciding,
            decisions=groups.of_rows,
        )
        await self.interventions.deciding.decide(Batch("events", SHARD, (record.sequence,)), columns)
