"""State in Redis: one string a key, read by one MGET and written by one script a batch."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from redis import exceptions

from mesh import redis
from mesh.applied import Fence
from mesh.leases import APPLYING
from mesh.leasing import redis as leasing
from mesh.state import stale

# KEYS: the leases, then the values'. ARGV: the lease's epoch and its field, the lifetime, then the values. The values
# are written by commands of a thousand: Lua's stack ends at some 8000 values, and one command for all costs half of
# what one a key does.
_FENCED: Final = "if (redis.call('HGET', KEYS[1], ARGV[2]) or '0') ~= ARGV[1] then return 0 end"
_SAVE: Final = redis.Script(
    _FENCED
    + """
for first = 2, #KEYS, 1000 do
  local last = math.min(first + 999, #KEYS)
  local pairs = {}
  for i = first, last do
    pairs[#pairs + 1] = KEYS[i]
    pairs[#pairs + 1] = ARGV[i + 2]
  end
  pairs[#pairs + 1] = 'EX'
  pairs[#pairs + 1] = ARGV[3]
  redis.call('MSETEX', last - first + 1, unpack(pairs))
end
return 1
"""
)
# For servers before Valkey 9.1 and Redis 8.4, which have no MSETEX: as atomic, and about twice the server's work.
_SAVE_ONE_BY_ONE: Final = redis.Script(
    _FENCED
    + """
for i = 2, #KEYS do redis.call('SET', KEYS[i], ARGV[i + 2], 'EX', ARGV[3]) end
return 1
"""
)
_OPEN: Final = Fence("", 0)


class RedisState:
    """Keeps values under `jm:<namespace>:{<partition>}:<key>` for `lifetime_seconds` after the last write.

    The leases must stand on the same server: a write looks its epoch up there, in one step with the writing.
    """

    def __init__(self, client: redis.Client, namespace: str, lifetime_seconds: int) -> None:
        self._client = client
        self._prefix = f"jm:{namespace}:"
        self._lifetime = lifetime_seconds
        self._has_msetex = True

    async def load(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `mesh.state.StateStore`."""
        if not keys:
            return []
        with redis.translating_errors():
            values: Any = await self._client.mget([self._key(key) for key in keys])
            return list(values)

    async def save(self, items: Mapping[str, bytes], fence: Fence | None) -> None:
        """See `mesh.state.StateStore`."""
        if not items:
            return
        fenced, epoch = fence or _OPEN
        stream, _, shard = fenced.rpartition("/")
        keys = [leasing.key(stream, APPLYING), *(self._key(key) for key in items)]
        call = redis.Call(keys, [epoch, f"epoch:{shard}", self._lifetime, *items.values()])
        if not await self._run(call):
            raise stale()

    async def renew(self, keys: Sequence[str]) -> None:
        """See `mesh.state.StateStore`."""
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.expire(self._key(key), self._lifetime)
        with redis.translating_errors():
            await pipeline.execute()

    async def ping(self) -> None:
        """See `mesh.state.StateStore`."""
        await redis.ping(self._client)

    async def _run(self, call: redis.Call) -> bool:
        if self._has_msetex:
            try:
                (is_written,) = await _SAVE.run(self._client, call)
            except exceptions.ResponseError as error:
                if "unknown" not in str(error).lower():
                    raise
                self._has_msetex = False
            else:
                return bool(is_written)
        (is_written,) = await _SAVE_ONE_BY_ONE.run(self._client, call)
        return bool(is_written)

    def _key(self, key: str) -> str:
        return f"{self._prefix}{{{redis.partition(key)}}}:{key}"


class RedisShards:
    """Keeps shards in the set `jm:<owner>:shards`. It is as small as the stream has shards, and does not pass."""

    def __init__(self, client: redis.Client, owner: str) -> None:
        self._client = client
        self._name = f"jm:{owner}:shards"

    async def add(self, shard: str) -> None:
        """See `mesh.state.Shards`."""
        with redis.translating_errors():
            await self._client.sadd(self._name, shard)

    async def all(self) -> list[str]:
        """See `mesh.state.Shards`."""
        with redis.translating_errors():
            members = cast("set[bytes]", await self._client.smembers(self._name))
        return sorted(each.decode() for each in members)
