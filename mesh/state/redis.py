"""State in Redis: one string per key; one MGET and one script per batch, or in a cluster per batch and partition."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, cast

from redis import exceptions

from mesh.leases import fences
from mesh.leases import redis as leasing
from mesh.leases.port import APPLYING
from mesh.state.applied import ASIDE, Fence
from mesh.state.port import stale
from mesh.store import redis
from mesh.store.cluster import Cluster

# KEYS: the hash of the epoch, then the values'. ARGV: the epoch shown and its field, the lifetime, then the values.
# Written a thousand per command: Lua's stack holds some 8000 values, and a command for many costs half of one per key.
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
# For clusters, and for servers before Valkey 9.1 and Redis 8.4, which lack MSETEX: as atomic, at twice the cost.
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

    The leases must be on the same server or cluster. On a server a write checks its epoch against the lease atomically;
    on a cluster, per partition against its fences (`mesh.leases.fences`).
    """

    def __init__(self, client: redis.Client, namespace: str, lifetime_seconds: int) -> None:
        self._client = client
        self._prefix = f"jm:{namespace}:"
        self._lifetime = lifetime_seconds
        self._is_cluster = isinstance(client, Cluster)
        # Valkey 9.1 loses what MSETEX writes while a slot is migrated atomically (docs/adr/045).
        self._has_msetex = not self._is_cluster

    async def load(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `mesh.state.port.StateStore`."""
        return await redis.mget(self._client, [self._key(key) for key in keys]) if keys else []

    async def save(self, items: Mapping[str, bytes], fence: Fence | None) -> None:
        """See `mesh.state.port.StateStore`."""
        if not items:
            return
        fence = fence or _OPEN
        if self._is_cluster:
            await self._save_by_partition(items, fence)
        elif not all(await self._run([self._call(items, fence, _lease_key(fence))])):
            raise stale()

    async def _save_by_partition(self, items: Mapping[str, bytes], fence: Fence) -> None:
        parts: dict[int, dict[str, bytes]] = {}
        for key, value in items.items():
            parts.setdefault(_partition(key), {})[key] = value
        calls = [self._call(part, fence, fences.key(partition)) for partition, part in parts.items()]
        written = await self._run(calls)
        if all(written):
            return
        # A fence below the lease was lost with its node, or comes from a backup.
        if await self._epoch(fence) != fence.epoch:
            raise stale()
        await fences.raised(self._client, fence.shard, fence.epoch)
        refused = [call for call, is_written in zip(calls, written, strict=True) if not is_written]
        if not all(await self._run(refused)):
            raise stale()

    async def _epoch(self, fence: Fence) -> int | None:
        """The epoch of the shard's lease; None if there is none."""
        with redis.translating_errors():
            epoch: Any = await self._client.hget(_lease_key(fence), _field(fence))
        return int(epoch) if epoch is not None and epoch.isdigit() else None

    def _call(self, items: Mapping[str, bytes], fence: Fence, epochs: str) -> redis.Call:
        field = fence.shard if self._is_cluster else _field(fence)
        return redis.Call([epochs, *map(self._key, items)], [fence.epoch, field, self._lifetime, *items.values()])

    async def renew(self, keys: Sequence[str]) -> None:
        """See `mesh.state.port.StateStore`."""
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.expire(self._key(key), self._lifetime)
        with redis.translating_errors():
            await pipeline.execute()

    async def delete(self, keys: Sequence[str]) -> None:
        """See `mesh.state.port.StateStore`."""
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.unlink(self._key(key))
        with redis.translating_errors():
            await pipeline.execute()

    async def scan(self) -> AsyncIterator[list[str]]:
        """All keys that have a value, in portions; one may come twice. Looks at the whole store: for rare acts only.

        Raises:
            Unavailable: the store cannot be reached.
        """
        async for names in redis.scan(self._client, f"{self._prefix}{{*}}:*"):
            yield [name.partition("}:")[2] for name in names]

    async def ping(self) -> None:
        """See `mesh.state.port.StateStore`."""
        await redis.ping(self._client)

    async def _run(self, calls: Sequence[redis.Call]) -> list[Any]:
        """Whether each call's values were written."""
        if self._has_msetex:
            try:
                return await _SAVE.run(self._client, *calls)
            except exceptions.ResponseError as error:
                if "unknown" not in str(error).lower():
                    raise
                self._has_msetex = False
        return await _SAVE_ONE_BY_ONE.run(self._client, *calls)

    def _key(self, key: str) -> str:
        return f"{self._prefix}{{{_partition(key)}}}:{key}"


def _partition(key: str) -> int:
    """The key's partition. Values kept aside share it, so that they are written atomically with the key."""
    return redis.partition(key.removeprefix(ASIDE))


def _lease_key(fence: Fence) -> str:
    return leasing.key(fence.shard.rpartition("/")[0], APPLYING)


def _field(fence: Fence) -> str:
    return f"epoch:{fence.shard.rpartition('/')[2]}"


class RedisShards:
    """Keeps shards in the set `jm:<owner>:shards`, which is small and never expires."""

    def __init__(self, client: redis.Client, owner: str) -> None:
        self._client = client
        self._name = f"jm:{owner}:shards"

    async def add(self, shard: str) -> None:
        """See `mesh.state.port.Shards`."""
        with redis.translating_errors():
            await self._client.sadd(self._name, shard)

    async def all(self) -> list[str]:
        """See `mesh.state.port.Shards`."""
        with redis.translating_errors():
            members = cast("set[bytes]", await self._client.smembers(self._name))
        return sorted(each.decode() for each in members)
