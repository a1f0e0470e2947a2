"""State in Redis: one string a key, read by one MGET and written by one MSETEX a batch."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from redis import exceptions

from mesh import redis

# For servers before Valkey 9.1 and Redis 8.4, which have no MSETEX: as atomic, and about twice the server's work.
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
        self._has_msetex = True

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
        keys = [self._key(key) for key in items]
        if self._has_msetex:
            pairs = itertools.chain.from_iterable(zip(keys, items.values(), strict=True))
            with redis.translating_errors():
                try:
                    await cast("Any", self._client).execute_command("MSETEX", len(keys), *pairs, "EX", self._lifetime)
                except exceptions.ResponseError as error:
                    if "unknown command" not in str(error):
                        raise
                    self._has_msetex = False
                else:
                    return
        await _SAVE.run(self._client, redis.Call(keys, [*items.values(), self._lifetime]))

    async def ping(self) -> None:
        """See `mesh.state.StateStore`."""
        await redis.ping(self._client)

    def _key(self, key: str) -> str:
        return f"{self._prefix}{redis.partition(key)}}}:{key}"
