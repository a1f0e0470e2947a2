"""Archives every event that counts, and every decision, once and for good.

    read → decode → decisions → drop duplicates → pack ... plan → write → checkpoint → trim → join old files

The archiver consumes the stream with its own leases and checkpoints, behind the dispatcher, so that decisions are
known. What is written together is planned first: after a crash the same range is written again, to files of the same
names.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from journeymesh.intervention.v1 import intervention_pb2

from mesh.errors import FailedPrecondition, MeshError, TooLarge, VersionMismatch
from mesh.leases.port import Lease, Leases
from mesh.observability import log, registry
from mesh.observability.metrics import Metrics
from mesh.rpc import channel
from mesh.stream.port import BEGINNING, END, Record, StreamReader
from records.table import Table
from services.ingest.archive.domain.layout import Assessment, DecisionRow, Plan, Versions, hour_of, hours_of
from services.ingest.archive.ports import Archive, EventRows, Part, Plans, Tail
from services.ingest.events.claims import claimed
from services.ingest.events.domain.event import Event
from services.ingest.events.failing import Failures
from services.ingest.events.ports import FailedRecords, SeenEvents
from services.ingest.events.translation.records import NO_EVENTS, Decoded, covered, decoded, unsuppressed
from services.ingest.events.usecases import Suppressing

if TYPE_CHECKING:
    from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceAsyncStub

_LEDGER_RECORDS: Final = 200
_SLICE_EVENTS: Final = 2_000
_WAIT_SECONDS: Final = 1.0
_STEP_SECONDS: Final = 20.0

_MOST_RECORDS: Final = 2_000
# Showing takes one part of so many of the time: the more was gathered, the rarer it is.
_SHOWING_SHARE: Final = 50
_READ_BYTES: Final = 8 * 1024 * 1024
_NEWER: Final = "A newer version has written what stands next on the stream: the archive has no column for it yet."

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Limits:
    """When what was gathered is written: at the first limit reached."""

    flush_events: int = 50_000
    flush_bytes: int = 8 * 1024 * 1024
    period_seconds: float = 60.0
    rest_seconds: float = 1.0
    """How long a shard rests when little waits, so that more is read at once."""
    tail_seconds: float = 1.0
    """How often what is not written yet is shown; 0: never."""


@dataclasses.dataclass(frozen=True)
class Archiver:
    """Archives its shards, each on its own."""

    reader: StreamReader
    leases: Leases
    dispatched: Leases
    """The dispatcher's leases on the same stream."""
    plans: Plans
    archive: Archive
    tail: Tail
    seen: SeenEvents
    failed_records: FailedRecords
    intervention: "InterventionServiceAsyncStub"
    limits: Limits
    metrics: Metrics
    suppressing: Suppressing = dataclasses.field(default_factory=Suppressing)

    def __post_init__(self) -> None:
        """Reports counters that are still zero."""
        self.metrics.count(registry.ARCHIVED_EVENTS, 0)
        self.metrics.count(registry.ARCHIVED_BYTES, 0)

    async def follow(self, lease: Lease) -> None:
        """Archives a held shard from its checkpoint on; returns when a closed shard is done.

        When cancelled it writes what it has gathered.

        Raises:
            FailedPrecondition: `LEASE_LOST`.
        """
        following = _Following(self, lease)
        failures = Failures("archiver", self.leases, lease)
        while True:
            try:
                if await following.advance():
                    return
                failures.end()
            except FailedPrecondition:
                raise
            except Exception as error:  # noqa: BLE001 - a fault of ours stops this shard, and no other
                # Nothing is lost: what was gathered is kept, and the stream keeps the rest.
                await failures.add(error, following.lag_seconds())
            except asyncio.CancelledError:
                await following.end()
                raise


@dataclasses.dataclass
class _Gathered:
    """What was read of a shard since the checkpoint `after` and is not written yet."""

    after: int
    through: int
    until: int | None = None
    """Where an open plan ends."""
    since: float | None = None
    """When the first record was gathered, in seconds of the event loop's clock."""
    last_appended_us: int = 0
    record_count: int = 0
    event_count: int = 0
    byte_count: int = 0
    hours: set[int] = dataclasses.field(default_factory=set)
    parts: list[Part] = dataclasses.field(default_factory=list)
    shown_through: int | None = None
    show_at: float = 0.0
    """When it may be shown again, in seconds of the event loop's clock."""

    def folders(self) -> set[int]:
        """The hours to write to; also where no event could be read, so that the range is not missing."""
        return self.hours or ({hour_of(self.last_appended_us)} if self.record_count else set())


class _Following:
    """One held shard."""

    def __init__(self, archiver: Archiver, lease: Lease) -> None:
        self._of = archiver
        self._lease = lease
        self._gathered: _Gathered | None = None
        self._dispatched = BEGINNING
        self._read_records = _LEDGER_RECORDS
        self._is_behind = False
        self._open_hours: set[int] = set()
        self._now = asyncio.get_running_loop().time

    async def advance(self) -> bool:
        """Reads once, and writes if it is time; returns whether a closed shard is done."""
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
            # Records of an open plan that the stream has lost must not block it.
            gathered.through = until
        is_end = read.is_end and not has_more and self._dispatched == END
        self._is_behind = len(read.records) == self._read_records
        self._read_records = _fitting(read.records) or self._read_records
        if self._is_due(gathered) or (is_end and gathered.record_count):
            await self._flush(gathered)
        elif is_end:
            await self._of.leases.save(self._lease, END, 0.0)
            await self._join(self._open_hours)
            return True
        elif self._is_behind:
            await self._show(gathered)
        else:
            await self._rest()
        return False

    async def end(self) -> None:
        """Writes what is gathered, if possible; leaves an open plan to the next holder."""
        if self._gathered is None or self._gathered.until is not None or not self._gathered.record_count:
            return
        try:
            await self._flush(self._gathered)
        except MeshError as error:
            _log.info("archiving shard %s will go on from its checkpoint: %s", self._lease.shard, error)

    def lag_seconds(self) -> float:
        """Age of the last gathered record in seconds; 0 if there is none."""
        last_us = self._gathered.last_appended_us if self._gathered else 0
        return max(0.0, (self._of.reader.now_us() - last_us) / 1e6) if last_us else 0.0

    async def _begin(self) -> _Gathered:
        plan = await self._of.plans.take(self._lease.shard, self._lease.epoch)
        checkpoint = await self._of.leases.checkpoint(self._lease.shard)
        # If the leases are lost, at worst the last files are written again.
        if plan is not None and checkpoint == BEGINNING:
            checkpoint = plan.after
        # The last two hours may have been left open when the shard changed hands.
        self._open_hours.update((await self._of.archive.hours())[-2:])
        is_open = plan is not None and plan.after == checkpoint
        return _Gathered(checkpoint, checkpoint, plan.through if plan and is_open else None)

    def _is_due(self, gathered: _Gathered) -> bool:
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
        if self._gathered is not None:
            await self._show(self._gathered)
        await asyncio.sleep(self._of.limits.rest_seconds)

    async def _show(self, gathered: _Gathered) -> None:
        """Shows what is not written yet, if it is time; if it cannot be shown now, the next time."""
        period_seconds, begun = self._of.limits.tail_seconds, self._now()
        is_new = bool(gathered.parts) and gathered.shown_through != gathered.through
        if not period_seconds or not is_new or begun < gathered.show_at:
            return
        with contextlib.suppress(MeshError):
            await self._of.tail.write(self._lease.shard, Plan(gathered.after, gathered.through), gathered.parts)
            gathered.shown_through = gathered.through
        gathered.show_at = begun + max(period_seconds, _SHOWING_SHARE * (self._now() - begun))

    async def _flush(self, gathered: _Gathered) -> None:
        shard, plan = self._lease.shard, Plan(gathered.after, gathered.through)
        hours = gathered.folders()
        await self._of.plans.save(shard, self._lease.epoch, plan)
        byte_count = await self._of.archive.write(shard, plan, hours, gathered.parts)
        await self._of.leases.save(self._lease, plan.through, self.lag_seconds() if self._is_behind else 0.0)
        if self._of.limits.tail_seconds:
            with contextlib.suppress(MeshError):  # whoever reads it knows by its range that it is written
                await self._of.tail.write(shard, Plan(plan.through, plan.through), ())
        self._of.metrics.count(registry.ARCHIVED_EVENTS, gathered.event_count)
        self._of.metrics.count(registry.ARCHIVED_BYTES, byte_count)
        self._gathered = _Gathered(plan.through, plan.through, last_appended_us=gathered.last_appended_us)
        self._open_hours |= hours
        await self._of.reader.trim(shard, plan.through)
        await self._of.failed_records.forget(shard, plan.through)
        await self._of.seen.forget_records(shard, plan.through)
        await self._join({hour for hour in self._open_hours if hour < max(hours, default=0)})

    async def _join(self, hours: set[int]) -> None:
        for hour in sorted(hours):
            await self._of.archive.compact(self._lease.shard, hour)
            self._open_hours.discard(hour)

    async def _gather_all(self, gathered: _Gathered, records: Sequence[Record]) -> bool:
        """Gathers records until it is time to write; returns whether that was all of them."""
        appended_us = {record.sequence: record.appended_us for record in records}
        suppression = self._of.suppressing.now
        for some in _slices((unsuppressed(decoded(record), suppression) for record in records), _SLICE_EVENTS):
            await self._gather_or_leave(gathered, some)
            gathered.last_appended_us = appended_us[gathered.through]
            if self._is_due(gathered):
                break
        return not records or gathered.through == records[-1].sequence

    async def _gather_or_leave(self, gathered: _Gathered, records: Sequence[Decoded]) -> None:
        """Gathers records; of one that cannot be archived only its position is kept."""
        try:
            await self._gather(gathered, records)
        except MeshError:
            raise
        except Exception as error:  # noqa: BLE001 - any other error is the records' fault
            if len(records) == 1:
                at = records[0].sequence
                _log.error("record %d of shard %s cannot be archived: %s", at, self._lease.shard, log.fault(error))
                await self._keep(gathered, [Decoded(at, NO_EVENTS)], [], [])
                return
            middle = len(records) // 2
            for half in (records[:middle], records[middle:]):
                await self._gather_or_leave(gathered, half)

    async def _gather(self, gathered: _Gathered, records: Sequence[Decoded]) -> None:
        ledger = await self._ledger([record.sequence for record in records])
        decisions = [
            row
            for record in records
            if (found := ledger.get(record.sequence))
            for row in _decisions_of(record.sequence, _event_keys(record.table), found)
            if record.users is None or row.event.user_id in record.users
        ]
        decided = {
            record.sequence: [*record.rows_that_count(covered(ledger[record.sequence]))]
            for record in records
            if record.sequence in ledger
        }
        undecided = [record for record in records if len(decided.get(record.sequence, ())) < len(record.table)]
        others, failed = await self._undecided(undecided)
        rows = [_counted(record, decided.get(record.sequence, []), others, failed) for record in records]
        await self._keep(gathered, records, rows, decisions)

    async def _keep(
        self,
        gathered: _Gathered,
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
                _log.error("the decisions of record %s are too large to archive", *texts)
                return ()

        texts = [str(sequence) for sequence in sequences]
        found: dict[int, intervention_pb2.LedgerRecord] = {}
        for start in range(0, len(texts), _LEDGER_RECORDS):
            records = await channel.in_pieces(ask, texts[start : start + _LEDGER_RECORDS])
            found.update((int(record.sequence), record) for record in records)
        return found

    async def _undecided(self, records: Sequence[Decoded]) -> tuple[Mapping[int, set[int]], set[int]]:
        """Of records that have events without a decision: the events that count, and the failed records.

        The other events are duplicates. One that counts without a decision has failed, or the ledger has expired.
        """
        if not records:
            return {}, set()
        rows = await claimed(self._of.seen, self._lease.shard, records)
        sequences = [record.sequence for record in records]
        counted: dict[int, set[int]] = {}
        for record, index in zip(rows.record_indexes, rows.event_indexes, strict=True):
            counted.setdefault(sequences[record], set()).add(index)
        return counted, await self._of.failed_records.find(self._lease.shard, sequences)


def _fitting(records: Sequence[Record]) -> int:
    """How many records of this size to read at once, by memory: a rest between reads calls for many."""
    size = sum(len(record.payload) for record in records)
    return min(_READ_BYTES * len(records) // (size + 1), _MOST_RECORDS)


def _slices(records: Iterable[Decoded], most: int) -> Iterator[list[Decoded]]:
    """Runs of whole records: at most so many events, but at least one record.

    Raises:
        VersionMismatch: a newer version has written what has no column yet; what precedes it is yielded first.
    """
    run: list[Decoded] = []
    count = 0
    try:
        for record in map(_in_columns, records):
            if run and count + len(record.table) > most:
                yield run
                run, count = [], 0
            run.append(record)
            count += len(record.table)
    except VersionMismatch:
        yield from filter(None, [run])
        raise
    yield from filter(None, [run])


def _in_columns(record: Decoded) -> Decoded:
    if record.is_newer:
        raise VersionMismatch(_NEWER)
    return record


def _counted(record: Decoded, decided: list[int], others: Mapping[int, set[int]], failed: Collection[int]) -> EventRows:
    """The events of a record that count, decided or not."""
    undecided = others.get(record.sequence, set()).difference(decided)
    rows = sorted(undecided.union(decided)) if undecided else decided
    events = cast("Sequence[Event]", record.events)
    return EventRows(record.sequence, record.table, rows, undecided if record.sequence in failed else (), events)


class _EventKey(NamedTuple):
    event_id: str
    user_id: str
    received_time_us: int


def _event_keys(table: Table) -> Sequence[Event]:
    """The members of each event that stand with its decision."""
    return cast("Sequence[Event]", [*map(_EventKey, table.event_id, table.user_id, table.received_time_us)])


def _decisions_of(
    sequence: int, events: Sequence[Event], record: intervention_pb2.LedgerRecord
) -> Iterable[DecisionRow]:
    """The decisions of a record as rows, in the order of the events they are about."""
    outcomes = {each.model_version: each.outcome for each in record.model_outcomes}
    model = record.model_version
    versions = Versions(model, record.rules_version, record.policy_version, outcomes.get(model, ""))
    wholes = {each.row: each.decision for each in record.rows}
    assessments = cast("Sequence[Assessment]", record.assessments)
    columns = zip(record.event_indexes, record.kinds, record.reasons, assessments, strict=True)
    counts = Counter(record.covered_rows)
    rows = [
        DecisionRow(sequence, index, events[index], kind, (reason,), assessment, versions, None, counts.get(row, 1))
        for row, (index, kind, reason, assessment) in enumerate(columns)
    ]
    for other in record.other_models:
        model = other.model_version
        its = versions._replace(model=model, outcome=outcomes.get(model, ""))
        for row in other.rows:
            rows[row] = rows[row]._replace(versions=its)
    for row, decision in wholes.items():
        rows[row] = rows[row]._replace(reasons=tuple(decision.reasons), whole=decision)
    return rows
