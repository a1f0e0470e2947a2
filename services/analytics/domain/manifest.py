"""What the copies hold: which files of the archive are in them, and which file each tenant's day is. Pure."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from services.analytics.domain.layout import ArchiveFile, Partition, TailFile, tail_file


class Stamp(NamedTuple):
    """By which a changed file is told from the one that was read: its bytes, and when it was written."""

    size: int
    modified_ns: int


class Source(NamedTuple):
    """A file of the archive that is in the copies, and the days it has rows of."""

    stamp: Stamp
    partitions: frozenset[Partition]


class Part(NamedTuple):
    """The file of a tenant's day: its name, which follows from its bytes, and its rows."""

    name: str
    row_count: int


class Tail(NamedTuple):
    """What the archiver shows and no file of the archive has, by tenant and day."""

    sources: frozenset[str]
    """The paths of the files that it was made from."""
    parts: Mapping[tuple[str, Partition], Part]
    """By kind and day, apart from those of the manifest: no row of theirs is in those."""
    watermark_us: int
    """As the manifest's."""


NO_TAIL = Tail(frozenset(), {}, 0)


class Manifest(NamedTuple):
    """The copies as they are at one moment. Parts are by kind and day, sources by path."""

    sources: Mapping[str, Source]
    parts: Mapping[tuple[str, Partition], Part]
    watermark_us: int
    """The latest time of receipt among the events; 0 without any."""
    summaries: str = ""
    """The version of the summaries that all parts have; empty if they may have none."""
    id: str = ""
    """Follows from all before; empty where nothing was written yet."""
    tail: Tail = NO_TAIL
    """What comes after all of it."""


EMPTY = Manifest({}, {}, 0)


class Pass(NamedTuple):
    """What brings the copies up to the archive: days to make again from the files they are in, and files to add."""

    added: tuple[ArchiveFile, ...]
    again: Mapping[str, tuple[ArchiveFile, ...]]
    """By kind, the files that have rows of the days to make again and are in the copies already."""
    days: Mapping[str, frozenset[Partition]]
    """By kind, the days to make again."""
    removed: frozenset[str]
    """Paths of files that are no longer there, or no longer the same."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.added and not self.removed


def next_pass(manifest: Manifest, listed: Mapping[ArchiveFile, Stamp], most_bytes: int) -> Pass:
    """What to do next.

    A file that has gone or changed, as erasing and joining do it, makes its days be made again; what took its place is
    added at once, so that nothing is missing meanwhile. Other files are added up to some bytes, the oldest first.

    Args:
        manifest: the copies.
        listed: the archive's files that count, each with its stamp.
        most_bytes: bytes of files to add, if there are more than one.
    """
    by_path = {file.path: (file, stamp) for file, stamp in listed.items()}
    removed = frozenset(
        path for path, source in manifest.sources.items() if path not in by_path or by_path[path][1] != source.stamp
    )
    days: dict[str, frozenset[Partition]] = {}
    again: dict[str, tuple[ArchiveFile, ...]] = {}
    for kind in {path.partition("/")[0] for path in removed}:
        gone = [manifest.sources[path] for path in removed if path.startswith(f"{kind}/")]
        days[kind] = frozenset().union(*(source.partitions for source in gone))
        again[kind] = tuple(
            file
            for path, (file, _) in sorted(by_path.items())
            if file.kind == kind
            and path not in removed
            and path in manifest.sources
            and not manifest.sources[path].partitions.isdisjoint(days[kind])
        )
    new = [file for file in listed if file.path in removed or file.path not in manifest.sources]
    return Pass(tuple(_first(new, listed, removed, most_bytes)), again, days, removed)


def _first(
    new: Iterable[ArchiveFile], listed: Mapping[ArchiveFile, Stamp], removed: Collection[str], most_bytes: int
) -> Iterable[ArchiveFile]:
    gone = [(path.split("/")[2], path.rpartition("/")[2].split("-")[0]) for path in removed]
    byte_count = 0
    for file in sorted(new, key=lambda each: (each.hour, each.path)):
        is_replacement = (f"hour={file.hour}", file.shard) in gone
        byte_count += listed[file].size
        if is_replacement or byte_count <= most_bytes or byte_count == listed[file].size:
            yield file


class Piece(NamedTuple):
    """A file of the tail, and the first of its sequence numbers that no file before it has."""

    file: TailFile
    first: int


def pieces(files: Iterable[TailFile]) -> list[Piece]:
    """The files of the tail that together show every row, each from where the one before it ends."""
    found: list[Piece] = []
    for file in sorted(files, key=lambda each: (each.shard, each.first, -each.last)):
        before = found[-1].file if found and found[-1].file.shard == file.shard else None
        if before is None or before.last < file.last:
            found.append(Piece(file, file.first if before is None else max(file.first, before.last + 1)))
    return found


def begins(files: Iterable[TailFile]) -> dict[str, int]:
    """Where the latest file of each shard begins. While it does, no file of the archive was finished before it."""
    found: dict[str, int] = {}
    for file in files:
        found[file.shard] = max(file.first, found.get(file.shard, file.first))
    return found


def has_moved(tail: Tail, shown: Iterable[TailFile]) -> bool:
    """Whether files of the archive were finished since a tail was made, given what is shown now."""
    return begins(shown) != begins(filter(None, map(tail_file, tail.sources)))
