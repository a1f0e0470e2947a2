"""State in Redis: one string a key, read by one MGET and written by one script a batch."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mesh import redis

# One command for the whole batch, atomic, with a lifetime, which MSET cannot give.
_SAVE: Final = redis.Script("""
local lifetime = ARGV[#ARGV]
for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[i], 'EX', lifetime) end
""")


class RedisState:
    """Keeps values under `jm:<namespace>:{<partition>}:<key>` for `lifetime_seconds` after the last write."""

    def __init__(self, client: redis.Client, namespace: str, lifetime_seconds: int) -> None:
        self._client = client
        self._prefix = f"jm:{namespace}:{{"
        self._lifetime = lifetime_seconds

    async def load(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `mesh.state.StateStore`."""
        if not keys:
            return []
        with redis.translating_errors():
            values: Any = await self._client.mget([self._key(key) for key in keys])
            return list(values)

    async def save(self, items: Mapping[str, bytes]) -> None:
        """See `mesh.state.StateStore`."""
        if not items:
            return
        await _SAVE.run(self._client, redis.Call([self._key(key) for key in items], [*items.values(), self._lifetime]))

    async def ping(self) -> None:
        """See `mesh.state.StateStore`."""
        await redis.ping(self._client)

    def _key(self, key: str) -> str:
        return f"{self._prefix}{redis.partition(key)}}}:{key}"
