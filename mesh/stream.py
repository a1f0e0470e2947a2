"""The stream port: the buffer between what was accepted and what is applied.

Words
- A *record* is what the stream keeps as one piece: a payload of bytes at a *position*.
- A *shard* is a part of the stream with an order of its own. A *sequence number* is an integer that grows within a
  shard, with gaps. Shard and sequence number together are a record's *position*.
- A shard may be *closed*, when it is split or merged; its *children* take over its keys. A child's records come after
  all records of its *parents*, and the number at the end of its name is larger than theirs.
- A *lane* is a group of keys (users) that always share a shard, so that they may share a record. A lane's records are
  read in the order they were appended; a split or a merge moves whole lanes.
- A *checkpoint* is the sequence number up to which one named reader has done everything. It is written last, by who
  holds the shard's *lease* (`mesh.leases`).

Delivery is at least once: after a crash records beyond the checkpoint are read again, and an append whose answer was
lost may be repeated. Whoever applies records takes care that effects happen once (`mesh.applied`).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

BEGINNING: Final = -1
"""The checkpoint of a reader that has read nothing."""

END: Final = 1 << 256
"""The checkpoint of a reader that is through with a closed shard; beyond every sequence number."""


class Record(NamedTuple):
    """One record of a shard. `appended_us` is when the stream took it, in Unix microseconds, to the millisecond."""

    sequence: int
    payload: bytes
    appended_us: int


class Position(NamedTuple):
    """Where a record stands."""

    shard: str
    sequence: int


class Entry(NamedTuple):
    """A record to be appended, of at most `MAX_RECORD_BYTES`."""

    lane: str
    payload: bytes


MAX_RECORD_BYTES: Final = 1_000_000
"""What a payload may hold on every adapter: Kinesis takes 1 MiB with the partition key."""


class Shard(NamedTuple):
    """A shard and its parents; parents whose records the stream has forgotten may be left out."""

    name: str
    parents: tuple[str, ...] = ()


class Read(NamedTuple):
    """What was read of a shard: records, oldest first, and whether the shard is closed and these are its last."""

    records: list[Record]
    is_end: bool = False


class StreamWriter(Protocol):
    """Appends records."""

    def lane(self, key: str) -> str:
        """The lane of a key; the same for good."""

    async def append(self, entries: Sequence[Entry]) -> list[Position]:
        """Appends records and returns their positions once the stream has them, in the order of the entries.

        Entries of one lane MUST be appended in their order. It MAY happen that some entries are appended and the call
        fails all the same; the caller repeats the call, and the records stand there twice.

        Raises:
            ResourceExhausted: `BUFFER_FULL`, the stream takes no more now, even after a few tries; some entries may
                have been appended.
            Unavailable: the stream cannot be reached; entries may or may not have been appended.
        """


class StreamReader(Protocol):
    """Reads records, shard by shard."""

    async def shards(self) -> list[Shard]:
        """The shards there are, parents before their children.

        Raises:
            Unavailable: the stream cannot be reached.
        """

    async def read(self, shard: str, after: int, max_records: int, wait_seconds: float) -> Read:
        """The records after a sequence number, oldest first.

        Waits for the first one, and is empty if none came. It MAY be empty although records stand further on; the
        caller reads again.

        Raises:
            Unavailable: the stream cannot be reached, or has had enough for now.
        """

    def now_us(self) -> int:
        """The time in Unix microseconds by the clock of `Record.appended_us`, as the last read had it.

        The clock of this machine may be another, and may be set.
        """

    async def waiting_seconds(self, shard: str, after: int) -> float | None:
        """How long the oldest record after a sequence number has waited, 0 or more; None where none does.

        By the stream's own clock, and at least as dear as a read of one record.

        Raises:
            Unavailable: the stream cannot be reached, or has had enough for now.
        """

    async def trim(self, shard: str, through: int) -> None:
        """Lets the stream forget the records up to and including a sequence number, where it does not by itself."""
