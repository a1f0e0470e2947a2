"""Ids of events on Redis: where each event stands, and how often it was sent again.

An accepted event costs about 120 bytes for 24 to 48 hours, one that is sent again another 75;
tests/ingest/test_memory_cost.py measures both.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Any, Final

from mesh import redis
from services.ingest.domain.event import Place, Seen
from services.ingest.ports import Claim

_DAY_US: Final = 24 * 3600 * 1_000_000
_SEEN_SECONDS: Final = 49 * 3600
_SEEN_SLOTS: Final = 2

# Ids are kept in one hash a day and slot. The day is that of the received time, so a copy may be found in the day
# before; and in the day after, when two copies meet around midnight.
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

_RELEASE: Final = redis.Script("""
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then return redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0
""")

_NUMBERS: Final = struct.Struct("<HQ16s")


class RedisSeenEvents:
    """Event ids in hashes of a day: one command a slot and day, whatever the number of ids."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client
        self._has_hsetex = True
        # Days that are there; one that is not may come yet, and is looked for with every call.
        self._filled: set[str] = set()

    async def find(self, ids: Sequence[str], now_us: int) -> list[Seen | None]:
        """See `ports.SeenEvents`."""
        if not ids:
            return []
        today = now_us // _DAY_US
        slots: dict[int, list[int]] = {}
        for index, event_id in enumerate(ids):
            slots.setdefault(_slot(event_id), []).append(index)
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
        groups = _groups(claims)
        blobs = [_encode_seen(claim.seen) for claim in claims]
        calls = []
        for (slot, day), indexes in groups.items():
            keys = [_seen_key(slot, day), _seen_key(slot, day - 1), _seen_key(slot, day + 1)]
            pairs = [part for index in indexes for part in (claims[index].event_id, blobs[index])]
            calls.append(redis.Call(keys, [*pairs, _SEEN_SECONDS]))
        answers: list[list[bytes]] = await _CLAIM.run(self._client, *calls)
        for indexes, answer in zip(groups.values(), answers, strict=True):
            for index, blob in zip(indexes, answer, strict=True):
                if blob != blobs[index]:
                    owners[index] = _decode_seen(blob)
        return owners

    async def release(self, claim: Claim) -> None:
        """See `ports.SeenEvents`."""
        ((slot, day),) = _groups([claim])
        await _RELEASE.run(self._client, redis.Call([_seen_key(slot, day)], [claim.event_id, _encode_seen(claim.seen)]))

    async def note(self, claims: Sequence[Claim]) -> None:
        """See `ports.SeenEvents`. One native command where all are new, which is a fifth of the script's work."""
        known: list[Claim] = [*claims] if not self._has_hsetex else []
        groups = _groups(claims) if self._has_hsetex else {}
        pipeline: Any = self._client.pipeline(transaction=False)
        for (slot, day), indexes in groups.items():
            pairs = [part for i in indexes for part in (claims[i].event_id, _encode_seen(claims[i].seen))]
            pipeline.execute_command("HSETEX", _seen_key(slot, day), "FNX", "FIELDS", len(indexes), *pairs)
            pipeline.expire(_seen_key(slot, day), _SEEN_SECONDS)
        with redis.translating_errors():
            answers = await pipeline.execute(raise_on_error=False)
        for indexes, answer in zip(groups.values(), answers[::2], strict=True):
            if answer != 1:
                self._has_hsetex = self._has_hsetex and "unknown command" not in str(answer)
                known += [claims[index] for index in indexes]
        if known:
            await self.claim(known)


class RedisDuplicates:
    """Counts in hashes of a day, beside the ids they count copies of."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def add(self, ids: Sequence[str], now_us: int) -> None:
        """See `ports.Duplicates`."""
        pipeline = self._client.pipeline(transaction=False)
        keys = {_duplicates_key(event_id, now_us // _DAY_US) for event_id in ids}
        for event_id in ids:
            pipeline.hincrby(_duplicates_key(event_id, now_us // _DAY_US), event_id, 1)
        for key in keys:
            pipeline.expire(key, _SEEN_SECONDS)
        with redis.translating_errors():
            await pipeline.execute()

    async def count(self, event_id: str, now_us: int) -> int:
        """See `ports.Duplicates`."""
        pipeline = self._client.pipeline(transaction=False)
        for day in (now_us // _DAY_US, now_us // _DAY_US - 1):
            pipeline.hget(_duplicates_key(event_id, day), event_id)
        with redis.translating_errors():
            return sum(int(counted or 0) for counted in await pipeline.execute())


def _groups(claims: Sequence[Claim]) -> dict[tuple[int, int], list[int]]:
    groups: dict[tuple[int, int], list[int]] = {}
    for index, claim in enumerate(claims):
        key = (_slot(claim.event_id), claim.seen.received_time_us // _DAY_US)
        groups.setdefault(key, []).append(index)
    return groups


def _slot(event_id: str) -> int:
    return zlib.crc32(event_id.encode()) % _SEEN_SLOTS


def _seen_key(slot: int, day: int) -> str:
    return f"jm:seen:{{{slot}}}:{day}"


def _duplicates_key(event_id: str, day: int) -> str:
    return f"jm:duplicates:{{{_slot(event_id)}}}:{day}"


def _encode_seen(seen: Seen) -> bytes:
    place = seen.place
    numbers = _NUMBERS.pack(place.event_index, seen.received_time_us, seen.trace_id or bytes(16))
    return b"%b%d %b" % (numbers, place.sequence, place.shard.encode())


def _decode_seen(blob: bytes) -> Seen:
    event_index, received_time_us, trace_id = _NUMBERS.unpack_from(blob)
    sequence, _, shard = blob[_NUMBERS.size :].partition(b" ")
    return Seen(Place(shard.decode(), int(sequence), event_index), received_time_us, trace_id)
