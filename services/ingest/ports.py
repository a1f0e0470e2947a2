"""What ingest needs of the world, in its own words."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from mesh.leases import Standing
from records import table as tables
from services.ingest.domain.archive import DecisionRow, Plan
from services.ingest.domain.event import Event, FailedEvent, Seen, Table
from services.ingest.domain.skew import Skew


class Claim(NamedTuple):
    """An event id and where its event stands."""

    event_id: str
    seen: Seen


class Written(NamedTuple):
    """A record on the stream: where it stands, and which rows of a table are its events, in its order."""

    shard: str
    sequence: int
    rows: Sequence[int]


class Told(NamedTuple):
    """Events of a record, some or all, as parallel lists: the ids, and what is remembered of each."""

    shard: str
    sequence: int
    event_ids: Sequence[str]
    event_indexes: Sequence[int]
    received_times_us: Sequence[int]
    trace_ids: Sequence[bytes]

    def without(self, ids: Collection[str]) -> "Told":
        """The same without some ids."""
        rows = [row for row, event_id in enumerate(self.event_ids) if event_id not in ids]
        columns: Any = ([column[row] for row in rows] for column in self[2:])
        return Told(self.shard, self.sequence, *columns)


class EventLog(Protocol):
    """The stream, as a writer of events."""

    async def append(self, table: Table) -> list[Written]:
        """Appends events, a user's in their order; returns the records once the stream has them all.

        Each row stands in one of the records. None for a table without rows.

        Raises:
            ResourceExhausted: `BUFFER_FULL`; nothing was appended.
            Unavailable: some MAY have been appended; a repeated call appends them again.
        """


class SeenEvents(Protocol):
    """The event ids of the last 24 to 48 hours, by received time, and which records of the stream are clean.

    A record is clean where each of its events is remembered at its very place: then all of them count.
    """

    async def find(self, ids: Sequence[str], now_us: int) -> list[Seen | None]:
        """What is remembered of each id, in the order asked; None where nothing is."""

    async def remember(self, records: Sequence[Told]) -> set[str]:
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
        applied hangs on it. Claiming the same place again changes nothing. In the order of the claims.
        """

    async def release(self, claim: Claim) -> None:
        """Forgets an event, if what is remembered is still just this, and its record is not clean any more."""


class Duplicates(Protocol):
    """How often events were sent again, for as long as their ids are remembered."""

    async def add(self, ids: Sequence[str], now_us: int) -> None:
        """Counts one more for each id; one that stands twice counts twice."""

    async def count(self, event_id: str, now_us: int) -> int:
        """How often the event was sent again."""


class FailedEvents(Protocol):
    """What could not be accepted or applied, for at most 7 days.

    Of those that were refused the latest are kept, up to a number and a size. Those that were accepted and set aside
    (they have a place) MUST NOT make room for others: who keeps them asks for room first.
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


class SetAside(Protocol):
    """The records of each shard that were accepted and could not be applied."""

    async def add(self, shard: str, sequences: Sequence[int]) -> None:
        """Marks records; marking again changes nothing."""

    async def find(self, shard: str, sequences: Sequence[int]) -> set[int]:
        """Those of the records that are marked."""

    async def forget(self, shard: str, through: int) -> None:
        """Takes the marks off the records up to and including a sequence number."""


class Skews(Protocol):
    """What is known of the clocks of devices, for 49 hours after it was kept."""

    async def find(self, devices: Sequence[str]) -> dict[str, Skew]:
        """What is known of these devices; without those of which nothing is."""

    async def keep(self, skews: Mapping[str, Skew]) -> None:
        """Replaces what is known. Of two processes that keep the same device at once one wins."""


class Identities(Protocol):
    """Who anonymous ids turned out to be, and when, for 30 days after the last use: as `domain.holders` writes it."""

    async def find(self, anonymous_ids: Sequence[str], now_us: int) -> dict[str, str]:
        """What is kept of these; without those of which nothing is. Finding is use."""

    async def link(self, links: Mapping[str, str]) -> None:
        """Keeps what is known of anonymous ids, in place of what was."""


class Applied(Protocol):
    """When events were applied, to within five seconds, for 24 to 48 hours."""

    async def note(self, shard: str, checkpoint: int, now_us: int) -> None:
        """Says that everything up to a checkpoint is applied. Costs nothing: it is written within five seconds.

        What is not yet written is lost when the process is; then a later time is told.
        """

    async def find(self, shard: str, sequence: int, now_us: int) -> int | None:
        """When the event at this sequence number was applied, in Unix microseconds; None where it is not known."""


class Progress(Protocol):
    """How far the dispatcher has come."""

    async def checkpoint(self, shard: str) -> int:
        """The sequence number up to which everything in the shard is applied."""

    def lag_seconds(self) -> float | None:
        """How late the dispatcher is in its slowest shard, as of at most two seconds ago, or None.

        None where nobody dispatches, where it is catching up, as after an outage, or where it is not known. Does not
        wait: it begins to find out where what it knows is older than a quarter of a second.
        """

    def is_full(self) -> bool:
        """Whether as many accepted events are set aside as may be, as of at most two seconds ago. Does not wait."""


class ShardStanding(NamedTuple):
    """How far a reader has come on a shard."""

    reader: str
    shard: str
    standing: Standing


class Pipeline(Protocol):
    """The readers of the stream."""

    async def standings(self) -> list[ShardStanding]:
        """How far each has come, by reader and shard."""


class Plans(Protocol):
    """What the archiver is about to write of each shard, so that after a crash it writes the very same files.

    A plan is open until the archiver's checkpoint has passed it. Plans do not pass.
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
    """The events of a record that count: of the copies of one, the one whose place is remembered."""

    sequence: int
    table: tables.Table
    rows: Sequence[int]
    """Which of the table; ascending."""
    set_aside: Collection[int] = ()
    """Which of the table were accepted and could not be applied."""
    told: Sequence[Event] = ()
    """All events of the record, where they came one by one: they may tell more than the table."""


class Part(Protocol):
    """Rows of some records as they will be written, packed; what is in it is the adapter's own business."""

    @property
    def size(self) -> int:
        """Bytes it takes in memory."""


class Archive(Protocol):
    """Keeps events and decisions for good, as files; a file is there whole or not at all.

    Every call that reaches the storage raises `Unavailable` where it cannot; the call may be repeated.
    """

    async def pack(self, shard: str, events: Sequence[EventRows], decisions: Sequence[DecisionRow]) -> Part:
        """Packs the rows of some records, which ascend by sequence number and event index."""

    async def write(self, shard: str, plan: Plan, hours: Collection[int], parts: Sequence[Part]) -> int:
        """Writes the files of a plan, for each hour one a kind, be it without rows; tells their bytes.

        Writing a plan again replaces its files; the same rows give the same bytes, however they were cut into parts.

        Args:
            shard: the shard of all rows.
            plan: the range.
            hours: the hours of the rows, as `domain.archive.hour_of` tells them, and of whatever else is in the range.
            parts: the rows, in the order of the stream.
        """

    async def hours(self) -> list[int]:
        """The hours of which there are events, ascending."""

    async def compact(self, shard: str, hour: int) -> None:
        """Joins a shard's files of an hour, as far as they follow upon one another, and removes what they replace."""
