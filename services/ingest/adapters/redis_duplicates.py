"""How often events were sent again, on Redis: about 75 bytes each; tests/ingest/test_memory_cost.py measures it."""

import zlib
from collections.abc import Sequence
from typing import Final

from mesh import redis

_DAY_US: Final = 24 * 3600 * 1_000_000
_COUNTED_SECONDS: Final = 49 * 3600
_SLOTS: Final = 2


class RedisDuplicates:
    """Counts in hashes of a day, beside the ids they count copies of."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def add(self, ids: Sequence[str], now_us: int) -> None:
        """See `ports.Duplicates`."""
        pipeline = self._client.pipeline(transaction=False)
        keys = {_duplicates_key(event_id, now_us // _DAY_US) for event_id in ids}
        for event_id in ids:
            pipeline.hincrby(_duplicates_key(event_id, now_us // _DAY_US), event_id, 1)
        for key in keys:
            pipeline.expire(key, _COUNTED_SECONDS)
        with redis.translating_errors():
            await pipeline.execute()

    async def count(self, event_id: str, now_us: int) -> int:
        """See `ports.Duplicates`."""
        pipeline = self._client.pipeline(transaction=False)
        for day in (now_us // _DAY_US, now_us // _DAY_US - 1):
            pipeline.hget(_duplicates_key(event_id, day), event_id)
        with redis.translating_errors():
            return sum(int(counted or 0) for counted in await pipeline.execute())


def _duplicates_key(event_id: str, day: int) -> str:
    return f"jm:duplicates:{{{zlib.crc32(event_id.encode()) % _SLOTS}}}:{day}"
