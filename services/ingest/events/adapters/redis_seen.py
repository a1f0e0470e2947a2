"""Ids of events on Redis: the position of each event, and which records are clean.

An accepted event costs about 120 bytes for 24 to 48 hours, and a record up to 140 for as long as it is on the
stream; tests/ingest/test_memory_cost.py measures both.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mesh.store import redis
from mesh.store.cluster import Cluster
from services.ingest.events.adapters.sequences import sortable
from services.ingest.events.domain.days import KEPT_SECONDS, day_of
from services.ingest.events.domain.event import EventPosition, Seen
from services.ingest.events.ports import AppendedEvents, Claim

_SLOTS: Final = 2
# On a cluster all of a slot's ids are in one primary's memory: so they are spread as users are.
_SLOTS_OF_CLUSTER: Final = redis.PARTITION_COUNT

# Ids are kept in one hash per day and slot. The day is that of the received time, so a duplicate may be found on the
# day before; and on the day after, when two meet around midnight.
_CLAIM: Final = redis.Script("""
local before = redis.call('EXISTS', KEYS[2]) == 1
local after = redis.call('EXISTS', KEYS[3]) == 1
local owners = {}
for i = 1, #ARGV - 1, 2 do
  local owner = before and redis.call('HGET', KEYS[2], ARGV[i])
  owner = owner or after and redis.call('HGET', KEYS[3], ARGV[i])
  if not owner then
    if redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1]) == 1 then
      owner = ARGV[i + 1]
    else
      owner = redis.call('HGET', KEYS[1], ARGV[i])
    end
  end
  owners[#owners + 1] = owner
end
redis.call('EXPIRE', KEYS[1], ARGV[#ARGV])
return owners
""")

# As `_CLAIM` for the ids of whole records, in bulk. KEYS: the day, those before and after, and for each record the key
# of its shard's records. ARGV: lifetime, how many records are kept of a shard, for each record its member and how many
# ids it tells; then id and position, alternating. Returns the numbers of ids known from another position.
_REMEMBER: Final = redis.Script("""
local records = #KEYS - 3
local base = 2 + 2 * records
local total = (#ARGV - base) / 2
local owners, has_owners, elsewhere = {}, false, {}
local function look_up(day, from, ids)
  local has_known = false
  for i, owner in ipairs(redis.call('HMGET', day, unpack(ids))) do
    if owner then
      has_known = true
      owners[from + i - 1] = owners[from + i - 1] or owner
    end
  end
  return has_known
end
local function remember(from, to)
  local first, last = base + 2 * from - 1, base + 2 * to
  local ids, has_known = {}, false
  for i = from, to do ids[i - from + 1] = ARGV[base + 2 * i - 1] end
  for day = 2, 3 do
    if redis.call('EXISTS', KEYS[day]) == 1 then has_known = look_up(KEYS[day], from, ids) or has_known end
  end
  -- All or nothing, natively; of a store that has no such command it is an error.
  if not has_known and redis.pcall('HSETEX', KEYS[1], 'FNX', 'FIELDS', #ids, unpack(ARGV, first, last)) == 1 then
    return
  end
  has_owners = look_up(KEYS[1], from, ids) or has_known or has_owners
  local new = {}
  for i = from, to do
    if not owners[i] then
      new[#new + 1] = ids[i - from + 1]
      new[#new + 1] = ARGV[base + 2 * i]
    end
  end
  if #new > 0 then redis.call('HSET', KEYS[1], unpack(new)) end
end
for from = 1, total, 1000 do remember(from, math.min(from + 999, total)) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
local first = 1
for record = 1, records do
  local clean, count = KEYS[3 + record], tonumber(ARGV[2 + 2 * record])
  local owned = count
  for i = first, has_owners and first + count - 1 or 0 do
    if owners[i] and owners[i] ~= ARGV[base + 2 * i] then
      owned = owned - 1
      elsewhere[#elsewhere + 1] = i
    end
  end
  first = first + count
  redis.call('ZADD', clean, 0, ARGV[1 + 2 * record] .. struct.pack('>H', owned))
  redis.call('ZREMRANGEBYRANK', clean, 0, -ARGV[2] - 1)
  redis.call('EXPIRE', clean, ARGV[1])
end
return elsewhere
""")

_RELEASE: Final = redis.Script("""
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('ZREMRANGEBYLEX', KEYS[2], '[' .. ARGV[3], '[' .. ARGV[3] .. '\\255\\255\\255')
return redis.call('HDEL', KEYS[1], ARGV[1])
""")

_RECORDS_MOST: Final = 50_000
_COUNT_BYTES: Final = 2
# Behind a member of a record, and before the next one's.
_BEHIND: Final = b"\xff" * (_COUNT_BYTES + 1)

_NUMBERS: Final = struct.Struct("<HQ16s")
_NO_TRACE: Final = bytes(16)


class _Part:
    """What one slot and day remembers: its share of the clean records, and ids with their positions."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.heads: list[bytes | int] = []
        self.pairs: list[bytes] = []


class RedisSeenEvents:
    """Event ids in one hash per day and slot: one command each, whatever the number of ids.

    Of records a sorted set a slot and shard tells how many of their ids in that slot stand at their places: where these
    add up to all its events, a record is clean. All scores are 0, so that members sort by sequence number.
    """

    def __init__(self, client: redis.Client, most_records: int = _RECORDS_MOST) -> None:
        self._client = client
        self._slot_count = _SLOTS_OF_CLUSTER if isinstance(client, Cluster) else _SLOTS
        self._most_records = most_records
        # Days known to exist; others may appear, and are looked for with every call.
        self._filled: set[str] = set()

    async def find(self, ids: Sequence[str], now_us: int) -> list[Seen | None]:
        """See `ports.SeenEvents`."""
        if not ids:
            return []
        today = day_of(now_us)
        slots: dict[int, list[int]] = {}
        for index, event_id in enumerate(ids):
            slots.setdefault(self._slot(event_id), []).append(index)
        before = {slot: _seen_key(slot, today - 1) for slot in slots}
        pipeline = self._client.pipeline(transaction=False)
        asked: list[list[int]] = []
        for slot, indexes in slots.items():
            fields = [ids[index] for index in indexes]
            # An event is received a little before it is looked for, or a day before; never after. The older of two
            # copies, around midnight, is the one that counts.
            pipeline.hmget(_seen_key(slot, today), fields)
            asked.append(indexes)
            if before[slot] in self._filled:
                pipeline.hmget(before[slot], fields)
                asked.append(indexes)
        unknown = [key for key in before.values() if key not in self._filled]
        for key in unknown:
            pipeline.exists(key)
        with redis.translating_errors():
            answers: list[Any] = await pipeline.execute()
        filled = {key for key, is_there in zip(unknown, answers[len(asked) :], strict=True) if is_there}
        if filled:
            self._filled |= filled
            return await self.find(ids, now_us)
        found: list[Seen | None] = [None] * len(ids)
        for indexes, answer in zip(asked, answers, strict=False):
            for index, blob in zip(indexes, answer, strict=True):
                if blob:
                    found[index] = _decode_seen(blob)
        return found

    async def claim(self, claims: Sequence[Claim]) -> list[Seen]:
        """See `ports.SeenEvents`."""
        owners: list[Seen] = [claim.seen for claim in claims]
        groups = self._groups(claims)
        blobs = [_encode_seen(claim.seen) for claim in claims]
        calls = []
        for (slot, day), indexes in groups.items():
            keys = [_seen_key(slot, day), _seen_key(slot, day - 1), _seen_key(slot, day + 1)]
            pairs = [part for index in indexes for part in (claims[index].event_id, blobs[index])]
            calls.append(redis.Call(keys, [*pairs, KEPT_SECONDS]))
        answers: list[list[bytes]] = await _CLAIM.run(self._client, *calls)
        for indexes, answer in zip(groups.values(), answers, strict=True):
            for index, blob in zip(indexes, answer, strict=True):
                if blob != blobs[index]:
                    owners[index] = _decode_seen(blob)
        return owners

    async def release(self, claim: Claim) -> None:
        """See `ports.SeenEvents`."""
        ((slot, day),) = self._groups([claim])
        position = claim.seen.position
        keys = [_seen_key(slot, day), _clean_key(slot, position.shard)]
        arguments: list[str | bytes | int] = [claim.event_id, _encode_seen(claim.seen), sortable(position.sequence)]
        await _RELEASE.run(self._client, redis.Call(keys, arguments))

    async def remember(self, records: Sequence[AppendedEvents]) -> set[str]:
        """See `ports.SeenEvents`."""
        parts = _parts(records, self._slot_count)
        calls = []
        for (slot, day), part in parts.items():
            keys = [_seen_key(slot, day), _seen_key(slot, day - 1), _seen_key(slot, day + 1), *part.keys]
            calls.append(redis.Call(keys, [KEPT_SECONDS, self._most_records, *part.heads, *part.pairs]))
        answers: list[list[int]] = await _REMEMBER.run(self._client, *calls)
        return {
            part.pairs[2 * number - 2].decode()
            for part, answer in zip(parts.values(), answers, strict=True)
            for number in answer
        }

    async def clean(self, shard: str, event_counts: Mapping[int, int]) -> set[int]:
        """See `ports.SeenEvents`."""
        if not event_counts:
            return set()
        least, most = sortable(min(event_counts)), sortable(max(event_counts)) + _BEHIND
        pipeline = self._client.pipeline(transaction=False)
        for slot in range(self._slot_count):
            pipeline.zrangebylex(_clean_key(slot, shard), b"[" + least, b"[" + most)
        with redis.translating_errors():
            answers: list[list[bytes]] = await pipeline.execute()
        # A record that was written in parts is listed several times; what is remembered of it never shrinks.
        owned = [{each[:-_COUNT_BYTES]: int.from_bytes(each[-_COUNT_BYTES:], "big") for each in its} for its in answers]
        wanted = ((at, sortable(at), event_count) for at, event_count in event_counts.items())
        return {at for at, member, event_count in wanted if sum(its.get(member, 0) for its in owned) == event_count}

    async def forget_records(self, shard: str, through: int) -> None:
        """See `ports.SeenEvents`."""
        pipeline = self._client.pipeline(transaction=False)
        for slot in range(self._slot_count):
            pipeline.zremrangebylex(_clean_key(slot, shard), b"-", b"[" + sortable(through) + _BEHIND)
        with redis.translating_errors():
            await pipeline.execute()

    def _groups(self, claims: Sequence[Claim]) -> dict[tuple[int, int], list[int]]:
        """The indexes of the claims of each slot and day."""
        groups: dict[tuple[int, int], list[int]] = {}
        for index, claim in enumerate(claims):
            key = (self._slot(claim.event_id), day_of(claim.seen.received_time_us))
            groups.setdefault(key, []).append(index)
        return groups

    def _slot(self, event_id: str) -> int:
        return zlib.crc32(event_id.encode()) % self._slot_count


def _parts(records: Sequence[AppendedEvents], slot_count: int) -> dict[tuple[int, int], _Part]:
    """What each slot and day remembers."""
    parts: dict[tuple[int, int], _Part] = {}
    for record in records:
        end = b"%d %b" % (record.sequence, record.shard.encode())
        pairs: dict[tuple[int, int], list[bytes]] = {}
        remembered = zip(
            record.event_ids, record.event_indexes, record.received_times_us, record.trace_ids, strict=True
        )
        for event_id, event_index, received_us, trace_id in remembered:
            name = event_id.encode()
            its = pairs.setdefault((zlib.crc32(name) % slot_count, day_of(received_us)), [])
            its += (name, _NUMBERS.pack(event_index, received_us, trace_id or _NO_TRACE) + end)
        for key, its in pairs.items():
            part = parts.setdefault(key, _Part())
            part.keys.append(_clean_key(key[0], record.shard))
            part.heads += (sortable(record.sequence), len(its) // 2)
            part.pairs += its
    return parts


def _seen_key(slot: int, day: int) -> str:
    return f"jm:seen:{{{slot}}}:{day}"


def _clean_key(slot: int, shard: str) -> str:
    return f"jm:clean:{{{slot}}}:{shard}"


def _encode_seen(seen: Seen) -> bytes:
    position = seen.position
    numbers = _NUMBERS.pack(position.event_index, seen.received_time_us, seen.trace_id or _NO_TRACE)
    return b"%b%d %b" % (numbers, position.sequence, position.shard.encode())


def _decode_seen(blob: bytes) -> Seen:
    event_index, received_time_us, trace_id = _NUMBERS.unpack_from(blob)
    sequence, _, shard = blob[_NUMBERS.size :].partition(b" ")
    return Seen(EventPosition(shard.decode(), int(sequence), event_index), received_time_us, trace_id)
