"""The list of suppressed people in Redis.

jm:suppressed          hash: pseudonym -> the erasure that suppressed it
jm:suppressed:secret   string: the secret behind the pseudonyms, made at the first start
"""

import secrets
from collections.abc import Collection
from typing import Any, Final

from mesh.store import redis
from services.ingest.events.domain.suppression import SECRET_BYTES, Suppression

_LIST: Final = "jm:suppressed"
_SECRET: Final = "jm:suppressed:secret"  # noqa: S105 - the name of a key


class RedisSuppressions:
    """Pseudonyms in a hash, which never expires."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client
        self._secret = b""

    async def all(self) -> Suppression:
        """See `services.ingest.events.ports.Suppressions`."""
        with redis.translating_errors():
            found: Any = await self._client.hkeys(_LIST)
        return Suppression(await self.secret(), frozenset(each.decode() for each in found))

    async def secret(self) -> bytes:
        """See `services.ingest.events.ports.Suppressions`."""
        if not self._secret:
            with redis.translating_errors():
                await self._client.set(_SECRET, secrets.token_bytes(SECRET_BYTES), nx=True)
                kept: Any = await self._client.get(_SECRET)
            self._secret = bytes(kept)
        return self._secret

    async def add(self, pseudonyms: Collection[str], erasure_id: str) -> None:
        """See `services.ingest.events.ports.Suppressions`."""
        with redis.translating_errors():
            await self._client.hset(_LIST, mapping=dict.fromkeys(pseudonyms, erasure_id))

    async def remove(self, pseudonyms: Collection[str]) -> None:
        """See `services.ingest.events.ports.Suppressions`."""
        with redis.translating_errors():
            await self._client.hdel(_LIST, *pseudonyms)
