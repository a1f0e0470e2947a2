"""The stream port: the buffer between what was accepted and what is applied.

Words
- A *record* is what the stream keeps as one piece: a payload of bytes at a *position*.
- A *shard* is a part of the stream with an order of its own. A *sequence number* is an integer that grows within a
  shard, with gaps. Shard and sequence number together are a record's *position*.
- A *lane* is a group of keys (users) that always share a shard, so that they may share a record. A lane's records are
  read in the order they were appended.
- A *checkpoint* is the sequence number up to which one named reader has done everything. It is written last.

Delivery is at least once: after a crash records beyond the checkpoint are read again, and an append whose answer was
lost may be repeated. Whoever applies records takes care that effects happen once (`mesh.applied`).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

BEGINNING: Final = -1
"""The checkpoint of a reader that has read nothing."""


class Record(NamedTuple):
    """One record of a shard."""

    sequence: int
    payload: bytes


class Position(NamedTuple):
    """Where a record stands."""

    shard: str
    sequence: int


class Entry(NamedTuple):
    """A record to be appended."""

    lane: str
    payload: bytes


class StreamWriter(Protocol):
    """Appends records."""

    def lane(self, key: str) -> str:
        """The lane of a key; the same for good."""

    async def append(self, entries: Sequence[Entry]) -> list[Position]:
        """Appends records and returns their positions once the stream has them, in the order of the entries.

        Entries of one lane MUST be appended in their order. It MAY happen that some entries are appended and the call
        fails all the same; the caller repeats the call, and the records stand there twice.

        Raises:
            ResourceExhausted: `BUFFER_FULL`, the stream holds as much as it may; nothing was appended.
            Unavailable: the stream cannot be reached; entries may or may not have been appended.
        """


class StreamReader(Protocol):
    """Reads records, shard by shard."""

    async def shards(self) -> list[str]:
        """The shards there are, in a stable order."""

    async def read(self, shard: str, after: int, max_records: int, wait_seconds: float) -> list[Record]:
        """The records after a sequence number, oldest first; waits for the first one, and is empty if none came.

        Raises:
            Unavailable: the stream cannot be reached.
        """

    async def trim(self, shard: str, through: int) -> None:
        """Lets the stream forget the records up to and including a sequence number."""


class Checkpoints(Protocol):
    """Keeps the checkpoints of one named reader."""

    async def load(self, shard: str) -> int:
        """The checkpoint; `BEGINNING` where there is none."""

    async def save(self, shard: str, sequence: int) -> None:
        """Writes the checkpoint.

        Raises:
            Unavailable: it may or may not be written; the call may be repeated.
        """
