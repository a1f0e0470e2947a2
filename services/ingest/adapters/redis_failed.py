"""Failed events on Redis, and the marks on records that were set aside."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from mesh import redis
from services.ingest.adapters.paging import page_start
from services.ingest.domain.event import FailedEvent, Place

_FAILED_SECONDS: Final = 7 * 24 * 3600
_REFUSED_MOST: Final = 10_000
_REFUSED_BYTES: Final = 64 * 1024 * 1024
_SET_ASIDE_MOST: Final = 10_000
_PREFIX: Final = "jm:failed:{failed}:"
# Longer than any archiver is away; a stream that keeps records for longer keeps them unread.
_MARK_SECONDS: Final = 30 * 24 * 3600
_SEQUENCE_DIGITS: Final = 78

# KEYS: the index by time, the reasons by id, the index of those that were refused, and their sizes by id with the sum
# at `sum`. ARGV: the prefix of all keys. Beside the index of all there is one a reason, at `index:<reason>`.
_FORGET: Final = """
local function forget(id)
  local reason = redis.call('HGET', KEYS[2], id)
  redis.call('DEL', ARGV[1] .. 'e:' .. id)
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
  if reason then redis.call('ZREM', KEYS[1] .. ':' .. reason, id) end
  redis.call('ZREM', KEYS[3], id)
  local size = redis.call('HGET', KEYS[4], id)
  if size then
    redis.call('HDEL', KEYS[4], id)
    if redis.call('HINCRBY', KEYS[4], 'sum', -size) <= 0 then redis.call('DEL', KEYS[4]) end
  end
end
"""
# Then: lifetime, how many refused ones are kept and in how many bytes, up to when a lifetime has passed, and for each
# failed event its id, reason, time, whether it was refused, and all of it. Only refused ones make room for others.
_ADD: Final = redis.Script(
    _FORGET
    + """
for i = 6, #ARGV, 5 do
  local id, reason, time, is_refused, all = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  forget(id)
  redis.call('SET', ARGV[1] .. 'e:' .. id, all, 'EX', ARGV[2])
  redis.call('HSET', KEYS[2], id, reason)
  redis.call('ZADD', KEYS[1], time, id)
  redis.call('ZADD', KEYS[1] .. ':' .. reason, time, id)
  redis.call('EXPIRE', KEYS[1] .. ':' .. reason, ARGV[2])
  if is_refused == '1' then
    redis.call('ZADD', KEYS[3], time, id)
    redis.call('HSET', KEYS[4], id, #all)
    redis.call('HINCRBY', KEYS[4], 'sum', #all)
  end
end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[2]) end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[5], 'LIMIT', 0, 1000)) do forget(id) end
for _, id in ipairs(redis.call('ZRANGE', KEYS[3], 0, -ARGV[3] - 1)) do forget(id) end
while tonumber(redis.call('HGET', KEYS[4], 'sum') or '0') > tonumber(ARGV[4]) do
  local oldest = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
  if not oldest then break end
  forget(oldest)
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
    """Failed events as strings with a lifetime, an index by time, one more a reason, and one of those refused."""

    _INDEX: Final = f"{_PREFIX}index"
    _REFUSED: Final = f"{_PREFIX}refused"
    _KEYS: Final = (_INDEX, f"{_PREFIX}reasons", _REFUSED, f"{_PREFIX}sizes")

    def __init__(
        self,
        client: redis.Client,
        most_refused: int = _REFUSED_MOST,
        most_set_aside: int = _SET_ASIDE_MOST,
        refused_bytes: int = _REFUSED_BYTES,
    ) -> None:
        self._client = client
        self._most_refused = most_refused
        self._most_set_aside = most_set_aside
        self._refused_bytes = refused_bytes

    async def add(self, failed: Sequence[FailedEvent]) -> None:
        """See `ports.FailedEvents`."""
        if not failed:
            return
        told = [
            part
            for one in failed
            for part in (one.id, one.reason, one.failed_time_us, int(one.place is None), _encode(one))
        ]
        passed_us = max(one.failed_time_us for one in failed) - _FAILED_SECONDS * 1_000_000
        bounds = [_FAILED_SECONDS, self._most_refused, self._refused_bytes, passed_us]
        await _ADD.run(self._client, redis.Call(self._KEYS, [_PREFIX, *bounds, *told]))

    async def has_room(self, count: int) -> bool:
        """See `ports.FailedEvents`."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.zcard(self._INDEX)
        pipeline.zcard(self._REFUSED)
        with redis.translating_errors():
            kept, refused = await pipeline.execute()
        return bool(kept - refused + count <= self._most_set_aside)

    async def find(self, ids: Sequence[str]) -> list[FailedEvent | None]:
        """See `ports.FailedEvents`."""
        if not ids:
            return []
        with redis.translating_errors():
            blobs: Any = await self._client.mget([f"{_PREFIX}e:{failed_id}" for failed_id in ids])
        return [_decode(blob) if blob else None for blob in blobs]

    async def list(self, page_size: int, before: str, reason: str = "") -> tuple[Sequence[FailedEvent], str]:
        """See `ports.FailedEvents`."""
        start = page_start(before)
        index = f"{self._INDEX}:{reason}" if reason else self._INDEX
        with redis.translating_errors():
            ids: Any = await self._client.zrevrange(index, start, start + page_size)
        found = await self.find([failed_id.decode() for failed_id in ids[:page_size]])
        following = str(start + page_size) if len(ids) > page_size else ""
        return [one for one in found if one is not None], following

    async def remove(self, failed_id: str) -> None:
        """See `ports.FailedEvents`."""
        await _REMOVE.run(self._client, redis.Call(self._KEYS, [_PREFIX, failed_id]))

    async def strike_off(self, failed: FailedEvent) -> None:
        """See `ports.FailedEvents`."""
        await _REMOVE.run(self._client, redis.Call(self._KEYS, [_PREFIX, failed.id, _encode(failed)]))


class RedisSetAside:
    """Marks in a sorted set a shard, by sequence number: all scores are 0, and members of one width sort as text."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def add(self, shard: str, sequences: Sequence[int]) -> None:
        """See `ports.SetAside`."""
        if not sequences:
            return
        pipeline = self._client.pipeline(transaction=True)
        pipeline.zadd(_marks_key(shard), {_member(sequence): 0 for sequence in sequences})
        pipeline.expire(_marks_key(shard), _MARK_SECONDS)
        with redis.translating_errors():
            await pipeline.execute()

    async def find(self, shard: str, sequences: Sequence[int]) -> set[int]:
        """See `ports.SetAside`."""
        if not sequences:
            return set()
        with redis.translating_errors():
            marks: Any = await self._client.zmscore(_marks_key(shard), [_member(sequence) for sequence in sequences])
        return {sequence for sequence, mark in zip(sequences, marks, strict=True) if mark is not None}

    async def forget(self, shard: str, through: int) -> None:
        """See `ports.SetAside`."""
        with redis.translating_errors():
            await self._client.zremrangebylex(_marks_key(shard), "-", f"[{_member(through)}")


def _marks_key(shard: str) -> str:
    return f"jm:set-aside:{{{shard}}}"


def _member(sequence: int) -> str:
    return f"{max(sequence, 0):0{_SEQUENCE_DIGITS}d}"


_Stored = tuple[FailedEvent, tuple[str, str, int] | None]
_decode_stored: Final[Callable[[bytes], _Stored]] = msgspec.msgpack.Decoder(_Stored).decode


def _encode(failed: FailedEvent) -> bytes:
    # A Kinesis sequence number has up to 56 digits, msgpack integers end at 64 bits.
    place = failed.place and (failed.place.shard, str(failed.place.sequence), failed.place.event_index)
    return msgspec.msgpack.encode((failed._replace(place=None), place))


def _decode(blob: bytes) -> FailedEvent:
    failed, place = _decode_stored(blob)
    return failed._replace(place=place and Place(place[0], int(place[1]), place[2]))
