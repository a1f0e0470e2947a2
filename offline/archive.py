"""Reads archived events in the order of the stream, so that each user's come in the order they were applied."""

import heapq
import itertools
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from mesh.state.applied import shard_number
from services.ingest.archive.adapters.event_rows import SCHEMA, Archived, archived
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import EVENTS, ArchiveFile, Gap, gaps

_UNUSED: Final = frozenset(
    {"properties", "user_agent", "trace_id", "span_id", "device_id", "correlation_id", "anonymous_id", "bot_evidence"}
)
COLUMNS: Final = [name for name in SCHEMA.names if name not in _UNUSED]
"""The columns that features and decisions depend on."""
NOTHING_YET: Final = "Nothing is archived yet: files are written once a minute."


class Window(NamedTuple):
    """Hours of received time since 1970: from `start` on, and before `stop`."""

    start: int = 0
    stop: int = 1 << 62


class Contents(NamedTuple):
    """What an archive has of a window."""

    files: list[ArchiveFile]
    """The window's files, each to be read whole."""
    row_count: int
    """Rows of the files, by their metadata."""
    gaps: list[Gap]
    """Ranges missing between files, also of hours outside the window."""


def contents(archive: ParquetArchive, window: Window = Window()) -> Contents:  # noqa: B008 - a value
    """The contents of an archive in a window.

    Raises:
        Unavailable: the storage cannot be reached.
    """
    every = archive.files(EVENTS)
    files = [file for file in every if window.start <= file.hour < window.stop]
    inside = {file.shard: (file.first, file.last) for file in files}
    for file in files:
        first, last = inside[file.shard]
        inside[file.shard] = min(first, file.first), max(last, file.last)
    missing = [gap for gap in gaps(every) if gap.shard in inside and _overlaps(gap, *inside[gap.shard])]
    return Contents(files, sum(map(archive.row_count, files)), missing)


def is_empty(archive: ParquetArchive) -> bool:
    """Whether there is no file at all, in any window.

    Raises:
        Unavailable: the storage cannot be reached.
    """
    return not archive.files(EVENTS)


def events(
    archive: ParquetArchive, files: Sequence[ArchiveFile], columns: Sequence[str] | None = None
) -> Iterator[Archived]:
    """The events of files, shard by shard, parents before children, and in the order of the stream within a shard.

    An event that is in two files comes twice in a row.

    Args:
        archive: where the files are.
        files: which of them, as in `Contents`.
        columns: which to read; must have `shard`, `sequence`, `event_index`, `is_set_aside` and `raw`.

    Raises:
        Unavailable: the storage cannot be reached.
    """
    by_shard = sorted(files, key=lambda file: (shard_number(file.shard), file.shard, file.first))
    for _, its in itertools.groupby(by_shard, key=lambda file: file.shard):
        yield from _merged(archive, list(its), columns)


def _merged(archive: ParquetArchive, files: Sequence[ArchiveFile], columns: Sequence[str] | None) -> Iterator[Archived]:
    """The events of one shard. A file is opened when its range is reached: few are open at once."""
    # The number breaks ties of position and event index, so that events are never compared.
    heap: list[tuple[int, int, int, Archived, Iterator[Archived]]] = []

    def push(number: int, rows: Iterator[Archived]) -> None:
        for row in rows:
            heapq.heappush(heap, (row.sequence, row.event_index, number, row, rows))
            return

    for number, file in enumerate(files):
        while heap and heap[0][0] < file.first:
            _, _, of, row, rows = heapq.heappop(heap)
            yield row
            push(of, rows)
        push(number, (row for batch in archive.batches(file, columns) for row in archived(batch)))
    while heap:
        _, _, of, row, rows = heapq.heappop(heap)
        yield row
        push(of, rows)


def _overlaps(gap: Gap, first: int, last: int) -> bool:
    return gap.first <= last and gap.last >= first
