"""What ingest knows of journeys before they are told: clocks of devices, and who anonymous ids turned out to be.

A clock costs up to 230 bytes for 49 hours, and a linked anonymous id about 120 for 30 days;
tests/ingest/test_memory_cost.py measures both.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from mesh import redis
from services.ingest.domain.skew import Skew

_SKEW_SECONDS: Final = 49 * 3600
_LINK_SECONDS: Final = 30 * 24 * 3600
_DAY_US: Final = 24 * 3600 * 1_000_000
_RENEWED_MOST: Final = 100_000

_decode_skew: Final = msgspec.msgpack.Decoder(Skew).decode
_encode: Final = msgspec.msgpack.Encoder().encode


class RedisSkews:
    """Clocks as strings with a lifetime."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def find(self, devices: Sequence[str]) -> dict[str, Skew]:
        """See `ports.Skews`."""
        found = await _mget(self._client, [_key("skew", device) for device in devices])
        return {device: _decode_skew(blob) for device, blob in zip(devices, found, strict=True) if blob}

    async def keep(self, skews: Mapping[str, Skew]) -> None:
        """See `ports.Skews`."""
        await _set(self._client, {_key("skew", device): _encode(skew) for device, skew in skews.items()}, _SKEW_SECONDS)


class RedisIdentities:
    """Links as strings with a lifetime, which each process renews at the first use of a day."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client
        self._day = 0
        self._renewed: set[str] = set()

    async def find(self, anonymous_ids: Sequence[str], now_us: int) -> dict[str, str]:
        """See `ports.Identities`."""
        found = await _mget(self._client, [_key("link", anonymous_id) for anonymous_id in anonymous_ids])
        users = {anonymous_id: blob.decode() for anonymous_id, blob in zip(anonymous_ids, found, strict=True) if blob}
        if now_us // _DAY_US != self._day or len(self._renewed) > _RENEWED_MOST:
            self._day, self._renewed = now_us // _DAY_US, set()
        used = users.keys() - self._renewed
        if used:
            self._renewed |= used
            pipeline = self._client.pipeline(transaction=False)
            for anonymous_id in used:
                pipeline.expire(_key("link", anonymous_id), _LINK_SECONDS)
            with redis.translating_errors():
                await pipeline.execute()
        return users

    async def link(self, users: Mapping[str, str]) -> None:
        """See `ports.Identities`."""
        links = {_key("link", anonymous_id): user_id.encode() for anonymous_id, user_id in users.items()}
        await _set(self._client, links, _LINK_SECONDS)


async def _mget(client: redis.Client, keys: Sequence[str]) -> list[bytes | None]:
    if not keys:
        return []
    with redis.translating_errors():
        values: Any = await client.mget(keys)
    return list(values)


async def _set(client: redis.Client, values: Mapping[str, bytes], seconds: int) -> None:
    if not values:
        return
    pipeline = client.pipeline(transaction=False)
    for key, value in values.items():
        pipeline.set(key, value, ex=seconds)
    with redis.translating_errors():
        await pipeline.execute()


def _key(kind: str, name: str) -> str:
    return f"jm:{kind}:{{{redis.partition(name)}}}:{name}"
