"""The ledger in Redis.

    jm:intervention:{<shard>}:page:<sequence>       string: a block
    jm:intervention:{<shard>}:names:<generation>    hash: name -> references, ascending, each of fixed width
    jm:intervention:names                           sorted set: "<shard> <generation>" by generation

A generation is a stretch of received time: so an index expires as a whole, and a batch is one command. Blocks are not
compressed: the fastest compression halves them and costs 2 us per event, a quarter of what the service may take.
"""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Final, cast

import msgspec

from mesh.store import redis
from services.intervention.decision.ports import KEPT_REFERENCES, Entry, Reference

_GENERATIONS_PER_LIFETIME: Final = 4
_REGISTRY: Final = "jm:intervention:names"
# Digits of a reference: enough for a time in nanoseconds, or for Kinesis. One width, so that they compare as text.
_WIDTH: Final = 20
_KINESIS_WIDTH: Final = 60

# KEYS: the index, then one block per entry. ARGV: lifetimes of index and block, longest value of a name; then for each
# entry its reference, its block, and its names as msgpack. A reference is added to a name only if it follows the last
# one: a shard's writer goes forward, so earlier ones were added already. Returns whether the index is new. Names go to
# the store by the thousand: Lua's stack ends at some 8000 values.
_RECORD: Final = redis.Script("""
local is_new = redis.call('EXISTS', KEYS[1]) == 0
local longest = tonumber(ARGV[3])
for i = 2, #KEYS do
  local reference, names = ARGV[3 * i - 2], cmsgpack.unpack(ARGV[3 * i])
  redis.call('SET', KEYS[i], ARGV[3 * i - 1], 'EX', ARGV[2])
  for first = 1, #names, 1000 do
    local last = math.min(first + 999, #names)
    local kept = redis.call('HMGET', KEYS[1], unpack(names, first, last))
    local added = {}
    for j = 1, #kept do
      local before = kept[j] or ''
      if string.sub(before, -#reference) < reference then
        added[#added + 1] = names[first + j - 1]
        added[#added + 1] = string.sub(before .. reference, -longest)
      end
    end
    if #added > 0 then redis.call('HSET', KEYS[1], unpack(added)) end
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return is_new and 1 or 0
""")
# KEYS: a block's. ARGV: its bytes before and after.
_REWRITE: Final = redis.Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
""")
_PAGE: Final = re.compile(r"jm:intervention:\{(.*)\}:page:(\d+)")
_ENCODE: Final = msgspec.msgpack.Encoder().encode


class RedisLedger:
    """Keeps blocks for `lifetime_seconds`, and names for at least as long."""

    def __init__(self, client: redis.Client, lifetime_seconds: int) -> None:
        self._client = client
        self._lifetime = lifetime_seconds
        self._generation_us = max(1, lifetime_seconds * 1_000_000 // _GENERATIONS_PER_LIFETIME)
        self._registered: set[str] = set()

    async def record(self, entries: Sequence[Entry]) -> None:
        """See `services.intervention.decision.ports.Ledger`."""
        generations: dict[tuple[str, int], list[Entry]] = {}
        for entry in entries:
            generations.setdefault((entry.shard, entry.received_us // self._generation_us), []).append(entry)
        for (shard, generation), its in generations.items():
            await self._record_generation(shard, generation, its)

    async def blocks(self, references: Sequence[Reference]) -> list[bytes | None]:
        """See `services.intervention.decision.ports.Ledger`."""
        return await redis.mget(self._client, [_block_key(*each) for each in references]) if references else []

    async def references(self) -> AsyncIterator[Sequence[Reference]]:
        """See `services.intervention.decision.ports.Ledger`."""
        async for keys in redis.scan(self._client, _block_key("*", "*")):
            matches = filter(None, map(_PAGE.fullmatch, keys))
            yield [Reference(match[1], int(match[2])) for match in matches]

    async def rewrite(self, reference: Reference, before: bytes, after: bytes) -> bool:
        """See `services.intervention.decision.ports.Ledger`."""
        (is_done,) = await _REWRITE.run(self._client, redis.Call([_block_key(*reference)], [before, after]))
        return bool(is_done)

    async def forget(self, names: Sequence[str]) -> None:
        """See `services.intervention.decision.ports.Ledger`."""
        with redis.translating_errors():
            for member in cast("list[bytes]", await self._client.zrange(_REGISTRY, 0, -1)):
                shard, _, generation = member.decode().rpartition(" ")
                await self._client.hdel(_index_key(shard, int(generation)), *names)

    async def find(self, name: str) -> list[list[Reference]]:
        """See `services.intervention.decision.ports.Ledger`."""
        with redis.translating_errors():
            members = cast("list[bytes]", await self._client.zrevrange(_REGISTRY, 0, -1))
            parted = [each.decode().rpartition(" ") for each in members]
            indexes = [(shard, int(generation)) for shard, _, generation in parted]
            pipeline = self._client.pipeline(transaction=False)
            for shard, generation in indexes:
                pipeline.hget(_index_key(shard, generation), name)
            kept = await pipeline.execute()
        generations: dict[int, list[Reference]] = {}
        for (shard, generation), references in zip(indexes, kept, strict=True):
            found = [Reference(shard, int(each)) for each in (references or b"").split()]
            generations.setdefault(generation, []).extend(found)
        return [each for _, each in sorted(generations.items(), reverse=True) if each]

    async def _record_generation(self, shard: str, generation: int, entries: Sequence[Entry]) -> None:
        references = [
            f"{each.sequence:0{_WIDTH if each.sequence < 10**_WIDTH else _KINESIS_WIDTH}d} " for each in entries
        ]
        arguments: list[bytes | str | int] = [
            self._lifetime + self._lifetime // _GENERATIONS_PER_LIFETIME,
            self._lifetime,
            KEPT_REFERENCES * len(references[0]),
        ]
        for reference, entry in zip(references, entries, strict=True):
            arguments += [reference, entry.block, _ENCODE(entry.names)]
        keys = [_index_key(shard, generation), *(_block_key(shard, each.sequence) for each in entries)]
        member = f"{shard} {generation}"
        if member not in self._registered:
            await self._register(member, generation)
        (is_new,) = await _RECORD.run(self._client, redis.Call(keys, arguments))
        if is_new:
            # The store may have lost what this process registered earlier.
            await self._register(member, generation)

    async def _register(self, member: str, generation: int) -> None:
        with redis.translating_errors():
            await self._client.zadd(_REGISTRY, {member: generation})
            await self._client.zremrangebyscore(_REGISTRY, "-inf", generation - 2 * _GENERATIONS_PER_LIFETIME)
        self._registered.add(member)


def _block_key(shard: str, sequence: int | str) -> str:
    return f"jm:intervention:{{{shard}}}:page:{sequence}"


def _index_key(shard: str, generation: int) -> str:
    return f"jm:intervention:{{{shard}}}:names:{generation}"
