"""The archived decisions beside the events they are about, record by record, in the order of the stream."""

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from mesh.applied import shard_number
from offline import archive
from services.ingest.archive.adapters.event_rows import SCHEMA, Archived
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import DECISIONS, ArchiveFile

Row = Mapping[str, Any]
"""A decision as the archive's columns tell it."""

# What no decision depends on.
_UNREAD: Final = frozenset(
    {"properties", "user_agent", "trace_id", "span_id", "device_id", "correlation_id", "anonymous_id", "bot_evidence"}
)
_COLUMNS: Final = [name for name in SCHEMA.names if name not in _UNREAD]


class Record(NamedTuple):
    """One record of the stream: its events that were applied, by index, and the decisions the archive has on them.

    A decision stands at the event it is about.
    """

    shard: str
    sequence: int
    events: Mapping[int, Archived]
    decided: Mapping[int, Row]
    duplicate_count: int
    """Events that stand in the archive twice."""

    @property
    def is_decided_by_event(self) -> bool:
        """Whether each event has a decision of its own, as it was before a record's events were judged together."""
        return len(self.decided) > len({row["user_id"] for row in self.decided.values()})


def records(
    files: ParquetArchive, found: archive.Contents, note: Callable[[Iterable[Archived]], Iterable[Archived]]
) -> Iterator[Record]:
    """The records with events, shard by shard, parents before children.

    Args:
        files: the archive.
        found: what of it is read.
        note: is handed the events, and gives them back one by one, to see how far it has come.

    Raises:
        Unavailable: the storage cannot be reached.
    """
    hours = {(file.hour, file.shard) for file in found.files}
    told = (file for file in files.files(DECISIONS) if (file.hour, file.shard) in hours)
    decided = itertools.groupby(_decisions(files, told), key=_place)
    place, its = next(decided, (None, iter(())))
    events = note(archive.events(files, found.files, _COLUMNS))
    for (shard, sequence), group in itertools.groupby(events, key=lambda each: (each.shard, each.sequence)):
        at = (shard_number(shard), shard, sequence)
        while place is not None and place < at:
            place, its = next(decided, (None, iter(())))
        rows = {int(row["event_index"]): row for row in its} if place == at else {}
        every = list(group)
        applied = {each.event_index: each for each in every if not each.is_set_aside}
        repeated = len(every) - len({each.event_index for each in every})
        if applied:
            yield Record(shard, sequence, applied, rows, repeated)


def _decisions(files: ParquetArchive, told: Iterable[ArchiveFile]) -> Iterator[Row]:
    ordered = sorted(told, key=lambda file: (shard_number(file.shard), file.shard, file.first))
    for some in _overlapping(ordered):
        yield from heapq.merge(*(_rows(files, file) for file in some), key=_place)


def _overlapping(files: Sequence[ArchiveFile]) -> Iterator[list[ArchiveFile]]:
    """Runs of files of one shard whose ranges overlap, as those of a range that spans an hour do."""
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


def _place(row: Row) -> tuple[int, str, int]:
    return shard_number(row["shard"]), row["shard"], int(row["sequence"])
