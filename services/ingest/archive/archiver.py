"""The archiver of ingest: keeps every event that counts, and every decision, for good, each once.

    read → decode → decisions → which copy counts → pack ... plan → write → checkpoint → trim → join old files

It is a reader of the stream with leases and checkpoints of its own, and reads only what the dispatcher is through with,
so that decisions are there. What is written together is planned first: after a crash the same range is written again,
under the same names, and replaces itself.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from journeymesh.intervention.v1 import intervention_pb2

from mesh import channel, log, registry
from mesh.errors import FailedPrecondition, MeshError, TooLarge
from mesh.leases import Lease, Leases
from mesh.metrics import Metrics
from mesh.stream import BEGINNING, END, Record, StreamReader
from services.ingest.archive.domain.layout import DecisionRow, Plan, hours_of
from services.ingest.archive.gathered import Gathered, about, counted, decisions_of, fitting, slices
from services.ingest.archive.ports import Archive, EventRows, Plans
from services.ingest.events.claims import claimed
from services.ingest.events.ports import FailedRecords, SeenEvents
from services.ingest.events.translation.records import NO_EVENTS, Decoded, covered, decoded

if TYPE_CHECKING:
    from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceAsyncStub

_LEDGER_RECORDS: Final = 200
_SLICE_EVENTS: Final = 2_000
_WAIT_SECONDS: Final = 1.0
_STEP_SECONDS: Final = 20.0
_PAUSE_SECONDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)

_FAULT: Final = "A fault of the archiver; its log tells where."

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Limits:
    """When what was gathered is written: whichever comes first."""

    flush_events: int = 50_000
    flush_bytes: int = 8 * 1024 * 1024
    period_seconds: float = 60.0
    rest_seconds: float = 1.0
    """How long a shard rests where not much waits, so that more does then."""


@dataclasses.dataclass(frozen=True)
class Archiver:
    """Archives the shards it is given, each on its own."""

    reader: StreamReader
    leases: Leases
    dispatched: Leases
    """Those of the dispatcher on the same stream."""
    plans: Plans
    archive: Archive
    seen: SeenEvents
    failed_records: FailedRecords
    intervention: "InterventionServiceAsyncStub"
    limits: Limits
    metrics: Metrics

    def __post_init__(self) -> None:
        """Makes known what has not been counted yet."""
        self.metrics.count(registry.ARCHIVED_EVENTS, 0)
        self.metrics.count(registry.ARCHIVED_BYTES, 0)

    async def follow(self, lease: Lease) -> None:
        """Archives a held shard from its checkpoint on; returns when a closed shard is through.

        Where it is cancelled it writes what it has gathered.

        Raises:
            FailedPrecondition: `LEASE_LOST`.
        """
        following = _Following(self, lease)
        failures = 0
        while True:
            try:
                if await following.advance():
                    return
                failures = 0
            except FailedPrecondition:
                raise
            except Exception as error:  # noqa: BLE001 - a fault of ours stops this shard, and no other
                # Whatever it was, nothing is lost: what was gathered is kept, and the stream keeps the rest.
                failures += 1
                is_ours = not isinstance(error, MeshError)
                level = logging.WARNING if failures in (5, 50) or failures % 500 == 0 else logging.DEBUG
                if is_ours and failures == 1:
                    level = logging.ERROR
                told = log.fault(error) if is_ours else error
                _log.log(level, "the archive of shard %s waits, try %d: %s", lease.shard, failures, told)
                detail = error.detail if isinstance(error, MeshError) else _FAULT
                with contextlib.suppress(MeshError):
                    await self.leases.complain(lease, detail, following.lag_seconds())
                await asyncio.sleep(_PAUSE_SECONDS[min(failures, len(_PAUSE_SECONDS)) - 1])
            except asyncio.CancelledError:
                await following.end()
                raise


class _Following:
    """One held shard."""

    def __init__(self, archiver: Archiver, lease: Lease) -> None:
        self._of = archiver
        self._lease = lease
        self._gathered: Gathered | None = None
        self._dispatched = BEGINNING
        self._read_records = _LEDGER_RECORDS
        self._is_behind = False
        self._open_hours: set[int] = set()
        self._now = asyncio.get_running_loop().time

    async def advance(self) -> bool:
        """Reads once, and writes if it is time; True once a closed shard is through."""
        if self._gathered is None:
            self._gathered = await self._begin()
        gathered, shard = self._gathered, self._lease.shard
        if self._dispatched <= gathered.through:
            self._dispatched = await self._of.dispatched.checkpoint(shard)
        if self._dispatched <= gathered.through:
            await (self._flush(gathered) if self._is_due(gathered) else self._rest())
            return False
        read = await self._of.reader.read(shard, gathered.through, self._read_records, _WAIT_SECONDS)
        until = self._dispatched if gathered.until is None else min(self._dispatched, gathered.until)
        is_all = await self._gather_all(gathered, [record for record in read.records if record.sequence <= until])
        has_more = not is_all or (bool(read.records) and read.records[-1].sequence > until)
        if is_all and until == gathered.until and (has_more or read.is_end):
            # What the stream has lost of an open plan must not hold it up.
            gathered.through = until
        is_end = read.is_end and not has_more and self._dispatched == END
        self._is_behind = len(read.records) == self._read_records
        self._read_records = fitting(read.records) or self._read_records
        if self._is_due(gathered) or (is_end and gathered.record_count):
            await self._flush(gathered)
        elif is_end:
            await self._of.leases.save(self._lease, END, 0.0)
            await self._join(self._open_hours)
            return True
        elif not self._is_behind:
            await self._rest()
        return False

    async def end(self) -> None:
        """Writes what is gathered, if it can be written; an open plan is left to who comes next."""
        if self._gathered is None or self._gathered.until is not None or not self._gathered.record_count:
            return
        try:
            await self._flush(self._gathered)
        except MeshError as error:
            _log.info("the archive of shard %s goes on from its checkpoint: %s", self._lease.shard, error)

    def lag_seconds(self) -> float:
        """Age of the last record that was gathered; 0 before there was one."""
        last_us = self._gathered.last_appended_us if self._gathered else 0
        return max(0.0, (self._of.reader.now_us() - last_us) / 1e6) if last_us else 0.0

    async def _begin(self) -> Gathered:
        plan = await self._of.plans.take(self._lease.shard, self._lease.epoch)
        checkpoint = await self._of.leases.checkpoint(self._lease.shard)
        # Where the leases are gone, at worst the last files are written again.
        if plan is not None and checkpoint == BEGINNING:
            checkpoint = plan.after
        # What was left of the last two hours when the shard changed hands.
        self._open_hours.update((await self._of.archive.hours())[-2:])
        is_open = plan is not None and plan.after == checkpoint
        return Gathered(checkpoint, checkpoint, plan.through if plan and is_open else None)

    def _is_due(self, gathered: Gathered) -> bool:
        if gathered.until is not None:
            return gathered.through >= gathered.until
        limits = self._of.limits
        return (
            gathered.event_count >= limits.flush_events
            or gathered.byte_count >= limits.flush_bytes
            or (gathered.since is not None and self._now() - gathered.since >= limits.period_seconds)
        )

    async def _rest(self) -> None:
        self._is_behind = False
        await asyncio.sleep(self._of.limits.rest_seconds)

    async def _flush(self, gathered: Gathered) -> None:
        shard, plan = self._lease.shard, Plan(gathered.after, gathered.through)
        hours = gathered.folders()
        await self._of.plans.save(shard, self._lease.epoch, plan)
        byte_count = await self._of.archive.write(shard, plan, hours, gathered.parts)
        await self._of.leases.save(self._lease, plan.through, self.lag_seconds() if self._is_behind else 0.0)
        self._of.metrics.count(registry.ARCHIVED_EVENTS, gathered.event_count)
        self._of.metrics.count(registry.ARCHIVED_BYTES, byte_count)
        self._gathered = Gathered(plan.through, plan.through, last_appended_us=gathered.last_appended_us)
        self._open_hours |= hours
        await self._of.reader.trim(shard, plan.through)
        await self._of.failed_records.forget(shard, plan.through)
        await self._of.seen.forget_records(shard, plan.through)
        await self._join({hour for hour in self._open_hours if hour < max(hours, default=0)})

    async def _join(self, hours: set[int]) -> None:
        for hour in sorted(hours):
            await self._of.archive.compact(self._lease.shard, hour)
            self._open_hours.discard(hour)

    async def _gather_all(self, gathered: Gathered, records: Sequence[Record]) -> bool:
        """Gathers records until it is time to write; whether that was all of them."""
        appended_us = {record.sequence: record.appended_us for record in records}
        for some in slices(map(decoded, records), _SLICE_EVENTS):
            await self._gather_or_leave(gathered, some)
            gathered.last_appended_us = appended_us[gathered.through]
            if self._is_due(gathered):
                break
        return not records or gathered.through == records[-1].sequence

    async def _gather_or_leave(self, gathered: Gathered, records: Sequence[Decoded]) -> None:
        """Gathers records; one that cannot be archived keeps its place, and nobody else's."""
        try:
            await self._gather(gathered, records)
        except MeshError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the records'
            if len(records) == 1:
                at = records[0].sequence
                _log.error("record %d of shard %s cannot be archived: %s", at, self._lease.shard, log.fault(error))
                await self._keep(gathered, [Decoded(at, NO_EVENTS)], [], [])
                return
            middle = len(records) // 2
            for half in (records[:middle], records[middle:]):
                await self._gather_or_leave(gathered, half)

    async def _gather(self, gathered: Gathered, records: Sequence[Decoded]) -> None:
        ledger = await self._ledger([record.sequence for record in records])
        decisions = [
            row
            for record in records
            if (found := ledger.get(record.sequence))
            for row in decisions_of(record.sequence, about(record.table), found)
        ]
        decided = {at: [*covered(found)] for at, found in ledger.items()}
        undecided = [record for record in records if len(decided.get(record.sequence, ())) < len(record.table)]
        others, aside = await self._undecided(undecided)
        rows = [counted(record, decided.get(record.sequence, []), others, aside) for record in records]
        await self._keep(gathered, records, rows, decisions)

    async def _keep(
        self,
        gathered: Gathered,
        records: Sequence[Decoded],
        rows: Sequence[EventRows],
        decisions: Sequence[DecisionRow],
    ) -> None:
        part = await self._of.archive.pack(self._lease.shard, rows, decisions)
        gathered.through = records[-1].sequence
        gathered.since = self._now() if gathered.since is None else gathered.since
        gathered.record_count += len(records)
        gathered.event_count += sum(len(each.rows) for each in rows)
        gathered.byte_count += part.size
        gathered.hours |= hours_of(set().union(*(record.table.received_time_us for record in records)))
        gathered.parts.append(part)

    async def _ledger(self, sequences: Sequence[int]) -> dict[int, intervention_pb2.LedgerRecord]:
        async def ask(texts: Sequence[str]) -> Sequence[intervention_pb2.LedgerRecord]:
            asked = intervention_pb2.ReadLedgerRequest(shard=self._lease.shard, sequences=texts)
            try:
                return (await self._of.intervention.ReadLedger(asked, timeout=_STEP_SECONDS)).records
            except TooLarge:
                if len(texts) > 1:
                    raise
                _log.error("the decisions of record %s are too large to be archived", *texts)
                return ()

        texts = [str(sequence) for sequence in sequences]
        found: dict[int, intervention_pb2.LedgerRecord] = {}
        for start in range(0, len(texts), _LEDGER_RECORDS):
            told = await channel.in_pieces(ask, texts[start : start + _LEDGER_RECORDS])
            found.update((int(record.sequence), record) for record in told)
        return found

    async def _undecided(self, records: Sequence[Decoded]) -> tuple[Mapping[int, set[int]], set[int]]:
        """Of records that have events without a decision: the events that count, and the records that were set aside.

        The other events are copies. One that counts and has no decision was set aside, or came too late for the ledger.
        """
        if not records:
            return {}, set()
        rows = await claimed(self._of.seen, self._lease.shard, records)
        sequences = [record.sequence for record in records]
        counted: dict[int, set[int]] = {}
        for record, index in zip(rows.record_indexes, rows.event_indexes, strict=True):
            counted.setdefault(sequences[record], set()).add(index)
        return counted, await self._of.failed_records.find(self._lease.shard, sequences)
