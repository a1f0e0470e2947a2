"""The stream on Redis Streams: one Redis stream a shard.

A Redis id is milliseconds and a counter; the sequence number packs both into one integer.
"""

import zlib
from collections.abc import Sequence
from typing import Any, Final

from mesh import redis
from mesh.errors import ResourceExhausted
from mesh.settings import SettingError
from mesh.stream import BEGINNING, Entry, Position, Record

# A Redis counter grows beyond a few only where the clock went back, and then by one a record until it has caught up.
_COUNTER_BITS: Final = 24
_FIELD: Final = b"p"


class RedisStream:
    """Writer and reader at once.

    The shard count is fixed for a stream: keys are spread by a hash over it. `max_records` bounds what may wait in a
    shard; it is checked against the length seen with the last append, so it may be passed by one append a writer.
    """

    def __init__(self, client: redis.Client, name: str, shard_count: int, max_records: int) -> None:
        self._client = client
        self._name = name
        self._shard_count = shard_count
        self._max_records = max_records
        self._lengths: dict[str, int] = {}

    def lane(self, key: str) -> str:
        """See `mesh.stream.StreamWriter`."""
        return str(zlib.crc32(key.encode()) % self._shard_count)

    async def append(self, entries: Sequence[Entry]) -> list[Position]:
        """See `mesh.stream.StreamWriter`."""
        shards = {entry.lane for entry in entries}
        if any(self._lengths.get(shard, 0) >= self._max_records for shard in shards):
            await self._measure(shards)
        if any(self._lengths.get(shard, 0) >= self._max_records for shard in shards):
            raise ResourceExhausted("BUFFER_FULL", "The buffer holds as much as it may.", retry_after_seconds=1)
        pipeline = self._client.pipeline(transaction=False)
        for entry in entries:
            pipeline.xadd(self._key(entry.lane), {_FIELD: entry.payload})
        for shard in shards:
            pipeline.xlen(self._key(shard))
        with redis.translating_errors():
            answers = await pipeline.execute()
        self._lengths.update(zip(shards, answers[len(entries) :], strict=True))
        return [
            Position(entry.lane, _sequence(answer))
            for entry, answer in zip(entries, answers[: len(entries)], strict=True)
        ]

    async def shards(self) -> list[str]:
        """See `mesh.stream.StreamReader`."""
        return [str(number) for number in range(self._shard_count)]

    async def read(self, shard: str, after: int, max_records: int, wait_seconds: float) -> list[Record]:
        """See `mesh.stream.StreamReader`."""
        key = self._key(shard)
        with redis.translating_errors():
            answer: Any = await self._client.xread({key: _id(after)}, max_records, block=round(wait_seconds * 1000))
        entries = answer[0][1] if answer else []
        return [Record(_sequence(entry_id), fields[_FIELD]) for entry_id, fields in entries]

    async def trim(self, shard: str, through: int) -> None:
        """See `mesh.stream.StreamReader`."""
        with redis.translating_errors():
            await self._client.xtrim(self._key(shard), minid=_id(through + 1), approximate=False)

    async def keep_shard_count(self) -> None:
        """Returns if the stream has, or is given now, as many shards as this process thinks.

        Raises:
            SettingError: it has another number: events would wait in shards that nobody reads, or out of order.
            Unavailable: the stream cannot be reached.
        """
        key = f"jm:stream:{{{self._name}}}:shard-count"
        with redis.translating_errors():
            await self._client.set(key, self._shard_count, nx=True)
            kept = int(await self._client.get(key) or 0)
        if kept != self._shard_count:
            message = f"The stream {self._name} has {kept} shards; JOURNEYMESH_SHARD_COUNT says {self._shard_count}."
            raise SettingError(message)

    async def ping(self) -> None:
        """Returns if the stream can be reached; raises `Unavailable` if not."""
        await redis.ping(self._client)

    async def _measure(self, shards: set[str]) -> None:
        for shard in shards:
            with redis.translating_errors():
                self._lengths[shard] = await self._client.xlen(self._key(shard))

    def _key(self, shard: str) -> str:
        return f"jm:stream:{{{self._name}-{shard}}}"


class RedisCheckpoints:
    """Checkpoints of one reader of one stream, in a hash."""

    def __init__(self, client: redis.Client, stream: str, reader: str) -> None:
        self._client = client
        self._key = f"jm:checkpoints:{{{stream}}}:{reader}"

    async def load(self, shard: str) -> int:
        """See `mesh.stream.Checkpoints`."""
        with redis.translating_errors():
            text = await self._client.hget(self._key, shard)
        return BEGINNING if text is None else int(text)

    async def save(self, shard: str, sequence: int) -> None:
        """See `mesh.stream.Checkpoints`."""
        with redis.translating_errors():
            await self._client.hset(self._key, shard, str(sequence))


def _sequence(entry_id: bytes) -> int:
    milliseconds, counter = entry_id.split(b"-")
    return int(milliseconds) << _COUNTER_BITS | int(counter)


def _id(sequence: int) -> str:
    if sequence < 0:
        return "0-0"
    return f"{sequence >> _COUNTER_BITS}-{sequence & ((1 << _COUNTER_BITS) - 1)}"
