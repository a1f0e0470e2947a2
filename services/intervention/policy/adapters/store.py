"""The policies that were in force, in memory and in lists of Redis: the mesh's, and those of tenants."""

from collections.abc import Sequence
from typing import Final, cast

from mesh.store import redis
from mesh.stored import reading
from services.intervention.policy.domain import timeline
from services.intervention.policy.domain.timeline import DatedPolicy

OF_MESH: Final = "jm:intervention:policies"
OF_TENANTS: Final = "jm:intervention:tenant-policies"
# KEYS: the list. ARGV: how many there must be, and the policy.
_APPEND: Final = redis.Script("""
if redis.call('LLEN', KEYS[1]) ~= tonumber(ARGV[1]) then return 0 end
redis.call('RPUSH', KEYS[1], ARGV[2])
return 1
""")


class MemoryPolicies:
    """Keeps policies in a list: for tests and for replays."""

    def __init__(self, dated: Sequence[DatedPolicy] = ()) -> None:
        self._dated = list(dated)

    async def all(self) -> list[DatedPolicy]:
        """See `services.intervention.policy.ports.PolicyStore`."""
        return list(self._dated)

    async def count(self) -> int:
        """See `services.intervention.policy.ports.PolicyStore`."""
        return len(self._dated)

    async def append(self, dated: DatedPolicy, after_count: int) -> bool:
        """See `services.intervention.policy.ports.PolicyStore`."""
        if len(self._dated) != after_count:
            return False
        self._dated.append(dated)
        return True


class RedisPolicies:
    """Keeps policies in a list of Redis."""

    def __init__(self, client: redis.Client, key: str) -> None:
        self._client = client
        self._key = key

    async def all(self) -> list[DatedPolicy]:
        """See `services.intervention.policy.ports.PolicyStore`."""
        with redis.translating_errors():
            blobs = cast("list[bytes]", await self._client.lrange(self._key, 0, -1))
        with reading("A policy"):
            return [timeline.decode(blob) for blob in blobs]

    async def count(self) -> int:
        """See `services.intervention.policy.ports.PolicyStore`."""
        with redis.translating_errors():
            return await self._client.llen(self._key)

    async def append(self, dated: DatedPolicy, after_count: int) -> bool:
        """See `services.intervention.policy.ports.PolicyStore`."""
        call = redis.Call([self._key], [after_count, timeline.encode(dated)])
        (is_appended,) = await _APPEND.run(self._client, call)
        return bool(is_appended)
