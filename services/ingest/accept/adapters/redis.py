"""Clocks of devices, links of anonymous ids and counts of duplicates, on Redis.

A clock costs up to 265 bytes for 49 hours; a linked anonymous id about 140 for 30 days, and 54 more for each of the
last 7 changes of who had its device; a counted duplicate about 75. tests/ingest/test_memory_cost.py measures them.
"""

import zlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Final

import msgspec

from mesh.state.redis import RedisState
from mesh.store import redis
from mesh.stored import readable
from services.ingest.accept.domain import skew
from services.ingest.accept.domain.skew import Skew
from services.ingest.events.domain.days import KEPT_SECONDS, day_of

_SLOTS: Final = 2
_LINK_SECONDS: Final = 30 * 24 * 3600
_RENEWED_MOST: Final = 100_000

_decode_skew: Final = msgspec.msgpack.Decoder(Skew).decode
_encode: Final = msgspec.msgpack.Encoder().encode


class RedisDuplicates:
    """Counts in one hash per day and slot, as ids are kept."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def add(self, ids: Sequence[str], now_us: int) -> None:
        """See `ports.Duplicates`."""
        pipeline = self._client.pipeline(transaction=False)
        keys = {_duplicates_key(event_id, day_of(now_us)) for event_id in ids}
        for event_id in ids:
            pipeline.hincrby(_duplicates_key(event_id, day_of(now_us)), event_id, 1)
        for key in keys:
            pipeline.expire(key, KEPT_SECONDS)
        with redis.translating_errors():
            await pipeline.execute()

    async def count(self, event_id: str, now_us: int) -> int:
        """See `ports.Duplicates`."""
        pipeline = self._client.pipeline(transaction=False)
        for day in (day_of(now_us), day_of(now_us) - 1):
            pipeline.hget(_duplicates_key(event_id, day), event_id)
        with redis.translating_errors():
            return sum(int(counted or 0) for counted in await pipeline.execute())


class RedisSkews:
    """Clocks as unfenced state."""

    def __init__(self, client: redis.Client) -> None:
        self._state = RedisState(client, "skew", KEPT_SECONDS)

    async def find(self, devices: Sequence[str]) -> dict[str, Skew]:
        """See `ports.Skews`."""
        found = await self._state.load(devices)
        known = readable("The clock of a device, which is learnt again,", filter(None, found), _decode_skew)
        return {device: known[blob] for device, blob in zip(devices, found, strict=True) if blob in known}

    async def of_users(self, user_ids: Collection[str]) -> list[str]:
        """See `ports.Skews`."""
        return [device async for some in self._state.scan() for device in some if skew.user_of(device) in user_ids]

    async def forget(self, devices: Sequence[str]) -> None:
        """See `ports.Skews`."""
        await self._state.delete(devices)

    async def keep(self, skews: Mapping[str, Skew]) -> None:
        """See `ports.Skews`."""
        await self._state.save({device: _encode(skew) for device, skew in skews.items()}, None)


class RedisIdentities:
    """Links as unfenced state. Each process renews their lifetime at the first use of a day."""

    def __init__(self, client: redis.Client) -> None:
        self._state = RedisState(client, "link", _LINK_SECONDS)
        self._day = 0
        self._renewed: set[str] = set()

    async def find(self, anonymous_ids: Sequence[str], now_us: int) -> dict[str, str]:
        """See `ports.Identities`."""
        found = await self._state.load(anonymous_ids)
        links = {anonymous_id: blob.decode() for anonymous_id, blob in zip(anonymous_ids, found, strict=True) if blob}
        if day_of(now_us) != self._day or len(self._renewed) > _RENEWED_MOST:
            self._day, self._renewed = day_of(now_us), set()
        used = links.keys() - self._renewed
        if used:
            self._renewed |= used
            await self._state.renew(sorted(used))
        return links

    async def scan(self) -> AsyncIterator[Mapping[str, str]]:
        """See `ports.Identities`."""
        async for some in self._state.scan():
            found = await self._state.load(some)
            yield {anonymous_id: blob.decode() for anonymous_id, blob in zip(some, found, strict=True) if blob}

    async def unlink(self, anonymous_ids: Sequence[str]) -> None:
        """See `ports.Identities`."""
        await self._state.delete(anonymous_ids)

    async def link(self, links: Mapping[str, str]) -> None:
        """See `ports.Identities`."""
        await self._state.save({anonymous_id: link.encode() for anonymous_id, link in links.items()}, None)


def _duplicates_key(event_id: str, day: int) -> str:
    return f"jm:duplicates:{{{zlib.crc32(event_id.encode()) % _SLOTS}}}:{day}"
