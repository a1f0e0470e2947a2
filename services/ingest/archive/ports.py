"""What archiving needs, beside the ports of `events`."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from mesh.state.exporting import Record
from records import table as tables
from services.ingest.archive.domain.layout import ArchiveFile, Content, DecisionRow, Holding, Plan
from services.ingest.events.domain.event import Event


class Plans(Protocol):
    """What the archiver is about to write of each shard, so that after a crash it writes the same files.

    A plan is open until the archiver's checkpoint has passed it. Plans do not expire.
    """

    async def take(self, shard: str, epoch: int) -> Plan | None:
        """The shard's last plan, None where there was none. From then on holders of an older epoch are refused.

        Raises:
            FailedPrecondition: `LEASE_LOST`, a newer epoch has taken it.
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def save(self, shard: str, epoch: int, plan: Plan) -> None:
        """Keeps a plan in place of the last one.

        Raises:
            FailedPrecondition: `LEASE_LOST`, a newer epoch has taken the shard; nothing is written.
            Unavailable: the plan may or may not be kept; the call may be repeated.
        """


class EventRows(NamedTuple):
    """The events of a record that count: of duplicates the one whose position is remembered."""

    sequence: int
    table: tables.Table
    rows: Sequence[int]
    """Which of the table; ascending."""
    failed: Collection[int] = ()
    """Those that could not be applied."""
    events: Sequence[Event] = ()
    """All events of the record, if it held them one by one: they may hold more than the table."""


class Part(Protocol):
    """Rows of some records as they will be written, packed; its contents are up to the adapter."""

    @property
    def size(self) -> int:
        """Bytes it takes in memory."""


class Tail(Protocol):
    """Shows what was gathered and not written yet, so that it can be counted; nothing is lost with it.

    Every call raises `Unavailable` if the storage cannot be reached; it may be repeated.
    """

    async def write(self, shard: str, plan: Plan, parts: Sequence[Part]) -> None:
        """Shows the rows of a range, in the place of whatever was shown of the shard.

        An empty range shows how far the archive has come.
        """

    async def remove(self, shard: str, through: int) -> None:
        """Shows no range of a shard any more that begins at or before a sequence number."""


class Archive(Protocol):
    """Keeps events and decisions for good, as files that are written whole or not at all.

    Every call raises `Unavailable` if the storage cannot be reached; it may be repeated.
    """

    async def pack(self, shard: str, events: Sequence[EventRows], decisions: Sequence[DecisionRow]) -> Part:
        """Packs the rows of some records, which ascend by sequence number and event index."""

    async def write(self, shard: str, plan: Plan, hours: Collection[int], parts: Sequence[Part]) -> int:
        """Writes the files of a plan, per hour one of each kind, even without rows; returns their bytes.

        Writing a plan again replaces its files; the same rows give the same bytes, however they are split into parts.

        Args:
            shard: the shard of all rows.
            plan: the range.
            hours: the hours of the rows, by `domain.layout.hour_of`, and of whatever else is in the range.
            parts: the rows, in the order of the stream.
        """

    async def hours(self) -> list[int]:
        """The hours of which there are events, ascending."""

    async def holding(self, user_ids: Collection[str]) -> dict[ArchiveFile, Content]:
        """The files with rows that name one of these ids, and what is in them. Reads the ids of all files."""

    async def of_users(self, user_ids: Collection[str], most_bytes: int) -> list[Record]:
        """The rows of these users as the records of an export, without what is null. Reads the ids of all files.

        Raises:
            ResourceExhausted: `EXPORT_TOO_LARGE`, they have more bytes.
        """

    async def erase(self, file: ArchiveFile, user_ids: Collection[str]) -> Content | None:
        """Rewrites a file without the rows of these users; None if it is no longer there. May be repeated.

        Rows of others that name one of the ids as their anonymous id stay, without it. Readers see the file as it was
        or as it is then.
        """

    async def before(self, hour: int) -> dict[ArchiveFile, Holding]:
        """The files of the hours before one, counted as in `ArchiveFile`, and what they hold. Reads all their user ids.

        One that cannot be read has no rows.
        """

    async def expire(self, file: ArchiveFile, gone: Collection[str]) -> None:
        """Rewrites a file without the rows of these tenants, even if none are left. Does nothing if it is not there.

        May be repeated. Readers see the file as it was or as it is then; order and metadata of the rows stay.
        """

    async def delete(self, file: ArchiveFile) -> None:
        """Deletes a file. May be repeated."""

    async def compact(self, shard: str, hour: int) -> None:
        """Joins a shard's files of an hour, as far as they are adjacent, and removes those.

        Rows of suppressed people are left out.
        """
