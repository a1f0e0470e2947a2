"""What ingest needs of the world, in its own words."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from services.ingest.events.domain.event import FailedEvent, Seen, Table


class Claim(NamedTuple):
    """An event id and where its event stands."""

    event_id: str
    seen: Seen


class AppendedRecord(NamedTuple):
    """A record on the stream: where it stands, and which rows of a table are its events, in its order."""

    shard: str
    sequence: int
    rows: Sequence[int]


class AppendedEvents(NamedTuple):
    """Events of a record, some or all, as parallel lists: the ids, and what is remembered of each."""

    shard: str
    sequence: int
    event_ids: Sequence[str]
    event_indexes: Sequence[int]
    received_times_us: Sequence[int]
    trace_ids: Sequence[bytes]

    def without(self, ids: Collection[str]) -> "AppendedEvents":
        """The same without some ids."""
        rows = [row for row, event_id in enumerate(self.event_ids) if event_id not in ids]
        columns: Any = ([column[row] for row in rows] for column in self[2:])
        return AppendedEvents(self.shard, self.sequence, *columns)


class EventLog(Protocol):
    """The stream, as a writer of events."""

    async def append(self, table: Table) -> list[AppendedRecord]:
        """Appends events, a user's in their order; returns the records once the stream has them all.

        Each row stands in one of the records. None for a table without rows.

        Raises:
            ResourceExhausted: `BUFFER_FULL`; nothing was appended.
            Unavailable: some MAY have been appended; a repeated call appends them again.
        """


class SeenEvents(Protocol):
    """The event ids of the last 24 to 48 hours, by received time, and which records of the stream are clean.

    A record is clean where each of its events is remembered at its very position: then all of them count.
    """

    async def find(self, ids: Sequence[str], now_us: int) -> list[Seen | None]:
        """What is remembered of each id, in the order asked; None where nothing is."""

    async def remember(self, records: Sequence[AppendedEvents]) -> set[str]:
        """Remembers the events of records that are on the stream, and returns the ids that stand elsewhere already.

        Those are left as they are, as with `claim`. A record with all its events told and remembered becomes clean, and
        one that is told in parts when they are told together. No id MUST stand twice. Repeating it changes nothing.
        """

    async def clean(self, shard: str, event_counts: Mapping[int, int]) -> set[int]:
        """The clean ones of a shard's records.

        A record MAY be missing that is clean, as when it is one of very many; then its events are claimed.

        Args:
            shard: the shard.
            event_counts: by sequence number, how many events a record holds.
        """

    async def forget_records(self, shard: str, through: int) -> None:
        """Forgets which records are clean, up to and including a sequence number; ids stay."""

    async def claim(self, claims: Sequence[Claim]) -> list[Seen]:
        """Remembers each event unless its id is remembered already, and returns what is remembered then.

        The first claim of an id wins and MUST win for good, whoever claims at the same time: whether an event is
        applied hangs on it. Claiming the same position again changes nothing. In the order of the claims.
        """

    async def release(self, claim: Claim) -> None:
        """Forgets an event, if what is remembered is still just this, and its record is not clean any more."""


class FailedEvents(Protocol):
    """What could not be accepted or applied, for at most 7 days.

    Of those that were refused the latest are kept, up to a number and a size. Those that were accepted and set aside
    (they have a position) MUST NOT make room for others: who keeps them asks for room first.
    """

    async def add(self, failed: Sequence[FailedEvent]) -> None:
        """Keeps failed events; one with the same id is replaced."""

    async def has_room(self, count: int) -> bool:
        """Whether so many more may be kept that were accepted and set aside."""

    async def find(self, ids: Sequence[str]) -> list[FailedEvent | None]:
        """The failed events with these ids, in the order asked."""

    async def list(self, page_size: int, before: str, reason: str = "") -> tuple[Sequence[FailedEvent], str]:
        """Failed events, newest first, and where the next page begins; an empty text begins at the newest and ends.

        With a reason, only those that failed for it. A page is shorter than it was to be where it holds some 512 KiB.

        Raises:
            InvalidArgument: `INVALID_PARAMETER`, the text is not one this port gave out.
        """

    async def remove(self, failed_id: str) -> None:
        """Forgets a failed event; no error if there is none."""

    async def strike_off(self, failed: FailedEvent) -> None:
        """Forgets a failed event, if it is still just this: it may have failed again meanwhile."""


class FailedRecords(Protocol):
    """The records of each shard that were accepted and could not be applied."""

    async def add(self, shard: str, sequences: Sequence[int]) -> None:
        """Marks records; marking again changes nothing."""

    async def find(self, shard: str, sequences: Sequence[int]) -> set[int]:
        """Those of the records that are marked."""

    async def forget(self, shard: str, through: int) -> None:
        """Takes the marks off the records up to and including a sequence number."""


class Applied(Protocol):
    """When events were applied, to within five seconds, for 24 to 48 hours."""

    async def note(self, shard: str, checkpoint: int, now_us: int) -> None:
        """Says that everything up to a checkpoint is applied. Costs nothing: it is written within five seconds.

        What is not yet written is lost when the process is; then a later time is told.
        """

    async def find(self, shard: str, sequence: int, now_us: int) -> int | None:
        """When the event at this sequence number was applied, in Unix microseconds; None where it is not known."""
