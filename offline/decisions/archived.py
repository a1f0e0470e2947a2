"""Archived decisions with the events they are about, record by record, in the order of the stream."""

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from journeymesh.common.v1 import event_pb2

from mesh.state.applied import shard_number
from offline import archive
from records.table import of_events
from services.ingest.archive.adapters.event_rows import Archived
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import DECISIONS, ArchiveFile
from services.ingest.events.translation.records import Rows
from services.intervention.decision.domain.facts import Purchase
from services.intervention.decision.domain.user_state import is_conversion
from services.intervention.policy.domain.policy import Conversion

Row = Mapping[str, Any]
"""A decision as a row of the archive."""


class Record(NamedTuple):
    """One record of the stream: its applied events and the archived decisions about them, by event index."""

    shard: str
    sequence: int
    events: Mapping[int, Archived]
    decisions: Mapping[int, Row]
    duplicate_count: int
    """Events that are in the archive twice."""

    @property
    def is_decided_by_event(self) -> bool:
        """Whether each event has its own decision, as in releases that did not yet decide per user and record."""
        return len(self.decisions) > len({row["user_id"] for row in self.decisions.values()})


def records(
    files: ParquetArchive, found: archive.Contents, tracked: Callable[[Iterable[Archived]], Iterable[Archived]]
) -> Iterator[Record]:
    """The records with events, shard by shard, parents before children.

    Args:
        files: the archive.
        found: which part of it to read.
        tracked: wraps the iterator of events, to show progress.

    Raises:
        Unavailable: the storage cannot be reached.
    """
    hours = {(file.hour, file.shard) for file in found.files}
    selected = (file for file in files.files(DECISIONS) if (file.hour, file.shard) in hours)
    by_position = itertools.groupby(_decisions(files, selected), key=_position)
    position, its = next(by_position, (None, iter(())))
    events = tracked(archive.events(files, found.files, archive.COLUMNS))
    for (shard, sequence), group in itertools.groupby(events, key=lambda each: (each.shard, each.sequence)):
        at = (shard_number(shard), shard, sequence)
        while position is not None and position < at:
            position, its = next(by_position, (None, iter(())))
        rows = {int(row["event_index"]): row for row in its} if position == at else {}
        every = list(group)
        applied = {each.event_index: each for each in every if not each.is_set_aside}
        repeated = len(every) - len({each.event_index for each in every})
        if applied:
            yield Record(shard, sequence, applied, rows, repeated)


def rows_of(records: Sequence[Record]) -> Rows:
    """The events of records as services get them; at least one."""
    numbered = [
        (number, index, archived.event)
        for number, record in enumerate(records)
        for index, archived in sorted(record.events.items())
    ]
    numbers, indexes, events = zip(*numbered, strict=True)
    return Rows(of_events(events), numbers, indexes)


def is_goal(conversion: Conversion, event: event_pb2.Event) -> bool:
    """Whether a service would count the event as the goal: no bot's, no refund, and no copy, which counted before."""
    if event.is_bot or event.copied_event_id:
        return False
    paid = event.purchase
    if Purchase(paid.amount, paid.currency, paid.is_refund).gives_back:
        return False
    return is_conversion(conversion, event.event_type, event.target)


def _decisions(files: ParquetArchive, selected: Iterable[ArchiveFile]) -> Iterator[Row]:
    ordered = sorted(selected, key=lambda file: (shard_number(file.shard), file.shard, file.first))
    for some in _overlapping(ordered):
        yield from heapq.merge(*(_rows(files, file) for file in some), key=_position)


def _overlapping(files: Sequence[ArchiveFile]) -> Iterator[list[ArchiveFile]]:
    """Runs of files of one shard whose ranges overlap, as those of a range across two hours do."""
    run: list[ArchiveFile] = []
    for file in files:
        if run and (file.shard != run[0].shard or file.first > max(each.last for each in run)):
            yield run
            run = []
        run.append(file)
    if run:
        yield run


def _rows(files: ParquetArchive, file: ArchiveFile) -> Iterator[Row]:
    return (row for batch in files.batches(file) for row in batch.to_pylist())


def _position(row: Row) -> tuple[int, str, int]:
    return shard_number(row["shard"]), row["shard"], int(row["sequence"])
