"""The archiver's plans, in memory for tests and in Redis.

jm:archive:{<stream>}:plans     hash: shard -> "<epoch>", and after the first plan "<epoch> <after> <through>"
"""

from typing import Final

from mesh.errors import FailedPrecondition
from mesh.store import redis
from services.ingest.archive.domain.layout import Plan

# KEYS: the plans. ARGV: shard, epoch, and a plan, empty to keep the last one. Gives the last plan, or nothing where a
# newer epoch has taken the shard. Sequence numbers stay text: Lua's numbers end at 53 bits.
_WRITE: Final = redis.Script("""
local epoch, plan = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '0', '^(%d+) ?(.*)$')
if tonumber(epoch) > tonumber(ARGV[2]) then return false end
if ARGV[3] ~= '' then plan = ARGV[3] end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. plan)
return plan
""")


class MemoryPlans:
    """Plans in a dictionary."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, Plan | None]] = {}

    async def take(self, shard: str, epoch: int) -> Plan | None:
        """See `ports.Plans`."""
        newest, plan = self._kept.get(shard, (0, None))
        if newest > epoch:
            raise _lost()
        self._kept[shard] = epoch, plan
        return plan

    async def save(self, shard: str, epoch: int, plan: Plan) -> None:
        """See `ports.Plans`."""
        await self.take(shard, epoch)
        self._kept[shard] = epoch, plan


class RedisPlans:
    """Plans of one stream, in a hash."""

    def __init__(self, client: redis.Client, stream: str) -> None:
        self._client = client
        self._key = f"jm:archive:{{{stream}}}:plans"

    async def take(self, shard: str, epoch: int) -> Plan | None:
        """See `ports.Plans`."""
        kept = await self._write(shard, epoch, "")
        return Plan(*map(int, kept.split())) if kept else None

    async def save(self, shard: str, epoch: int, plan: Plan) -> None:
        """See `ports.Plans`."""
        await self._write(shard, epoch, f"{plan.after} {plan.through}")

    async def _write(self, shard: str, epoch: int, plan: str) -> bytes:
        (kept,) = await _WRITE.run(self._client, redis.Call([self._key], [shard, epoch, plan]))
        if kept is None:
            raise _lost()
        return bytes(kept)


def _lost() -> FailedPrecondition:
    return FailedPrecondition("LEASE_LOST", "The shard was given to another.")
