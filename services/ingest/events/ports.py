"""What accepting, dispatching and archiving need in common."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from services.ingest.events.domain.event import FailedEvent, Seen, Table
from services.ingest.events.domain.suppression import Suppression
from services.ingest.events.domain.tenants import Settings


class Claim(NamedTuple):
    """An event id and the position of its event."""

    event_id: str
    seen: Seen


class AppendedRecord(NamedTuple):
    """A record on the stream: its position, and which rows of a table are its events, in its order."""

    shard: str
    sequence: int
    rows: Sequence[int]


class AppendedEvents(NamedTuple):
    """Some or all events of a record as parallel lists: the ids, and what is remembered of each."""

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
        """Appends events, those of a user in their order; returns the records once the stream has them all.

        Each row is in one of the records. Empty for a table without rows.

        Raises:
            ResourceExhausted: `BUFFER_FULL`; nothing was appended.
            Unavailable: some MAY have been appended; a repeated call appends them again.
        """


class SeenEvents(Protocol):
    """The event ids of the last 24 to 48 hours, by received time, and which records of the stream are clean.

    A record is clean if each of its events is remembered at its own position: then all of them count.
    """

    async def find(self, ids: Sequence[str], now_us: int) -> list[Seen | None]:
        """What is remembered of each id, in the order asked; None where nothing is."""

    async def remember(self, records: Sequence[AppendedEvents]) -> set[str]:
        """Remembers the events of records that are on the stream; returns the ids known from another position.

        Those are left as they are, as with `claim`. A record becomes clean if all its events are passed, be it in
        several `AppendedEvents` of one call, and remembered. No id MUST be passed twice. Repeating it changes nothing.
        """

    async def clean(self, shard: str, event_counts: Mapping[int, int]) -> set[int]:
        """Which of a shard's records are clean.

        A clean record MAY be missing, as when there are very many; then its events are claimed.

        Args:
            shard: the shard.
            event_counts: by sequence number, how many events a record holds.
        """

    async def forget_records(self, shard: str, through: int) -> None:
        """Forgets which records are clean, up to and including a sequence number; ids stay."""

    async def claim(self, claims: Sequence[Claim]) -> list[Seen]:
        """Remembers each event unless its id is remembered already, and returns what is remembered then.

        The first claim of an id wins and MUST win for good, whoever claims at the same time: it decides whether an
        event is applied. Claiming the same position again changes nothing. Results are in the order of the claims.
        """

    async def release(self, claim: Claim) -> None:
        """Forgets an event if exactly this is remembered of it; its record is not clean from then on."""


class FailedEvents(Protocol):
    """What could not be accepted or applied, for at most 7 days.

    Of refused events the latest are kept, up to a number and a size, and of each tenant but the default one up to half
    of both. Those that were accepted and could not be applied (they have a position) MUST NOT make room for others: who
    keeps them asks for room first.
    """

    async def add(self, failed: Sequence[FailedEvent]) -> None:
        """Keeps failed events; one with the same id is replaced."""

    async def has_room(self, count: int) -> bool:
        """Whether `count` more events may be kept that were accepted and could not be applied."""

    async def full_tenants(self) -> frozenset[str]:
        """The tenants, never the default one, that have half of that room or more. They MUST NOT lose any for it."""

    async def find(self, ids: Sequence[str]) -> list[FailedEvent | None]:
        """The failed events with these ids, in the order asked."""

    async def list(self, page_size: int, before: str, reason: str = "") -> tuple[Sequence[FailedEvent], str]:
        """Failed events, newest first, and the token of the next page; empty on the first call and after the last page.

        With a reason, only those that failed for it. A page is shorter once it holds some 512 KiB.

        Raises:
            InvalidArgument: `INVALID_PARAMETER`, the token is not one that was given out.
        """

    async def remove(self, failed_id: str) -> None:
        """Forgets a failed event; no error if there is none."""

    async def strike_off(self, failed: FailedEvent) -> None:
        """Forgets a failed event if it is unchanged: it may have failed again meanwhile."""


class FailedRecords(Protocol):
    """The records of each shard that hold events which could not be applied."""

    async def add(self, shard: str, sequences: Sequence[int]) -> None:
        """Marks records; marking again changes nothing."""

    async def find(self, shard: str, sequences: Sequence[int]) -> set[int]:
        """Those of the records that are marked."""

    async def forget(self, shard: str, through: int) -> None:
        """Forgets the marks of records up to and including a sequence number."""


class Suppressions(Protocol):
    """The suppressed people, by pseudonym. All calls raise `Unavailable` where the store cannot be reached."""

    async def all(self) -> Suppression:
        """Who is suppressed now."""

    async def secret(self) -> bytes:
        """The secret behind the pseudonyms; made with the first call, and the same for good."""

    async def add(self, pseudonyms: Collection[str], erasure_id: str) -> None:
        """Suppresses people, of whom there MUST be one; adding one again changes nothing but the erasure."""

    async def remove(self, pseudonyms: Collection[str]) -> None:
        """Suppresses these people no longer; unknown ones are ignored. There MUST be one."""


class Tenants(Protocol):
    """Knows what was set for tenants."""

    async def all(self) -> Settings:
        """What was set for each.

        Raises:
            Unavailable: who keeps it cannot be reached; the call may be repeated.
        """


class Applied(Protocol):
    """When events were applied, to within five seconds, for 24 to 48 hours."""

    async def note(self, shard: str, checkpoint: int, now_us: int) -> None:
        """Notes that everything up to a checkpoint is applied; written in the background within five seconds.

        A note is lost if the process ends before; then a later time is found.
        """

    async def find(self, shard: str, sequence: int, now_us: int) -> int | None:
        """When the event at this sequence number was applied, in Unix microseconds; None where it is not known."""
