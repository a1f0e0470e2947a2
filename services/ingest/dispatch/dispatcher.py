"""The stream face of ingest: takes the records of the shards it holds, batch by batch, through the mesh.

    read → decode → steps, part by part → set aside what cannot be applied → checkpoint

The checkpoint comes last, so a crash anywhere repeats the part, and every step answers what is repeated as the first
time. Several dispatchers share the shards (`mesh.sharing`).
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Iterable, Iterator
from typing import Final

from mesh import log, registry
from mesh.clock import Clock
from mesh.errors import FailedPrecondition, MeshError, Unavailable, VersionMismatch
from mesh.leases import Lease, Leases
from mesh.metrics import Metrics
from mesh.stream import END, StreamReader
from services.ingest.dispatch.domain.failure_rate import FailureRate
from services.ingest.dispatch.parts import Part, parts
from services.ingest.dispatch.steps import Steps
from services.ingest.events.claims import claimed
from services.ingest.events.domain.event import EventPosition, FailedEvent, failed_event_id
from services.ingest.events.ports import Applied, FailedEvents, FailedRecords
from services.ingest.events.translation.event_json import event_json
from services.ingest.events.translation.records import Decoded, decoded

_READ_RECORDS: Final = 200
_BATCH_BYTES: Final = 4 * 1024 * 1024
_WAIT_SECONDS: Final = 1.0
_TRIM_BATCHES: Final = 20
_TRIES: Final = 5
_LATE_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

_NO_ROOM: Final = "Paused: the list of set-aside events is full (10,000). Mend, replay or discard some."

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much is taken on at once, how long a shard rests in between, and when failing records stop the shard."""

    max_batch_events: int
    period_seconds: float
    tolerated_failure_share: float


@dataclasses.dataclass(frozen=True)
class Dispatcher:
    """Takes shards through the mesh, each in an order of its own, all side by side."""

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
    """Whether the stream may forget what is applied: not while another reader comes behind."""
    failure_rates: dict[str, FailureRate] = dataclasses.field(default_factory=dict)
    oldest_us: dict[str, int] = dataclasses.field(default_factory=dict)
    """For each shard, when the stream took the oldest record that waits; none where none did."""

    def __post_init__(self) -> None:
        """Makes known what has not been counted yet."""
        self.metrics.count(registry.SET_ASIDE, 0)
        self.metrics.count(registry.APPLIED_EVENTS, 0)

    async def follow(self, lease: Lease) -> None:
        """Takes a held shard through the mesh; returns once all of a closed one is.

        Raises:
            FailedPrecondition: the shard was lost to another.
        """
        failures = 0
        checkpoint: int | None = None
        while checkpoint != END:
            try:
                if checkpoint is None:
                    checkpoint = await self.leases.checkpoint(lease.shard)
                checkpoint = await self._advance_far(lease, checkpoint)
            except FailedPrecondition:
                raise
            except Exception as error:  # noqa: BLE001 - a fault of ours stops this shard, and no other
                # Whatever it was, the position is kept: the next round reads from the checkpoint.
                checkpoint = None
                failures += 1
                await self._complain(lease, error, failures)
                await asyncio.sleep(_PAUSE_SECONDS[min(failures, len(_PAUSE_SECONDS)) - 1])
            else:
                failures = 0

    async def _advance_far(self, lease: Lease, checkpoint: int) -> int:
        """Advances by some batches, or until nothing waits, then lets the stream forget them."""
        begun = checkpoint
        for _ in range(_TRIM_BATCHES):
            before, checkpoint = checkpoint, await self.advance(lease, checkpoint)
            if checkpoint in {before, END}:
                break
            # What comes meanwhile makes one batch, which costs the same for ten events as for a hundred.
            await asyncio.sleep(self.limits.period_seconds)
        if self.trims and checkpoint not in {begun, END}:
            await self.reader.trim(lease.shard, checkpoint)
            await self.failed_records.forget(lease.shard, checkpoint)
            await self.steps.seen.forget_records(lease.shard, checkpoint)
        return checkpoint

    async def advance(self, lease: Lease, checkpoint: int) -> int:
        """Takes what waits in a shard beyond its checkpoint through the mesh; returns the checkpoint from then on.

        Raises:
            FailedPrecondition: the shard was lost to another.
            Unavailable: the stream, a store or a service cannot be reached, or too many records fail.
        """
        records, is_end = await self.reader.read(lease.shard, checkpoint, _READ_RECORDS, _WAIT_SECONDS)
        appended_us = {record.sequence: record.appended_us for record in records}
        for batch in cut(map(decoded, records), self.limits.max_batch_events):
            self.oldest_us[lease.shard] = appended_us[batch[0].sequence]
            untried = len(batch)
            async for part in parts(self.steps, self.failed_records, lease, batch):
                untried -= len(part.records)
                await self._set_aside(lease, part, untried)
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

    async def _set_aside(self, lease: Lease, part: Part, untried: int) -> None:
        """Sets aside what cannot be applied of a part, behind which so many records of the batch are not tried yet.

        Raises:
            FailedPrecondition: the shard was lost to another, who may have applied them.
            Unavailable: most records fail: then it is not the records. They wait where nothing is lost until somebody
                mends the step. Or there is no room for them.
        """
        shard, poison, count = lease.shard, part.poison, len(part.records)
        failure_rate = self.failure_rates.setdefault(shard, FailureRate(self.limits.tolerated_failure_share))
        refusal = failure_rate.refusal(len(poison), count + untried)
        if refusal:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", refusal)
        if poison:
            failed = [one for record in poison for one in await self._failed_events(shard, record)]
            if not await self.failed.has_room(len(failed)):
                raise Unavailable("DEPENDENCY_UNAVAILABLE", _NO_ROOM)
            if not await self.leases.renew(lease):
                raise FailedPrecondition("LEASE_LOST", "Another process holds the shard.")
            _log.error("%d records of shard %s are set aside", len(poison), shard)
            await self.failed.add(failed)
            await self.failed_records.add(shard, [record.sequence for record in poison])
            self.metrics.count(registry.SET_ASIDE, len(poison))
        failure_rate.note(len(poison), count)

    async def _failed_events(self, shard: str, record: Decoded) -> list[FailedEvent]:
        """What is kept of a record: the events that count, copies of others left out; or the record, if it is none."""
        now_us = self.clock()
        if record.broken is not None:
            position = EventPosition(shard, record.sequence, 0)
            failed_id = failed_event_id(f"{shard}-{record.sequence}", record.broken)
            detail = "The record cannot be read."
            return [
                FailedEvent(failed_id, "POISON", detail, now_us, "", "", record.broken, b"", "dispatcher", position)
            ]
        rows = await claimed(self.steps.seen, shard, [record])
        return [
            FailedEvent(
                failed_event_id(event.event_id, b""),
                "POISON",
                "A service could not apply the event.",
                now_us,
                event.event_id,
                event.user_id,
                event_json(event),
                event.trace_id,
                "dispatcher",
                EventPosition(shard, record.sequence, index),
                event.SerializeToString(),
            )
            for event, index in zip(rows.events, rows.event_indexes, strict=True)
        ]

    def _lag_seconds(self, shard: str) -> float:
        now_us = self.reader.now_us()
        return max(0.0, (now_us - self.oldest_us.get(shard, now_us)) / 1e6)

    async def _complain(self, lease: Lease, error: Exception, failures: int) -> None:
        is_ours = not isinstance(error, MeshError)
        level = logging.WARNING if failures in (5, 50) or failures % 500 == 0 else logging.DEBUG
        if is_ours and failures == 1:
            level = logging.ERROR
        told = log.fault(error) if is_ours else error
        _log.log(level, "shard %s waits, try %d: %s", lease.shard, failures, told)
        # A service that hangs takes seconds for each try.
        if is_ours or failures >= _TRIES or self._lag_seconds(lease.shard) > _LATE_SECONDS:
            detail = error.detail if isinstance(error, MeshError) else "A fault of the dispatcher; its log tells where."
            with contextlib.suppress(MeshError):
                await self.leases.complain(lease, detail, self._lag_seconds(lease.shard))


def cut(records: Iterable[Decoded], max_events: int) -> Iterator[list[Decoded]]:
    """Batches of whole records: at most `max_events` and 4 MiB, but at least one record.

    An anonymous journey that ends in a batch does not go on in it: what moves is what stands there behind the batch.

    Raises:
        VersionMismatch: a record is of a form that only a newer version knows; what stands before it is told first.
    """
    batch: list[Decoded] = []
    ended: set[str] = set()
    events = size = 0
    try:
        for record in records:
            told = record.table
            is_full = events + len(told) > max_events or size + record.byte_count > _BATCH_BYTES
            if batch and (is_full or (ended and not ended.isdisjoint(told.user_id))):
                yield batch
                batch, events, size = [], 0, 0
                ended.clear()
            batch.append(record)
            events += len(told)
            size += record.byte_count
            if told.has("linked_user_id"):
                ended.update(user for user, linked in zip(told.user_id, told.linked_user_id, strict=True) if linked)
    except VersionMismatch:
        yield from filter(None, [batch])
        raise
    yield from filter(None, [batch])
