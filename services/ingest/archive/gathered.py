"""What the archiver has read of a shard and not written yet, and how it is made into rows."""

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, cast

from journeymesh.intervention.v1.intervention_pb2 import LedgerRecord

from mesh.errors import VersionMismatch
from mesh.stream import Record
from records.table import Table
from services.ingest.archive.domain.layout import Assessment, DecisionRow, Versions, hour_of
from services.ingest.archive.ports import EventRows, Part
from services.ingest.events.domain.event import Event
from services.ingest.events.translation.records import Decoded

_MOST_RECORDS: Final = 2_000
_READ_BYTES: Final = 8 * 1024 * 1024
_NEWER: Final = "A newer version has written what stands next on the stream: the archive has no column for it yet."


@dataclasses.dataclass
class Gathered:
    """What was read of a shard since the checkpoint `after`, and is not written yet."""

    after: int
    through: int
    until: int | None = None
    """Where an open plan ends."""
    since: float | None = None
    """When the first record was gathered, in seconds of the loop's time."""
    last_appended_us: int = 0
    record_count: int = 0
    event_count: int = 0
    byte_count: int = 0
    hours: set[int] = dataclasses.field(default_factory=set)
    parts: list[Part] = dataclasses.field(default_factory=list)

    def folders(self) -> set[int]:
        """The hours to write to: where no event can be read it has its place all the same, so that it is not missed."""
        return self.hours or ({hour_of(self.last_appended_us)} if self.record_count else set())


def fitting(records: Sequence[Record]) -> int:
    """How many such records memory bears at once; a stream that is asked seldom is asked for that many."""
    size = sum(len(record.payload) for record in records)
    return min(_READ_BYTES * len(records) // (size + 1), _MOST_RECORDS)


def slices(records: Iterable[Decoded], most: int) -> Iterator[list[Decoded]]:
    """Runs of whole records: at most so many events, but at least one record.

    Raises:
        VersionMismatch: a newer version has written what has no column yet; what stands before it is told first.
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


def counted(record: Decoded, decided: list[int], others: Mapping[int, set[int]], aside: Collection[int]) -> EventRows:
    """The events of a record that count, decided or not."""
    undecided = others.get(record.sequence, set()).difference(decided)
    rows = sorted(undecided.union(decided)) if undecided else decided
    told = cast("Sequence[Event]", record.told)
    return EventRows(record.sequence, record.table, rows, undecided if record.sequence in aside else (), told)


class _About(NamedTuple):
    event_id: str
    user_id: str
    received_time_us: int


def about(table: Table) -> Sequence[Event]:
    """Of each event what its decision tells of it."""
    return cast("Sequence[Event]", [*map(_About, table.event_id, table.user_id, table.received_time_us)])


def decisions_of(sequence: int, events: Sequence[Event], record: LedgerRecord) -> Iterable[DecisionRow]:
    """The decisions of a record as rows, in the order of the events they are about."""
    versions = Versions(record.model_version, record.rules_version, record.policy_version)
    wholes = {each.row: each.decision for each in record.rows}
    assessments = cast("Sequence[Assessment]", record.assessments)
    columns = zip(record.event_indexes, record.kinds, record.reasons, assessments, strict=True)
    counts = Counter(record.covered_rows)
    rows = [
        DecisionRow(sequence, index, events[index], kind, (reason,), assessment, versions, None, counts.get(row, 1))
        for row, (index, kind, reason, assessment) in enumerate(columns)
    ]
    for row, decision in wholes.items():
        rows[row] = rows[row]._replace(reasons=tuple(decision.reasons), whole=decision)
    return rows
