"""The stream on Redis Streams: one Redis stream per shard.

A Redis id is milliseconds and a counter; the sequence number packs both into one integer.
"""

import zlib
from collections.abc import Sequence
from typing import Final

from mesh.clock import SECOND_US, monotonic_clock
from mesh.errors import ResourceExhausted
from mesh.store import redis
from mesh.store.cluster import Cluster
from mesh.stream import counts
from mesh.stream.port import Entry, Position, Read, Record, Shard

# The counter of a Redis id grows large only after the clock was set back, by one per record until it has caught up.
_COUNTER_BITS: Final = 24
_SEQUENCE_BITS: Final = 64 + _COUNTER_BITS
_FIELD: Final = b"p"
# How many samples the server takes to estimate a shard's memory. That takes microseconds; the estimate was within 1% of
# the payloads at 1 KB per record and more, and 13% above them at 100 bytes.
_SAMPLES: Final = 20
# KEYS: a shard. ARGV: an id. Returns the age in milliseconds of the first record after it; nothing without one.
_WAITING: Final = redis.Script("""
local first = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', 1)[1]
if not first then return false end
local time = redis.call('TIME')
return time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(string.match(first[1], '^%d+'))
""")
# KEYS: a shard. ARGV: the number of samples, then payloads. Returns the shard's memory, then ids. A cluster node that
# has just returned may refuse a command and accept the next one: so all entries of a group are one command.
_ADD: Final = redis.Script("""
local answer = {0}
for i = 2, #ARGV do answer[i] = redis.call('XADD', KEYS[1], '*', 'p', ARGV[i]) end
answer[1] = redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', ARGV[1])
return answer
""")


class RedisStream:
    """Writer and reader at once.

    The shard count of a stream is fixed: keys are hashed over it. `max_waiting_bytes` bounds the server's own estimate
    of its memory for a shard. It is compared with the estimate at the last append, so each writer may exceed it by one
    append.
    """

    def __init__(self, client: redis.Client, name: str, shard_count: int, max_waiting_bytes: int) -> None:
        self._client = client
        self._name = name
        self._shard_count = shard_count
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting_bytes: dict[str, int] = {}
        # How far the server's clock is ahead of the monotonic one.
        self._ahead_us = 0

    def ordering_group(self, key: str) -> str:
        """See `mesh.stream.port.StreamWriter`."""
        return str(zlib.crc32(key.encode()) % self._shard_count)

    async def append(self, entries: Sequence[Entry]) -> list[Position]:
        """See `mesh.stream.port.StreamWriter`."""
        shards = {entry.group for entry in entries}
        if self._are_full(shards):
            await self._weigh(shards)
        if self._are_full(shards):
            raise ResourceExhausted("BUFFER_FULL", "The buffer is full.", retry_after_seconds=1)
        if isinstance(self._client, Cluster):
            return await self._append_by_group(entries)
        pipeline = self._client.pipeline(transaction=False)
        for entry in entries:
            pipeline.xadd(self._key(entry.group), {_FIELD: entry.payload})
        for shard in shards:
            pipeline.memory_usage(self._key(shard), samples=_SAMPLES)
        with redis.translating_errors():
            answers = await pipeline.execute()
        self._waiting_bytes.update(zip(shards, answers[len(entries) :], strict=True))
        return [
            Position(entry.group, _sequence(answer))
            for entry, answer in zip(entries, answers[: len(entries)], strict=True)
        ]

    async def _append_by_group(self, entries: Sequence[Entry]) -> list[Position]:
        groups: dict[str, list[Entry]] = {}
        for entry in entries:
            groups.setdefault(entry.group, []).append(entry)
        calls = [
            redis.Call([self._key(group)], [_SAMPLES, *(entry.payload for entry in its)])
            for group, its in groups.items()
        ]
        answers = dict(zip(groups, await _ADD.run(self._client, *calls), strict=True))
        self._waiting_bytes.update({group: weight for group, (weight, *_) in answers.items()})
        ids = {group: iter(its[1:]) for group, its in answers.items()}
        return [Position(entry.group, _sequence(next(ids[entry.group]))) for entry in entries]

    async def shards(self) -> list[Shard]:
        """See `mesh.stream.port.StreamReader`."""
        return [Shard(str(number)) for number in range(self._shard_count)]

    async def read(self, shard: str, after: int, max_records: int, wait_seconds: float) -> Read:
        """See `mesh.stream.port.StreamReader`."""
        key, block = self._key(shard), max(1, round(wait_seconds * 1000))  # 0 would block for ever
        pipeline = self._client.pipeline(transaction=False)
        pipeline.xread({key: _id(after)}, max_records, block=block)
        pipeline.time()
        with redis.translating_errors():
            answer, (seconds, microseconds) = await pipeline.execute()
        entries = answer[0][1] if answer else []
        records = [_record(entry_id, fields.get(_FIELD, b"")) for entry_id, fields in entries]
        self._ahead_us = seconds * SECOND_US + microseconds - monotonic_clock()
        return Read(records)

    def now_us(self) -> int:
        """See `mesh.stream.port.StreamReader`."""
        return self._ahead_us + monotonic_clock()

    async def waiting_seconds(self, shard: str, after: int) -> float | None:
        """See `mesh.stream.port.StreamReader`."""
        (waiting_ms,) = await _WAITING.run(self._client, redis.Call([self._key(shard)], [_id(after)]))
        return None if waiting_ms is None else max(0.0, waiting_ms / 1000)

    async def trim(self, shard: str, through: int) -> None:
        """See `mesh.stream.port.StreamReader`."""
        with redis.translating_errors():
            await self._client.xtrim(self._key(shard), minid=_id(through + 1), approximate=False)

    async def keep_shard_count(self) -> None:
        """See `mesh.stream.counts`."""
        await counts.keep(self._client, self._name, "shard", self._shard_count)

    async def ping(self) -> None:
        """Returns if the stream can be reached; raises `Unavailable` if not."""
        await redis.ping(self._client)

    def _are_full(self, shards: set[str]) -> bool:
        return any(self._waiting_bytes.get(shard, 0) >= self._max_waiting_bytes for shard in shards)

    async def _weigh(self, shards: set[str]) -> None:
        for shard in shards:
            with redis.translating_errors():
                weight = await self._client.memory_usage(self._key(shard), samples=_SAMPLES)
            self._waiting_bytes[shard] = weight or 0

    def _key(self, shard: str) -> str:
        return f"jm:stream:{{{self._name}-{shard}}}"


def _record(entry_id: bytes, payload: bytes) -> Record:
    sequence = _sequence(entry_id)
    return Record(sequence, payload, (sequence >> _COUNTER_BITS) * 1000)


def _sequence(entry_id: bytes) -> int:
    milliseconds, counter = entry_id.split(b"-")
    return int(milliseconds) << _COUNTER_BITS | int(counter)


def _id(sequence: int) -> str:
    if sequence < 0 or sequence >> _SEQUENCE_BITS:  # not a valid id: from the beginning
        return "0-0"
    return f"{sequence >> _COUNTER_BITS}-{sequence & ((1 << _COUNTER_BITS) - 1)}"
