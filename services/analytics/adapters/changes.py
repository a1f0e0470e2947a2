"""A value in Redis that is replaced only by a caller that has seen its last change."""

from typing import Final, cast

from mesh.store import redis

# KEYS: a hash. ARGV: the number of changes that the caller has seen, the member's name, its bytes.
_REPLACE: Final = redis.Script("""
if (redis.call('HGET', KEYS[1], 'changes') or '0') ~= ARGV[1] then return 0 end
redis.call('HINCRBY', KEYS[1], 'changes', 1)
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return 1
""")


async def read(client: redis.Client, key: str, member: str) -> tuple[int, bytes | None]:
    """How often the value was replaced, and its bytes; 0 and None at first."""
    with redis.translating_errors():
        found = await client.hmget(key, ["changes", member])
    changes, blob = cast("list[bytes | None]", found)
    return int(changes or 0), blob


async def replace(client: redis.Client, key: str, member: str, blob: bytes, seen: int) -> bool:
    """Replaces the value in one atomic step if it was replaced `seen` times before; returns whether it did."""
    (is_done,) = await _REPLACE.run(client, redis.Call([key], [seen, member, blob]))
    return bool(is_done)
