"""The stream in memory: for tests."""

import asyncio
import zlib
from collections.abc import Sequence

from mesh.errors import ResourceExhausted
from mesh.stream import BEGINNING, Entry, Position, Record


class MemoryStream:
    """Writer and reader at once. Sequence numbers count from 0 over all shards."""

    def __init__(self, shard_count: int = 2, max_records: int = 1_000_000) -> None:
        self._shards: dict[str, list[Record]] = {str(number): [] for number in range(shard_count)}
        self._max_records = max_records
        self._next = 0
        self._appended = asyncio.Condition()

    def lane(self, key: str) -> str:
        """See `mesh.stream.StreamWriter`."""
        return str(zlib.crc32(key.encode()) % len(self._shards))

    async def append(self, entries: Sequence[Entry]) -> list[Position]:
        """See `mesh.stream.StreamWriter`."""
        if any(len(self._shards[entry.lane]) >= self._max_records for entry in entries):
            raise ResourceExhausted("BUFFER_FULL", "The buffer is full.", retry_after_seconds=1)
        positions = []
        for entry in entries:
            positions.append(Position(entry.lane, self._next))
            self._shards[entry.lane].append(Record(self._next, entry.payload))
            self._next += 1
        async with self._appended:
            self._appended.notify_all()
        return positions

    async def shards(self) -> list[str]:
        """See `mesh.stream.StreamReader`."""
        return list(self._shards)

    async def read(self, shard: str, after: int, max_records: int, wait_seconds: float) -> list[Record]:
        """See `mesh.stream.StreamReader`."""
        async with self._appended:
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._appended.wait_for(lambda: self._after(shard, after))
            except TimeoutError:
                return []
        return self._after(shard, after)[:max_records]

    async def trim(self, shard: str, through: int) -> None:
        """See `mesh.stream.StreamReader`."""
        self._shards[shard] = self._after(shard, through)

    def _after(self, shard: str, sequence: int) -> list[Record]:
        return [record for record in self._shards[shard] if record.sequence > sequence]


class MemoryCheckpoints:
    """Checkpoints in a dictionary."""

    def __init__(self) -> None:
        self._sequences: dict[str, int] = {}

    async def load(self, shard: str) -> int:
        """See `mesh.stream.Checkpoints`."""
        return self._sequences.get(shard, BEGINNING)

    async def save(self, shard: str, sequence: int) -> None:
        """See `mesh.stream.Checkpoints`."""
        self._sequences[shard] = sequence
