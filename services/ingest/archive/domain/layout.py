"""What the archive is made of: a file holds the rows of one hour within one range of a shard.

A range is closed at both ends, and the next one begins where it ends, so that the names alone show whether any is
missing. Files of the same hour and shard may lie inside one another after a crash; the widest one has all rows.
"""

import datetime as dt
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from services.ingest.events.domain.event import Event

EVENTS: Final = "events"
DECISIONS: Final = "decisions"
VERSION: Final = "v1"
"""Of the schema of both kinds: grows when a column changes its meaning or goes. A new column does not change it."""

TAIL: Final = "tail/v1"
"""The folder of what is in no file yet; its version grows when it is written in another way."""

HOUR_US: Final = 3_600_000_000

_TAIL_NAME: Final = re.compile(r"\.?(?P<shard>[^/]+)-(?P<first>\d+)-\d+\.arrows[^/]*", re.ASCII)

_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - hours are UTC throughout
LAST_HOUR: Final = (dt.datetime(9999, 12, 31) - _EPOCH) // dt.timedelta(hours=1)  # noqa: DTZ001 - as above
_HOUR_FORMAT: Final = "hour=%Y-%m-%dT%H"
# Digits of a sequence number: enough for time in nanoseconds, and for Kinesis. Of one width, so that they sort as text.
_WIDTH: Final = 20
_KINESIS_WIDTH: Final = 60
_PATH: Final = re.compile(
    rf"(?P<kind>{EVENTS}|{DECISIONS})/{VERSION}/(?P<hour>[^/]+)/(?P<shard>[^/]+)-(?P<first>\d+)-(?P<last>\d+)\.parquet",
    re.ASCII,
)


class Plan(NamedTuple):
    """The records of a shard that are written together: those after one sequence number, up to and with another."""

    after: int
    through: int


class Indicator(Protocol):
    """See `journeymesh.scoring.v1.Indicator`."""

    name: str
    contribution: float
    reason: str


class Assessment(Protocol):
    """See `journeymesh.scoring.v1.Assessment`."""

    score: float
    level: int
    confidence: float
    rule_score: float
    model_score: float
    strong_signal_count: int
    probability: float

    def HasField(self, name: str) -> bool:  # noqa: N802 - the name that messages give it
        """Whether a member that may be absent is there."""

    @property
    def indicators(self) -> Sequence[Indicator]:
        """Strongest first; none for a low level."""


class Versions(NamedTuple):
    """What made a decision. `outcome` is what the model tells the probability of, in words; empty if not known."""

    model: str
    rules: str
    policy: str
    outcome: str = ""


class DecisionRow(NamedTuple):
    """The decision on a user of a record; numbers as in `journeymesh.intervention.v1`, the deciding reason first.

    `event` is the one it is about, at `event_index`.
    """

    sequence: int
    event_index: int
    event: Event
    kind: int
    reasons: tuple[int, ...]
    assessment: Assessment
    versions: Versions
    whole: object | None
    """A `journeymesh.intervention.v1.Decision`; None for one without help and with one reason only."""
    event_count: int
    """How many events of the user led to it."""


class ArchiveFile(NamedTuple):
    """A file of the archive. The hour counts from 1970; first and last are sequence numbers, both inside."""

    kind: str
    hour: int
    shard: str
    first: int
    last: int

    @property
    def path(self) -> str:
        """Below the root. Paths of a shard and hour sort by their first sequence number."""
        first, last = (number_text(number, self.last) for number in (self.first, self.last))
        return f"{folder(self.kind, self.hour)}/{self.shard}-{first}-{last}.parquet"


def hour_of(received_us: int) -> int:
    """The hour of a received time in Unix microseconds; times that no calendar has belong to its first or last hour."""
    return min(max(received_us // HOUR_US, 0), LAST_HOUR)


def hours_of(received_us: Iterable[int]) -> set[int]:
    """The hours of received times."""
    return {hour_of(hour * HOUR_US) for hour in {at_us // HOUR_US for at_us in received_us}}


def folder(kind: str, hour: int) -> str:
    """The folder of an hour, below the root."""
    return f"{kind}/{VERSION}/{_EPOCH + dt.timedelta(hours=hour):{_HOUR_FORMAT}}"


def parse_hour(name: str) -> int | None:
    """The hour of a folder's name; None where it is none."""
    try:
        return (dt.datetime.strptime(name, _HOUR_FORMAT) - _EPOCH) // dt.timedelta(hours=1)  # noqa: DTZ007 - as above
    except ValueError:
        return None


def parse_path(path: str) -> ArchiveFile | None:
    """The file of a path below the root; None where it is none of the archive's."""
    found = _PATH.fullmatch(path)
    hour = parse_hour(found["hour"]) if found else None
    if found is None or hour is None:
        return None
    return ArchiveFile(found["kind"], hour, found["shard"], int(found["first"]), int(found["last"]))


def tail_name(shard: str, plan: Plan) -> str:
    """The name of the file that shows a range before it is written."""
    first, last = (number_text(number, plan.through) for number in (plan.after + 1, plan.through))
    return f"{shard}-{first}-{last}.arrows"


def begins(name: str, shard: str, through: int) -> bool:
    """Whether a file of the tail, whole or half, is of a shard and begins at or before a sequence number."""
    found = _TAIL_NAME.fullmatch(name)
    return found is not None and found["shard"] == shard and int(found["first"]) <= through


def number_text(number: int, greatest: int) -> str:
    """A sequence number as text that sorts, where none of the shard so far is above `greatest`."""
    return f"{number:0{_WIDTH if greatest < 10**_WIDTH else _KINESIS_WIDTH}d}"


def covering(files: Iterable[ArchiveFile]) -> list[ArchiveFile]:
    """The files that together hold every row, by kind, hour, shard and range; without those that lie inside another."""
    kept: list[ArchiveFile] = []
    for file in sorted(files, key=lambda each: (each[:3], each.first, -each.last)):
        if not kept or kept[-1][:3] != file[:3] or kept[-1].last < file.last:
            kept.append(file)
    return kept


def groups(
    files: Sequence[ArchiveFile], size: Callable[[ArchiveFile], int], most_bytes: int
) -> Iterator[list[ArchiveFile]]:
    """Runs of two files and more that may become one: of one hour and shard, without a gap, and not above a size.

    Args:
        files: as `covering` gives them.
        size: bytes of a file.
        most_bytes: bytes of what they become.
    """
    run: list[ArchiveFile] = []
    for file in files:
        follows = bool(run) and run[-1][:3] == file[:3] and run[-1].last + 1 == file.first
        if not follows or sum(map(size, run)) + size(file) > most_bytes:
            if len(run) > 1:
                yield run
            run = []
        run.append(file)
    if len(run) > 1:
        yield run


def merged(files: Sequence[ArchiveFile]) -> ArchiveFile:
    """The file that a run becomes."""
    return files[0]._replace(last=files[-1].last)


class Content(NamedTuple):
    """What is in a file: how many rows, and SHA-256 of its bytes as 64 hexadecimal digits."""

    row_count: int
    sha256: str


class Holding(NamedTuple):
    """What a file holds: its bytes, and the rows of each tenant that has some."""

    byte_count: int
    rows: Mapping[str, int]


class Gap(NamedTuple):
    """A range of a shard that no file covers, between some that do."""

    shard: str
    first: int
    last: int


def gaps(files: Iterable[ArchiveFile]) -> list[Gap]:
    """What is missing between the files of each shard."""
    found = []
    by_shard = sorted(files, key=lambda each: (each.shard, each.first))
    for shard, its in itertools.groupby(by_shard, key=lambda each: each.shard):
        through = None
        for file in its:
            if through is not None and file.first > through + 1:
                found.append(Gap(shard, through + 1, file.first - 1))
            through = file.last if through is None else max(through, file.last)
    return found
