"""Which keys were ever imported, in memory and in a set of Redis."""

from collections.abc import Collection
from typing import Final, cast

from mesh.store import redis

_IDS: Final = "jm:{access}:imported"


class MemoryImportedKeys:
    """Keeps them in memory: for tests."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    async def ids(self) -> Collection[str]:
        """See `services.access.keys.ports.ImportedKeys`."""
        return frozenset(self._ids)

    async def add(self, key_id: str) -> None:
        """See `services.access.keys.ports.ImportedKeys`."""
        self._ids.add(key_id)


class RedisImportedKeys:
    """Keeps them in Redis."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def ids(self) -> Collection[str]:
        """See `services.access.keys.ports.ImportedKeys`."""
        with redis.translating_errors():
            found = cast("set[bytes]", await self._client.smembers(_IDS))
        return frozenset(each.decode() for each in found)

    async def add(self, key_id: str) -> None:
        """See `services.access.keys.ports.ImportedKeys`."""
        with redis.translating_errors():
            await self._client.sadd(_IDS, key_id)
