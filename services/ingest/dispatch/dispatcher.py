"""Takes the records of the shards it holds through the mesh, batch by batch.

    read → decode → steps, part by part → keep failed events → checkpoint

The checkpoint comes last: a crash anywhere repeats the part, and every step answers a repetition as it did at first.
Several dispatchers share the shards (`mesh.leases.sharing`).
"""

import asyncio
import dataclasses
import logging
from collections.abc import Iterable, Iterator
from typing import Final

from mesh.clock import Clock
from mesh.errors import FailedPrecondition, Unavailable, VersionMismatch
from mesh.leases.port import Lease, Leases
from mesh.observability import registry
from mesh.observability.metrics import Metrics
from mesh.stream.port import END, StreamReader
from services.ingest.dispatch.domain.failure_rate import FailureRate
from services.ingest.dispatch.parts import Part, parts
from services.ingest.dispatch.steps import Steps
from services.ingest.events.claims import claimed
from services.ingest.events.domain.event import EventPosition, FailedEvent, failed_event_id
from services.ingest.events.failing import Failures
from services.ingest.events.ports import Applied, FailedEvents, FailedRecords
from services.ingest.events.translation.event_json import event_json
from services.ingest.events.translation.records import Decoded, decoded, unsuppressed
from services.ingest.events.usecases import Suppressing

_READ_RECORDS: Final = 200
_BATCH_BYTES: Final = 4 * 1024 * 1024
_WAIT_SECONDS: Final = 1.0
_TRIM_BATCHES: Final = 20

_STAGE: Final = "dispatcher"
_REASON: Final = "POISON"
_NO_ROOM: Final = "Paused: the list of set-aside events is full (10,000). Mend, replay or discard some."

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Limits:
    """Batch size, the pause between batches of a shard, and the share of failing records that pauses it."""

    max_batch_events: int
    period_seconds: float
    tolerated_failure_share: float


@dataclasses.dataclass(frozen=True)
class Dispatcher:
    """Takes shards through the mesh: each in its own order, all concurrently."""

    reader: StreamReader
    leases: Leases
    steps: Steps
    failed: FailedEvents
    failed_records: FailedRecords
    applied: Applied
    clock: Clock
    limits: Limits
    metrics: Metrics
    trims: bool
    """Whether to trim the stream once records are applied; false if another consumer still reads them."""
    suppressing: Suppressing = dataclasses.field(default_factory=Suppressing)
    failure_rates: dict[str, FailureRate] = dataclasses.field(default_factory=dict)
    oldest_us: dict[str, int] = dataclasses.field(default_factory=dict)
    """Per shard, when the oldest waiting record was appended; absent if none waits."""

    def __post_init__(self) -> None:
        """Reports counters that are still zero."""
        self.metrics.count(registry.SET_ASIDE, 0)
        self.metrics.count(registry.APPLIED_EVENTS, 0)

    async def follow(self, lease: Lease) -> None:
        """Takes a held shard through the mesh; returns when a closed shard is done.

        Raises:
            FailedPrecondition: the shard was lost to another.
        """
        failures = Failures(_STAGE, self.leases, lease)
        checkpoint: int | None = None
        while checkpoint != END:
            try:
                if checkpoint is None:
                    checkpoint = await self.leases.checkpoint(lease.shard)
                checkpoint = await self._advance_far(lease, checkpoint)
            except FailedPrecondition:
                raise
            except Exception as error:  # noqa: BLE001 - a fault of ours stops this shard, and no other
                # Nothing is lost: the next round reads from the checkpoint.
                checkpoint = None
                await failures.add(error, self._lag_seconds(lease.shard))
            else:
                failures.end()

    async def _advance_far(self, lease: Lease, checkpoint: int) -> int:
        """Advances by some batches, or until nothing waits, then trims the stream."""
        begun = checkpoint
        for _ in range(_TRIM_BATCHES):
            before, checkpoint = checkpoint, await self.advance(lease, checkpoint)
            if checkpoint in {before, END}:
                break
            # What arrives meanwhile makes one batch; a batch costs as much for ten events as for a hundred.
            await asyncio.sleep(self.limits.period_seconds)
        if self.trims and checkpoint not in {begun, END}:
            await self.reader.trim(lease.shard, checkpoint)
            await self.failed_records.forget(lease.shard, checkpoint)
            await self.steps.seen.forget_records(lease.shard, checkpoint)
        return checkpoint

    async def advance(self, lease: Lease, checkpoint: int) -> int:
        """Takes what waits beyond a checkpoint through the mesh; returns the new checkpoint.

        Raises:
            FailedPrecondition: the shard was lost to another.
            Unavailable: the stream, a store or a service cannot be reached, or too many records fail.
        """
        records, is_end = await self.reader.read(lease.shard, checkpoint, _READ_RECORDS, _WAIT_SECONDS)
        appended_us = {record.sequence: record.appended_us for record in records}
        suppression = self.suppressing.now
        read_in = (unsuppressed(decoded(record), suppression) for record in records)
        for batch in cut(read_in, self.limits.max_batch_events):
            self.oldest_us[lease.shard] = appended_us[batch[0].sequence]
            untried = len(batch)
            async for part in parts(self.steps, self.failed_records, lease, batch):
                untried -= len(part.records)
                await self._keep_failed(lease, part, untried)
                checkpoint = part.records[-1].sequence
                await self.leases.save(lease, checkpoint, self._lag_seconds(lease.shard))
            now_us = self.reader.now_us()
            for record in batch:
                self.metrics.measure(registry.DECISION_DELAY, max(0, now_us - appended_us[record.sequence]) / 1e6)
            await self.applied.note(lease.shard, checkpoint, self.clock())
        if is_end:
            checkpoint = END
        if checkpoint == END or (not records and self.oldest_us.pop(lease.shard, None) is not None):
            await self.leases.save(lease, checkpoint, 0.0)
        return checkpoint

    async def _keep_failed(self, lease: Lease, part: Part, untried: int) -> None:
        """Keeps the events of a part that cannot be applied as failed events; `untried` records of the batch follow it.

        Raises:
            FailedPrecondition: the shard was lost to another, who may have applied them.
            Unavailable: most records fail, so the fault is not theirs: they wait on the stream until it is mended.
                Or there is no room for failed events.
        """
        shard, failing, count = lease.shard, part.failed, len(part.records)
        failure_rate = self.failure_rates.setdefault(shard, FailureRate(self.limits.tolerated_failure_share))
        refusal = failure_rate.refusal(len(failing), count + untried)
        if refusal:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", refusal)
        if failing:
            failed = [one for record in failing for one in await self._failed_events(shard, record)]
            if not await self.failed.has_room(len(failed)):
                raise Unavailable("DEPENDENCY_UNAVAILABLE", _NO_ROOM)
            if not await self.leases.renew(lease):
                raise FailedPrecondition("LEASE_LOST", "Another process holds the shard.")
            _log.error("%d records of shard %s cannot be applied; their events are kept as failed", len(failing), shard)
            await self.failed.add(failed)
            await self.failed_records.add(shard, [record.sequence for record in failing])
            self.metrics.count(registry.SET_ASIDE, len(failing))
        failure_rate.note(len(failing), count)

    async def _failed_events(self, shard: str, record: Decoded) -> list[FailedEvent]:
        """The failed events of a record: its events without duplicates or, if it cannot be read, the record itself."""
        now_us = self.clock()
        if record.broken is not None:
            return [
                FailedEvent(
                    id=failed_event_id(f"{shard}-{record.sequence}", record.broken),
                    reason=_REASON,
                    detail="The record cannot be read.",
                    failed_time_us=now_us,
                    event_id="",
                    user_id="",
                    payload=record.broken,
                    trace_id=b"",
                    stage=_STAGE,
                    position=EventPosition(shard, record.sequence, 0),
                )
            ]
        rows = await claimed(self.steps.seen, shard, [record])
        return [
            FailedEvent(
                id=failed_event_id(event.event_id, b""),
                reason=_REASON,
                detail="A service could not apply the event.",
                failed_time_us=now_us,
                event_id=event.event_id,
                user_id=event.user_id,
                payload=event_json(event),
                trace_id=event.trace_id,
                stage=_STAGE,
                position=EventPosition(shard, record.sequence, index),
                record=event.SerializeToString(),
            )
            for event, index in zip(rows.events, rows.event_indexes, strict=True)
        ]

    def _lag_seconds(self, shard: str) -> float:
        now_us = self.reader.now_us()
        return max(0.0, (now_us - self.oldest_us.get(shard, now_us)) / 1e6)


def cut(records: Iterable[Decoded], max_events: int) -> Iterator[list[Decoded]]:
    """Batches of whole records: at most `max_events` and 4 MiB, but at least one record.

    A batch ends before an anonymous journey that it has linked goes on: what moves is the state after the batch.

    Raises:
        VersionMismatch: only a newer version can read a record; the records before it are yielded first.
    """
    batch: list[Decoded] = []
    ended: set[str] = set()
    events = size = 0
    try:
        for record in records:
            table = record.table
            is_full = events + len(table) > max_events or size + record.byte_count > _BATCH_BYTES
            if batch and (is_full or (ended and not ended.isdisjoint(table.user_id))):
                yield batch
                batch, events, size = [], 0, 0
                ended.clear()
            batch.append(record)
            events += len(table)
            size += record.byte_count
            if table.has("linked_user_id"):
                ended.update(user for user, linked in zip(table.user_id, table.linked_user_id, strict=True) if linked)
    except VersionMismatch:
        yield from filter(None, [batch])
        raise
    yield from filter(None, [batch])
