"""When events were applied, on Redis: a checkpoint every five seconds, in a sorted set per shard and day.

A member is a sequence number and a time, in bytes that sort by sequence number. A day of a busy shard has
17,280 of them and costs about 1.7 MB; tests/ingest/test_memory_cost.py measures it.
"""

import asyncio
from typing import Any, Final, NamedTuple

from mesh.errors import MeshError
from mesh.store import redis
from services.ingest.events.adapters.sequences import sortable
from services.ingest.events.domain.days import KEPT_SECONDS, day_of

_TIME_BYTES: Final = 8


class _Noted(NamedTuple):
    checkpoint: int
    time_us: int


class RedisApplied:
    """Writes in the background: at once after a pause, else every `period_seconds`."""

    def __init__(self, client: redis.Client, period_seconds: float = 5.0) -> None:
        self._client = client
        self._period_seconds = period_seconds
        self._waiting: dict[str, _Noted] = {}
        self._writing: asyncio.Task[None] | None = None

    async def note(self, shard: str, checkpoint: int, now_us: int) -> None:
        """See `ports.Applied`."""
        self._waiting[shard] = _Noted(checkpoint, now_us)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def find(self, shard: str, sequence: int, now_us: int) -> int | None:
        """See `ports.Applied`."""
        today = day_of(now_us)
        pipeline = self._client.pipeline(transaction=False)
        for day in (today - 1, today):
            pipeline.zrangebylex(_key(shard, day), b"[" + sortable(sequence), b"+", start=0, num=1)
        with redis.translating_errors():
            answers: list[Any] = await pipeline.execute()
        for answer in answers:
            if answer:
                return int.from_bytes(answer[0][-_TIME_BYTES:], "big")
        return None

    async def _write(self) -> None:
        while self._waiting:
            written, self._waiting = self._waiting, {}
            try:
                await self._add(written)
            except MeshError:
                # Losing times is harmless: newer ones replace these, and the rest is retried.
                self._waiting = written | self._waiting
            await asyncio.sleep(self._period_seconds)

    async def _add(self, noted: dict[str, _Noted]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for shard, (checkpoint, time_us) in noted.items():
            key = _key(shard, day_of(time_us))
            pipeline.zadd(key, {sortable(checkpoint) + time_us.to_bytes(_TIME_BYTES, "big"): 0})
            pipeline.expire(key, KEPT_SECONDS)
        with redis.translating_errors():
            await pipeline.execute()


def _key(shard: str, day: int) -> str:
    return f"jm:applied:{{{shard}}}:{day}"
