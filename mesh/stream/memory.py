"""The stream in memory: for tests."""

import asyncio
import dataclasses
import itertools
import zlib
from collections.abc import Sequence
from typing import Final

from mesh.clock import SECOND_US, Clock
from mesh.errors import ResourceExhausted
from mesh.stream.port import Entry, Position, Read, Record, Shard

_GROUPS: Final = 16
_NOW_US: Final = 1_767_348_000_000_000


@dataclasses.dataclass
class _Kept:
    """A shard: the ordering groups it takes, and its records. It is closed once it has children."""

    parents: tuple[str, ...]
    groups: range
    records: list[Record] = dataclasses.field(default_factory=list)
    is_closed: bool = False


class MemoryStream:
    """Writer and reader at once. Sequence numbers count from 0 over all shards; ordering groups are `"0"` to `"15"`."""

    def __init__(self, shard_count: int = 2, max_waiting_bytes: int = 1 << 30, clock: Clock = lambda: _NOW_US) -> None:
        edges = [_GROUPS * number // shard_count for number in range(shard_count + 1)]
        self._shards = {
            str(number): _Kept((), range(start, stop)) for number, (start, stop) in enumerate(itertools.pairwise(edges))
        }
        self._max_waiting_bytes = max_waiting_bytes
        self._clock = clock
        self._next = 0
        self._changed = asyncio.Condition()

    def ordering_group(self, key: str) -> str:
        """See `mesh.stream.port.StreamWriter`."""
        return str(zlib.crc32(key.encode()) % _GROUPS)

    async def append(self, entries: Sequence[Entry]) -> list[Position]:
        """See `mesh.stream.port.StreamWriter`."""
        names = [self._open(entry.group) for entry in entries]
        if any(self._waiting_bytes(name) >= self._max_waiting_bytes for name in names):
            raise ResourceExhausted("BUFFER_FULL", "The buffer is full.", retry_after_seconds=1)
        positions = []
        for name, entry in zip(names, entries, strict=True):
            positions.append(Position(name, self._next))
            self._shards[name].records.append(Record(self._next, entry.payload, self._clock()))
            self._next += 1
        await self._notify()
        return positions

    async def shards(self) -> list[Shard]:
        """See `mesh.stream.port.StreamReader`."""
        return [Shard(name, kept.parents) for name, kept in self._shards.items()]

    async def read(self, shard: str, after: int, max_records: int, wait_seconds: float) -> Read:
        """See `mesh.stream.port.StreamReader`."""
        kept = self._shards[shard]
        async with self._changed:
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._changed.wait_for(lambda: kept.is_closed or _after(kept, after))
            except TimeoutError:
                return Read([])
        records = _after(kept, after)
        return Read(records[:max_records], is_end=kept.is_closed and len(records) <= max_records)

    def now_us(self) -> int:
        """See `mesh.stream.port.StreamReader`."""
        return self._clock()

    async def waiting_seconds(self, shard: str, after: int) -> float | None:
        """See `mesh.stream.port.StreamReader`."""
        waiting = _after(self._shards[shard], after)
        return max(0, self._clock() - waiting[0].appended_us) / SECOND_US if waiting else None

    async def trim(self, shard: str, through: int) -> None:
        """See `mesh.stream.port.StreamReader`."""
        self._shards[shard].records = _after(self._shards[shard], through)

    async def split(self, shard: str) -> tuple[str, str]:
        """Closes a shard of two groups or more; returns its children, each with half of its groups."""
        groups = self._shards[shard].groups
        middle = len(groups) // 2
        children = self._add((shard,), groups[:middle]), self._add((shard,), groups[middle:])
        await self._notify()
        return children

    async def merge(self, shard: str, other: str) -> str:
        """Closes two shards whose groups are next to each other; returns their child."""
        first, last = sorted((self._shards[shard].groups, self._shards[other].groups), key=lambda groups: groups.start)
        if first.stop != last.start:
            message = f"shards {shard} and {other} are not next to each other"
            raise ValueError(message)
        child = self._add((shard, other), range(first.start, last.stop))
        await self._notify()
        return child

    def _add(self, parents: tuple[str, ...], groups: range) -> str:
        name = str(len(self._shards))
        for parent in parents:
            self._shards[parent].is_closed = True
        self._shards[name] = _Kept(parents, groups)
        return name

    def _open(self, group: str) -> str:
        return next(name for name, kept in self._shards.items() if int(group) in kept.groups and not kept.is_closed)

    def _waiting_bytes(self, shard: str) -> int:
        return sum(len(record.payload) for record in self._shards[shard].records)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _after(kept: _Kept, sequence: int) -> list[Record]:
    return [record for record in kept.records if record.sequence > sequence]
