"""Failed events and failed records on Redis."""

import collections
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from mesh.store import redis
from mesh.stored import reading
from records.tenants import tenant_of
from services.ingest.events.adapters.paging import AT_ONCE, PAGE_BYTES, page_start
from services.ingest.events.domain.event import EventPosition, FailedEvent

_FAILED_SECONDS: Final = 7 * 24 * 3600
_REFUSED_MOST: Final = 10_000
_REFUSED_BYTES: Final = 64 * 1024 * 1024
_SET_ASIDE_MOST: Final = 10_000
# One tenant of several takes at most half of the room, of that for refused events and of that for the others.
_TENANTS: Final = 2
_PREFIX: Final = "jm:failed:{failed}:"
# Longer than an archiver is ever down.
_MARK_SECONDS: Final = 30 * 24 * 3600
_SEQUENCE_DIGITS: Final = 78

# KEYS: the index by time of those that were refused, the reasons by id, the index of those of the dispatcher, and the
# sizes of refused ones by id with their sum at `sum`; of refused ones of tenants size and tenant by id, as
# `<size>:<tenant>`, and the sums of those sizes by tenant; of those of the dispatcher the tenants by id. ARGV: the
# prefix of all keys. Beside each index there is one per reason, at `<index>:<reason>`, and beside the first one per
# tenant, at `<index>:of:<tenant>`.
_FORGET: Final = """
local function forget(id)
  local reason = redis.call('HGET', KEYS[2], id)
  redis.call('DEL', ARGV[1] .. 'e:' .. id, ARGV[1] .. 'record:' .. id)
  redis.call('HDEL', KEYS[2], id)
  redis.call('HDEL', KEYS[7], id)
  for _, index in ipairs({KEYS[1], KEYS[3]}) do
    redis.call('ZREM', index, id)
    if reason then redis.call('ZREM', index .. ':' .. reason, id) end
  end
  local size = redis.call('HGET', KEYS[4], id)
  if size then
    redis.call('HDEL', KEYS[4], id)
    if redis.call('HINCRBY', KEYS[4], 'sum', -size) <= 0 then redis.call('DEL', KEYS[4]) end
  end
  local owned = redis.call('HGET', KEYS[5], id)
  if owned then
    local bytes, tenant = string.match(owned, '^(%d+):(.*)$')
    redis.call('HDEL', KEYS[5], id)
    redis.call('ZREM', KEYS[1] .. ':of:' .. tenant, id)
    if redis.call('HINCRBY', KEYS[6], tenant, -bytes) <= 0 then redis.call('HDEL', KEYS[6], tenant) end
  end
end
"""
# Then: lifetime; how many refused events are kept, and in how many bytes; the time before which events have expired;
# the last bytes of a stored event without a position; how many refused events one tenant has, and in how many bytes;
# per failed event its id, reason, time, whether it was refused, all of it but its record, its record, and its tenant.
# Only refused events make room for others, and those of a tenant beyond its share for its own.
#
# The previous version keeps both kinds in the first index, without sizes, and trims that index itself while it runs
# beside this one. So an event of its that has a position is moved rather than removed, and sizes are recounted once
# some belong to events that are gone.
_ADD: Final = redis.Script(
    _FORGET
    + """
local function keep(index, id, reason, time)
  redis.call('ZADD', index, time, id)
  redis.call('ZADD', index .. ':' .. reason, time, id)
  redis.call('EXPIRE', index .. ':' .. reason, ARGV[2])
end
local function size(id, bytes)
  redis.call('HSET', KEYS[4], id, bytes)
  redis.call('HINCRBY', KEYS[4], 'sum', bytes)
end
local function make_room(id)
  local all = redis.call('GET', ARGV[1] .. 'e:' .. id)
  local reason = redis.call('HGET', KEYS[2], id)
  if all and reason and redis.call('HEXISTS', KEYS[4], id) == 0 and string.sub(all, -2) ~= ARGV[6] then
    keep(KEYS[3], id, reason, redis.call('ZSCORE', KEYS[1], id))
    redis.call('ZREM', KEYS[1], id)
    redis.call('ZREM', KEYS[1] .. ':' .. reason, id)
  else
    forget(id)
  end
end
local function own(id, time, bytes, tenant)
  local index = KEYS[1] .. ':of:' .. tenant
  redis.call('HSET', KEYS[5], id, bytes .. ':' .. tenant)
  redis.call('ZADD', index, time, id)
  redis.call('EXPIRE', index, ARGV[2])
  redis.call('HINCRBY', KEYS[6], tenant, bytes)
  while redis.call('ZCARD', index) > tonumber(ARGV[7])
    or tonumber(redis.call('HGET', KEYS[6], tenant) or '0') > tonumber(ARGV[8]) do
    local oldest = redis.call('ZRANGE', index, 0, 0)[1]
    if not oldest then break end
    forget(oldest)
  end
end
for i = 9, #ARGV, 7 do
  local id, reason, time, is_refused, all = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  forget(id)
  redis.call('SET', ARGV[1] .. 'e:' .. id, all, 'EX', ARGV[2])
  if ARGV[i + 5] ~= '' then redis.call('SET', ARGV[1] .. 'record:' .. id, ARGV[i + 5], 'EX', ARGV[2]) end
  redis.call('HSET', KEYS[2], id, reason)
  if is_refused == '1' then
    keep(KEYS[1], id, reason, time)
    size(id, #all)
    if ARGV[i + 6] ~= '' then own(id, time, #all, ARGV[i + 6]) end
  else
    keep(KEYS[3], id, reason, time)
    if ARGV[i + 6] ~= '' then redis.call('HSET', KEYS[7], id, ARGV[i + 6]) end
  end
end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[2]) end
for _, index in ipairs({KEYS[1], KEYS[3]}) do
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', ARGV[5], 'LIMIT', 0, 1000)) do forget(id) end
end
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -ARGV[3] - 1)) do make_room(id) end
if redis.call('HLEN', KEYS[4]) > redis.call('ZCARD', KEYS[1]) + 1 then
  redis.call('DEL', KEYS[4])
  for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    size(id, redis.call('STRLEN', ARGV[1] .. 'e:' .. id))
  end
  redis.call('EXPIRE', KEYS[4], ARGV[2])
end
while tonumber(redis.call('HGET', KEYS[4], 'sum') or '0') > tonumber(ARGV[4]) do
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
  if not oldest then break end
  make_room(oldest)
end
"""
)
# Then: the id, and all of the failed event, or nothing for whatever it is.
_REMOVE: Final = redis.Script(
    _FORGET
    + """
if not ARGV[3] or redis.call('GET', ARGV[1] .. 'e:' .. ARGV[2]) == ARGV[3] then forget(ARGV[2]) end
"""
)


class RedisFailedEvents:
    """Failed events as strings with a lifetime; one index by time for refused ones, one for those of the dispatcher."""

    _REFUSED: Final = f"{_PREFIX}index"
    _SET_ASIDE: Final = f"{_PREFIX}set-aside"
    _SET_ASIDE_TENANTS: Final = f"{_PREFIX}set-aside-tenants"
    _KEYS: Final = (
        _REFUSED,
        f"{_PREFIX}reasons",
        _SET_ASIDE,
        f"{_PREFIX}sizes",
        f"{_PREFIX}tenants",
        f"{_PREFIX}tenant-sizes",
        _SET_ASIDE_TENANTS,
    )

    def __init__(
        self,
        client: redis.Client,
        most_refused: int = _REFUSED_MOST,
        most_failed: int = _SET_ASIDE_MOST,
        refused_bytes: int = _REFUSED_BYTES,
    ) -> None:
        self._client = client
        self._most_refused = most_refused
        self._most_failed = most_failed
        self._refused_bytes = refused_bytes

    async def add(self, failed: Sequence[FailedEvent]) -> None:
        """See `ports.FailedEvents`."""
        if not failed:
            return
        arguments = [
            part
            for one in failed
            for part in (
                *(one.id, one.reason, one.failed_time_us, int(one.position is None), _encode(one), one.record),
                tenant_of(one.user_id) or tenant_of(one.event_id),
            )
        ]
        passed_us = max(one.failed_time_us for one in failed) - _FAILED_SECONDS * 1_000_000
        bounds: list[bytes | int] = [_FAILED_SECONDS, self._most_refused, self._refused_bytes, passed_us, _NO_POSITION]
        shares = [self._most_refused // _TENANTS, self._refused_bytes // _TENANTS]
        await _ADD.run(self._client, redis.Call(self._KEYS, [_PREFIX, *bounds, *shares, *arguments]))

    async def has_room(self, count: int) -> bool:
        """See `ports.FailedEvents`."""
        with redis.translating_errors():
            kept: int = await self._client.zcard(self._SET_ASIDE)
        return kept + count <= self._most_failed

    async def full_tenants(self) -> frozenset[str]:
        """See `ports.FailedEvents`."""
        most = self._most_failed // _TENANTS
        with redis.translating_errors():
            if await self._client.hlen(self._SET_ASIDE_TENANTS) < most:
                return frozenset()
            tenants: Any = await self._client.hvals(self._SET_ASIDE_TENANTS)
        counts = collections.Counter(map(bytes.decode, tenants))
        return frozenset(tenant for tenant, count in counts.items() if count >= most)

    async def find(self, ids: Sequence[str]) -> list[FailedEvent | None]:
        """See `ports.FailedEvents`."""
        if not ids:
            return []
        with redis.translating_errors():
            blobs: Any = await self._client.mget(
                [f"{_PREFIX}{kind}:{failed_id}" for kind in ("e", "record") for failed_id in ids]
            )
        kept = zip(blobs, blobs[len(ids) :], strict=False)
        with reading("A failed event"):  # not left out: an erasure looks for people here
            return [_decode(blob)._replace(record=record or b"") if blob else None for blob, record in kept]

    async def list(self, page_size: int, before: str, reason: str = "") -> tuple[Sequence[FailedEvent], str]:
        """See `ports.FailedEvents`."""
        start = page_start(before)
        end = start + page_size
        pipeline = self._client.pipeline(transaction=False)
        for index in (self._REFUSED, self._SET_ASIDE):
            pipeline.zrevrange(f"{index}:{reason}" if reason else index, 0, end, withscores=True)
        with redis.translating_errors():
            refused, set_aside = await pipeline.execute()
        newest = sorted([*refused, *set_aside], key=lambda each: each[1], reverse=True)
        page: list[FailedEvent] = []
        reached = start
        while reached < min(end, len(newest)) and sum(map(_size, page)) < PAGE_BYTES:
            ids = [failed_id.decode() for failed_id, _ in newest[reached : min(reached + AT_ONCE, end)]]
            page += [one for one in await self.find(ids) if one is not None]
            reached += len(ids)
        return page, str(reached) if len(newest) > reached else ""

    async def remove(self, failed_id: str) -> None:
        """See `ports.FailedEvents`."""
        await _REMOVE.run(self._client, redis.Call(self._KEYS, [_PREFIX, failed_id]))

    async def strike_off(self, failed: FailedEvent) -> None:
        """See `ports.FailedEvents`."""
        await _REMOVE.run(self._client, redis.Call(self._KEYS, [_PREFIX, failed.id, _encode(failed)]))


class RedisFailedRecords:
    """Marks in a sorted set per shard: all scores are 0, and members of one width sort as text."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def add(self, shard: str, sequences: Sequence[int]) -> None:
        """See `ports.FailedRecords`."""
        if not sequences:
            return
        pipeline = self._client.pipeline(transaction=False)
        pipeline.zadd(_marks_key(shard), {_member(sequence): 0 for sequence in sequences})
        pipeline.expire(_marks_key(shard), _MARK_SECONDS)
        with redis.translating_errors():
            await pipeline.execute()

    async def find(self, shard: str, sequences: Sequence[int]) -> set[int]:
        """See `ports.FailedRecords`."""
        if not sequences:
            return set()
        with redis.translating_errors():
            marks: Any = await self._client.zmscore(_marks_key(shard), [_member(sequence) for sequence in sequences])
        return {sequence for sequence, mark in zip(sequences, marks, strict=True) if mark is not None}

    async def forget(self, shard: str, through: int) -> None:
        """See `ports.FailedRecords`."""
        with redis.translating_errors():
            await self._client.zremrangebylex(_marks_key(shard), "-", f"[{_member(through)}")


def _size(failed: FailedEvent) -> int:
    return len(failed.payload) + len(failed.record)


def _marks_key(shard: str) -> str:
    return f"jm:set-aside:{{{shard}}}"


def _member(sequence: int) -> str:
    return f"{max(sequence, 0):0{_SEQUENCE_DIGITS}d}"


# msgpack nil twice: the position within the failed event, and the one after it.
_NO_POSITION: Final = b"\xc0\xc0"


class _Stored(NamedTuple):
    """A failed event without its record, which the version before does not know, as it is written since the first."""

    id: str
    reason: str
    detail: str
    failed_time_us: int
    event_id: str
    user_id: str
    payload: bytes
    trace_id: bytes
    stage: str
    position: None = None


_Written = tuple[_Stored, tuple[str, str, int] | None]
_decode_written: Final[Callable[[bytes], _Written]] = msgspec.msgpack.Decoder(_Written).decode


def _encode(failed: FailedEvent) -> bytes:
    *members, position, _ = failed
    # A Kinesis sequence number has up to 56 digits, msgpack integers end at 64 bits.
    where = position and (position.shard, str(position.sequence), position.event_index)
    return msgspec.msgpack.encode(((*members, None), where))


def _decode(blob: bytes) -> FailedEvent:
    members, position = _decode_written(blob)
    return FailedEvent(*members[:-1], position and EventPosition(position[0], int(position[1]), position[2]))
