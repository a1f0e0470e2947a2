"""The outbox in Redis.

    jm:intervention:{<partition>}:outbox:<channel>                     sorted set: intervention id -> when it comes up
    jm:intervention:{<partition>}:outbox:<channel>:<intervention id>   string: an entry

The partition is the channel's: so the oldest of a channel are found by one command, and a batch of messages is at most
one script per channel. Entries are compared as a whole before they are replaced; a claim is a time in the sorted set.
"""

from collections.abc import Sequence
from typing import Any, Final

from mesh.clock import SECOND_US
from mesh.store import redis
from mesh.stored import readable
from services.intervention.delivery.domain import delivery
from services.intervention.delivery.domain.delivery import Delivery, OutboxEntry, OutboxMessage
from services.intervention.delivery.ports import Backlog, Claimed

# KEYS: the sorted set, then the entries'. ARGV: for each entry its member, its bytes, when it is due and its lifetime.
_ADD: Final = redis.Script("""
for i = 2, #KEYS do
  local member, entry, due, lifetime = unpack(ARGV, 4 * i - 7, 4 * i - 4)
  if redis.call('SET', KEYS[i], entry, 'NX', 'EX', lifetime) then redis.call('ZADD', KEYS[1], due, member) end
end
return 0
""")
# KEYS: the sorted set. ARGV: now, how many, until when they are claimed. Returns members.
_CLAIM: Final = redis.Script("""
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], ARGV[3], member) end
return due
""")
# KEYS: the sorted set, the entry's. ARGV: its member, the bytes and the time by which it is claimed, its new bytes and
# time; without a time it leaves the set. A call that is repeated because its answer was lost changes nothing.
_UPDATE: Final = redis.Script("""
local entry, time = redis.call('GET', KEYS[2]), tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '')
local due = tonumber(ARGV[5])
if entry == ARGV[4] and time == due then return 1 end
if entry ~= ARGV[2] or time ~= tonumber(ARGV[3]) then return 0 end
redis.call('SET', KEYS[2], ARGV[4], 'KEEPTTL')
if due then redis.call('ZADD', KEYS[1], ARGV[5], ARGV[1]) else redis.call('ZREM', KEYS[1], ARGV[1]) end
return 1
""")
# KEYS: the sorted set, then the entries'. ARGV: now, then for each entry its member, its bytes before and after.
_REPLACE: Final = redis.Script("""
for i = 2, #KEYS do
  local member, before, after = unpack(ARGV, 3 * i - 4, 3 * i - 2)
  if redis.call('GET', KEYS[i]) == before then
    redis.call('SET', KEYS[i], after, 'KEEPTTL')
    redis.call('ZADD', KEYS[1], ARGV[1], member)
  end
end
return 0
""")


class RedisOutbox:
    """Keeps entries for `lifetime_seconds` after they expire."""

    def __init__(self, client: redis.Client, lifetime_seconds: int) -> None:
        self._client = client
        self._lifetime = lifetime_seconds

    async def add(self, messages: Sequence[OutboxMessage], now_us: int) -> None:
        """See `services.intervention.delivery.ports.Outbox`."""
        calls: dict[str, tuple[list[str], list[str | bytes | int]]] = {}
        for message in messages:
            keys, arguments = calls.setdefault(message.channel, ([_index(message.channel)], []))
            keys.append(_key(message.channel, message.intervention_id))
            left_seconds = max(0, message.expires_us - now_us) // SECOND_US
            entry = delivery.encode_entry(delivery.new_entry(message))
            arguments += [message.intervention_id, entry, message.due_us, left_seconds + self._lifetime]
        await self._run(_ADD, calls)

    async def cancel(self, intervention_ids: Sequence[str], now_us: int, reason: str) -> None:
        """See `services.intervention.delivery.ports.Outbox`."""
        calls: dict[str, tuple[list[str], list[str | bytes | int]]] = {}
        for blobs in await self._load(intervention_ids):
            for blob, entry in readable("A message", filter(None, blobs), delivery.decode_entry).items():
                if entry.is_waiting and not entry.is_doubtful:
                    keys, arguments = calls.setdefault(
                        entry.message.channel, ([_index(entry.message.channel)], [now_us])
                    )
                    keys.append(_key(entry.message.channel, entry.message.intervention_id))
                    after = delivery.encode_entry(delivery.cancelled(entry, reason, now_us))
                    arguments += [entry.message.intervention_id, blob, after]
        await self._run(_REPLACE, calls)

    async def claim(self, channel: str, now_us: int, limit: int, lease_us: int) -> list[Claimed]:
        """See `services.intervention.delivery.ports.Outbox`."""
        until_us = now_us + lease_us
        (members,) = await _CLAIM.run(self._client, redis.Call([_index(channel)], [now_us, limit, until_us]))
        if not members:
            return []
        with redis.translating_errors():
            blobs: Any = await self._client.mget([_key(channel, each.decode()) for each in members])
            entries = readable("A message", filter(None, blobs), delivery.decode_entry)
            gone = [each for each, blob in zip(members, blobs, strict=True) if blob is None]
            if gone:
                await self._client.zrem(_index(channel), *gone)
        return [Claimed(each, until_us) for each in entries.values()]

    async def update(self, claimed: Claimed, entry: OutboxEntry, due_us: int | None) -> bool:
        """See `services.intervention.delivery.ports.Outbox`."""
        channel, member = entry.message.channel, entry.message.intervention_id
        before, after = delivery.encode_entry(claimed.entry), delivery.encode_entry(entry)
        due: int | str = "" if due_us is None else due_us
        call = redis.Call([_index(channel), _key(channel, member)], [member, before, claimed.until_us, after, due])
        (is_done,) = await _UPDATE.run(self._client, call)
        return bool(is_done)

    async def backlog(self, channel: str) -> Backlog:
        """See `services.intervention.delivery.ports.Outbox`."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.zcard(_index(channel))
        pipeline.zrange(_index(channel), 0, 0, withscores=True)
        with redis.translating_errors():
            count, first = await pipeline.execute()
        return Backlog(count, int(first[0][1]) if first else None)

    async def remove(self, intervention_ids: Sequence[str]) -> None:
        """See `services.intervention.delivery.ports.Outbox`."""
        if not intervention_ids:
            return
        pipeline = self._client.pipeline(transaction=False)
        for channel in delivery.CHANNELS:
            pipeline.unlink(*(_key(channel, each) for each in intervention_ids))
            pipeline.zrem(_index(channel), *intervention_ids)
        with redis.translating_errors():
            await pipeline.execute()

    async def deliveries(self, intervention_ids: Sequence[str]) -> list[list[Delivery]]:
        """See `services.intervention.delivery.ports.Outbox`."""
        loaded = await self._load(intervention_ids)
        return [
            [each.delivery for each in readable("A message", filter(None, blobs), delivery.decode_entry).values()]
            for blobs in loaded
        ]

    async def _load(self, intervention_ids: Sequence[str]) -> list[tuple[bytes | None, ...]]:
        """For each intervention its entries, in the order of the channels."""
        if not intervention_ids:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for channel in delivery.CHANNELS:
            pipeline.mget([_key(channel, each) for each in intervention_ids])
        with redis.translating_errors():
            by_channel = await pipeline.execute()
        return list(zip(*by_channel, strict=True))

    async def _run(self, script: redis.Script, calls: dict[str, tuple[list[str], list[str | bytes | int]]]) -> None:
        if calls:
            await script.run(self._client, *(redis.Call(*each) for each in calls.values()))


def _index(channel: str) -> str:
    return f"jm:intervention:{{{redis.partition(channel)}}}:outbox:{channel}"


def _key(channel: str, intervention_id: str) -> str:
    return f"{_index(channel)}:{intervention_id}"
