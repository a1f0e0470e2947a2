"""On a Redis Cluster, each partition has the epoch of every shard's lease, next to the values that the epoch guards.

    jm:fences:{<partition>}    hash: "<stream>/<shard>" -> epoch

A script reaches one partition only, so a write cannot check the lease itself. A process that takes a shard raises its
fences before reading anything; later writes of an older holder are refused (`docs/adr/045`).
"""

from typing import Final

from mesh.store import redis

# ARGV: the field, the epoch. Returns the previous epoch; an invalid one counts as none.
_RAISE: Final = redis.Script("""
local known = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0') or 0
if known > 99999999999999 then known = 0 end
if known < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return known
""")


def key(partition: int) -> str:
    """The hash of a partition's fences."""
    return f"jm:fences:{{{partition}}}"


async def raised(client: redis.Client, shard: str, epoch: int) -> int:
    """Raises the fences of a shard, named as in a fence, to an epoch; lowers none. Returns the highest before.

    Raises:
        Unavailable: the store cannot be reached; some may be raised; the call may be repeated.
    """
    calls = [redis.Call([key(partition)], [shard, epoch]) for partition in range(redis.PARTITION_COUNT)]
    return int(max(await _RAISE.run(client, *calls)))
