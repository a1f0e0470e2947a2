"""Which file holds what: those of the archive as they are found, and the copies of them by tenant, day and user.

docs/archive.md describes the first, docs/analytics.md the second.
"""

import datetime as dt
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

EVENTS: Final = "events"
DECISIONS: Final = "decisions"
KINDS: Final = (EVENTS, DECISIONS)
VERSION: Final = "v5"
"""Of the columns of the copies; grows when one comes, goes or changes its meaning: then all copies are made again."""
SUMMARIES: Final = "summaries/v1"
"""The folder of the summaries; its version grows when one of them changes, and they are all made again then."""
FOLDERS: Final = (*KINDS, "summaries")
"""Below the root of the copies."""
TAIL: Final = "tail/v1"
"""The folder of the tail below the root of the archive, and of what is made of it below that of the copies."""
DAY_US: Final = 86_400_000_000

_EPOCH: Final = dt.date(1970, 1, 1)
# A name that no tenant can have.
_DEFAULT_TENANT: Final = "_default"
_PATH: Final = re.compile(
    r"(?P<kind>events|decisions)/v1/hour=(?P<hour>[^/]+)/(?P<shard>[^/]+)-(?P<first>\d+)-(?P<last>\d+)\.parquet",
    re.ASCII,
)


_TAIL_NAME: Final = re.compile(r"tail/v1/(?P<shard>[^/.][^/]*)-(?P<first>\d+)-(?P<last>\d+)\.arrows", re.ASCII)


class TailFile(NamedTuple):
    """A file of the archive's tail: the rows of a range of a shard, both ends inside, of both kinds and all hours."""

    shard: str
    first: int
    last: int
    path: str


class ArchiveFile(NamedTuple):
    """A file of the archive: the rows of a range of a shard, both ends inside, that were received in one hour."""

    kind: str
    hour: str
    shard: str
    first: int
    last: int
    path: str

    def overlaps(self, other: "ArchiveFile") -> bool:
        """Whether both have rows of the same records, be they of different kinds."""
        return (self.hour, self.shard) == (other.hour, other.shard) and (
            self.first <= other.last and other.first <= self.last
        )


class Partition(NamedTuple):
    """A tenant's day in UTC, counted from 1970."""

    tenant: str
    day: int

    @property
    def folder(self) -> str:
        """Below the folder of a kind."""
        return f"{tenant_folder(self.tenant)}/day={_EPOCH + dt.timedelta(days=self.day)}"


def tenant_folder(tenant: str) -> str:
    """The folder of a tenant, below the folder of a kind."""
    return f"tenant={tenant or _DEFAULT_TENANT}"


def summary_path(name: str, path: str) -> str:
    """The path of a summary of a file of the copies; both are below the root."""
    _, _, tenant, day, part = path.split("/")
    return f"{SUMMARIES}/{tenant}/{day}/{name}-{part.removeprefix('part-')}"


def day_of(path: str) -> int:
    """The day of a file of the copies, counted from 1970, by its path below the root."""
    return (dt.date.fromisoformat(path.split("/")[3].removeprefix("day=")) - _EPOCH).days


def archive_file(path: str) -> ArchiveFile | None:
    """The file of a path below the archive's root; None where it is none of the archive's."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    return ArchiveFile(found["kind"], found["hour"], found["shard"], int(found["first"]), int(found["last"]), path)


def tail_file(path: str) -> TailFile | None:
    """The file of a path below the archive's root; None where it is none of the tail's."""
    found = _TAIL_NAME.fullmatch(path)
    return TailFile(found["shard"], int(found["first"]), int(found["last"]), path) if found else None


def part_path(kind: str, partition: Partition, name: str) -> str:
    """The path of a file of the copies below their root."""
    return f"{kind}/{VERSION}/{partition.folder}/{name}"


def tail_path(partition: Partition, name: str) -> str:
    """The path of a file of the tail's below the root of the copies."""
    return f"{TAIL}/{partition.folder}/{name}"


def covering(files: Iterable[ArchiveFile]) -> list[ArchiveFile]:
    """The files that together hold every row once: without those whose range lies inside that of another."""
    kept: list[ArchiveFile] = []
    for file in sorted(files, key=lambda each: (each[:3], each.first, -each.last)):
        if not kept or kept[-1][:3] != file[:3] or kept[-1].last < file.last:
            kept.append(file)
    return kept


def days(start_us: int, end_us: int) -> range:
    """The days that a span of time touches; none if it is empty."""
    return range(start_us // DAY_US, -(-end_us // DAY_US)) if start_us < end_us else range(0)
