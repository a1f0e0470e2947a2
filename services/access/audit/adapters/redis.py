"""The chain in Redis: a stream of entries whose ids are their numbers, its head and base, under one hash tag."""

from collections.abc import Sequence
from typing import Final, cast

from mesh.store import redis
from services.access.audit.domain.entry import EMPTY, Head, Row
from services.access.audit.domain.verification import Page
from services.access.audit.ports import Answer, Kept

_ENTRIES: Final = "jm:{audit}:entries"
_HEAD: Final = "jm:{audit}:head"
_BASE: Final = "jm:{audit}:base"
_SECRET: Final = "jm:{audit}:secret"  # noqa: S105 - the name of its key
_ACT: Final = "jm:{audit}:act:"
_KNOWN_SECONDS: Final = 7_200

# KEYS: the head, the entries, a key per act. ARGV: number and hash of the head before, how long acts stay known, then
# bytes and hash of each entry.
_APPEND: Final = redis.Script("""
local known = {}
for i = 3, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then known[#known + 1] = i - 3 end
end
local head = redis.call('HMGET', KEYS[1], 'sequence', 'hash')
local sequence, hash = head[1] or '0', head[2] or ARGV[2]
if #known > 0 or sequence ~= ARGV[1] or hash ~= ARGV[2] then return {0, sequence, head[2] or '', known} end
for i = 3, #KEYS do
  sequence, hash = string.format('%d', tonumber(ARGV[1]) + i - 2), ARGV[2 * i - 1]
  redis.call('XADD', KEYS[2], sequence .. '-0', 'entry', ARGV[2 * i - 2], 'hash', hash)
  redis.call('SET', KEYS[i], '1', 'EX', ARGV[3])
end
redis.call('HSET', KEYS[1], 'sequence', sequence, 'hash', hash)
return {1, sequence, hash, known}
""")
# KEYS: the head, the entries, the base. ARGV: the number after which to read, how many entries.
_READ: Final = redis.Script("""
local head = redis.call('HMGET', KEYS[1], 'sequence', 'hash')
local base = redis.call('HMGET', KEYS[3], 'sequence', 'hash')
local after, hash = tonumber(ARGV[1]), ''
if after <= tonumber(base[1] or '0') then
  after, hash = tonumber(base[1] or '0'), base[2] or string.rep('\\0', 32)
else
  local id = string.format('%d-0', after)
  local before = redis.call('XRANGE', KEYS[2], id, id)
  if before[1] then hash = before[1][2][4] end
end
local rows = redis.call('XRANGE', KEYS[2], string.format('(%d-0', after), '+', 'COUNT', ARGV[2])
return {head[1] or '0', head[2] or '', string.format('%d', after), hash, rows}
""")
# KEYS: the base, the entries. ARGV: the number of the base before, number and hash of the base after, the id after it.
_DROP: Final = redis.Script("""
if (redis.call('HGET', KEYS[1], 'sequence') or '0') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'sequence', ARGV[2], 'hash', ARGV[3])
redis.call('XTRIM', KEYS[2], 'MINID', ARGV[4])
return 1
""")


class RedisChain:
    """Keeps the chain in Redis."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def append(self, before: Head, rows: Sequence[Row]) -> Answer:
        """See `services.access.audit.ports.Chain`."""
        keys = [_HEAD, _ENTRIES, *(_ACT + row.act_id.hex() for row in rows)]
        parts = [part for row in rows for part in (row.stored, row.hash)]
        call = redis.Call(keys, [before.sequence, before.hash, _KNOWN_SECONDS, *parts])
        ((is_appended, sequence, digest, known),) = await _APPEND.run(self._client, call)
        return Answer(bool(is_appended), _head(sequence, digest), frozenset(rows[place].act_id for place in known))

    async def head(self) -> Head:
        """See `services.access.audit.ports.Chain`."""
        with redis.translating_errors():
            sequence, digest = cast("list[bytes | None]", await self._client.hmget(_HEAD, ["sequence", "hash"]))
        return _head(sequence or b"0", digest or b"")

    async def read(self, after: int, most: int) -> Page:
        """See `services.access.audit.ports.Chain`."""
        (answer,) = await _READ.run(self._client, redis.Call([_HEAD, _ENTRIES, _BASE], [after, most]))
        newest, newest_hash, begin, hash_before, rows = answer
        entries = [members[1] for _, members in rows]
        return Page(entries, int(begin) + 1 if entries else 0, hash_before, _head(newest, newest_hash))

    async def newest(self, before: int, most: int) -> Sequence[Kept]:
        """See `services.access.audit.ports.Chain`."""
        end = f"({before}-0" if before else "+"
        with redis.translating_errors():
            found = await self._client.xrevrange(_ENTRIES, end, "-", most)
        rows = cast("list[tuple[bytes, dict[bytes, bytes]]]", found)
        return [Kept(_number(row_id), members[b"entry"], members[b"hash"]) for row_id, members in rows]

    async def drop(self, base: int, through: Head) -> bool:
        """See `services.access.audit.ports.Chain`."""
        arguments: list[str | bytes | int] = [base, through.sequence, through.hash, f"{through.sequence + 1}-0"]
        (is_dropped,) = await _DROP.run(self._client, redis.Call([_BASE, _ENTRIES], arguments))
        return bool(is_dropped)

    async def secret(self) -> bytes | None:
        """See `services.access.audit.ports.Chain`."""
        with redis.translating_errors():
            return cast("bytes | None", await self._client.get(_SECRET))

    async def keep_secret(self, proposed: bytes) -> bytes:
        """See `services.access.audit.ports.Chain`."""
        with redis.translating_errors():
            await self._client.set(_SECRET, proposed, nx=True)
            return cast("bytes | None", await self._client.get(_SECRET)) or proposed

    async def ping(self) -> None:
        """See `services.access.audit.ports.Chain`."""
        await redis.ping(self._client)


def _head(sequence: bytes, digest: bytes) -> Head:
    return Head(int(sequence), digest) if int(sequence) else EMPTY


def _number(row_id: bytes) -> int:
    return int(row_id.partition(b"-")[0])
