"""The stream port: the buffer between accepting events and applying them.

Words
- A *record* is the unit of the stream: a payload of bytes at a *position*.
- A *shard* is an ordered part of the stream. A *sequence number* is an integer that grows within a shard, with gaps.
  Shard and sequence number together are a record's *position*.
- A shard is *closed* when it is split or merged; its *children* take over its keys. A child's records come after all
  records of its *parents*, and the number at the end of its name is larger than theirs.
- An *ordering group* is a set of keys (users) that always share a shard, so that they may share a record. A group's
  records are read in the order they were appended; a split or a merge moves whole groups.
- A *checkpoint* is the sequence number up to which a consumer group has done everything. It is written last, by the
  holder of the shard's *lease* (`mesh.leases`).

Delivery is at least once: after a crash records beyond the checkpoint are read again, and an append whose answer was
lost may be repeated. Whoever applies records ensures that effects happen once (`mesh.state.applied`).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

BEGINNING: Final = -1
"""The checkpoint of a consumer group that has read nothing."""

END: Final = 1 << 256
"""The checkpoint of a consumer group that has finished a closed shard; beyond every sequence number."""
MAX_RECORD_BYTES: Final = 1_000_000
"""The largest payload, for every adapter: Kinesis takes 1 MiB including the partition key."""


class Record(NamedTuple):
    """A record of a shard. `appended_us` is when the stream took it: Unix microseconds, precise to the millisecond."""

    sequence: int
    payload: bytes
    appended_us: int


class Position(NamedTuple):
    """Where a record is."""

    shard: str
    sequence: int


class Entry(NamedTuple):
    """A record to append, of at most `MAX_RECORD_BYTES`."""

    group: str
    payload: bytes


class Shard(NamedTuple):
    """A shard and its parents; parents whose records are gone may be left out."""

    name: str
    parents: tuple[str, ...] = ()


class Read(NamedTuple):
    """The answer to a read: records, oldest first, and whether they are the last of a closed shard."""

    records: list[Record]
    is_end: bool = False


class StreamWriter(Protocol):
    """Appends records."""

    def ordering_group(self, key: str) -> str:
        """The ordering group of a key, which never changes."""

    async def append(self, entries: Sequence[Entry]) -> list[Position]:
        """Appends records and returns their positions once the stream has them, in the order of the entries.

        Entries of one ordering group MUST be appended in order. The call MAY fail after some entries were appended; the
        caller repeats it, and their records exist twice.

        Raises:
            ResourceExhausted: `BUFFER_FULL`, the stream takes no more now, even after a few attempts; some entries may
                have been appended.
            Unavailable: the stream cannot be reached; entries may or may not have been appended.
        """


class StreamReader(Protocol):
    """Reads records per shard."""

    async def shards(self) -> list[Shard]:
        """All shards, parents before their children.

        Raises:
            Unavailable: the stream cannot be reached.
        """

    async def read(self, shard: str, after: int, max_records: int, wait_seconds: float) -> Read:
        """The records after a sequence number, oldest first.

        Waits up to `wait_seconds` for the first one; empty if none came. It MAY also be empty although more records are
        there: the caller reads again.

        Raises:
            Unavailable: the stream cannot be reached, or is throttled.
        """

    def now_us(self) -> int:
        """The time in Unix microseconds by the clock of `Record.appended_us`, as of the last read.

        This machine's clock may differ from it, and may be set.
        """

    async def waiting_seconds(self, shard: str, after: int) -> float | None:
        """How many seconds the oldest record after a sequence number has waited, 0 or more; None without one.

        Measured by the stream's own clock. Costs at least as much as reading one record.

        Raises:
            Unavailable: the stream cannot be reached, or is throttled.
        """

    async def trim(self, shard: str, through: int) -> None:
        """Deletes the records up to and including a sequence number, unless the stream expires them by itself."""
