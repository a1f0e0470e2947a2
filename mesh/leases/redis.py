"""Leases in Redis: one hash per stream and consumer group, so that every step is one script and one key.

A shard's members are fields `<member>:<shard>`: owner, epoch, since and ends, checkpoint, lag and trouble. Epochs and
checkpoints never expire. Since and ends are when the lease was last renewed and until when it lasts, in Unix
milliseconds of the server's clock, so that the clocks of the processes do not matter; if it is set back, leases in the
future count as expired.
"""

import math
from typing import Any, Final

from mesh.errors import FailedPrecondition
from mesh.leases import fences
from mesh.leases.port import APPLYING, Lease, ShardState
from mesh.store import redis
from mesh.store.cluster import Cluster
from mesh.stream.port import BEGINNING, END

# The largest number that the scripts represent exactly.
_EPOCH_MOST: Final = 10**14 - 1
_DIGITS_MOST: Final = len(str(END))

_NOW: Final = """
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function number(text) return tonumber(text or '') or 0 end
local function is_held(since, ends, now)
  return number(since) <= now and now < number(ends)
end
"""
# ARGV: the shard, the owner, the time to live in milliseconds, the current epoch (empty: take it only if it is free).
# A steal that is repeated because its answer was lost succeeds again. If the epoch is unknown or invalid, it
# continues from the time in milliseconds, which is beyond all epochs ever counted and exact in Lua's numbers. If the
# caller expects no epoch, the first is 1.
_TAKE: Final = redis.Script(
    _NOW
    + """
local shard, owner, expected = ARGV[1], ARGV[2], tonumber(ARGV[4])
local fields = {'owner:' .. shard, 'epoch:' .. shard, 'since:' .. shard, 'ends:' .. shard}
local known = redis.call('HMGET', KEYS[1], unpack(fields))
local holder, now = known[1] or '', now_ms()
local epoch = known[2] and string.match(known[2], '^%d+$') and tonumber(known[2])
if not known[2] and expected == 0 then epoch = 0 end
if not epoch or epoch > 99999999999999 then epoch = now end
if expected then
  if epoch == expected + 1 and holder == owner then return epoch end
  if epoch ~= expected then return 0 end
elseif holder ~= '' and holder ~= owner and is_held(known[3], known[4], now) then
  return 0
end
epoch = math.max(epoch, tonumber(ARGV[5])) + 1
local values = {owner, epoch, now, now + ARGV[3]}
for i = 1, 4 do redis.call('HSET', KEYS[1], fields[i], values[i]) end
return epoch
"""
)
# ARGV: the shard, owner and epoch of the lease, the time to live, then names and values of members to set.
_UPDATE: Final = redis.Script(
    _NOW
    + """
local shard = ARGV[1]
local known = redis.call('HMGET', KEYS[1], 'owner:' .. shard, 'epoch:' .. shard)
if known[1] ~= ARGV[2] or known[2] ~= ARGV[3] then return 0 end
local now = now_ms()
local fields = {'since:' .. shard, now, 'ends:' .. shard, now + ARGV[4]}
for i = 5, #ARGV, 2 do
  fields[#fields + 1] = ARGV[i] .. ':' .. shard
  fields[#fields + 1] = ARGV[i + 1]
end
redis.call('HSET', KEYS[1], unpack(fields))
return 1
"""
)
_SHARD_STATES: Final = redis.Script(_NOW + "return {now_ms(), redis.call('HGETALL', KEYS[1])}")


def key(stream: str, consumer_group: str) -> str:
    """The key of the hash of a stream and a consumer group."""
    return f"jm:leases:{{{stream}}}:{consumer_group}"


class RedisLeases:
    """Leases and checkpoints of one consumer group; an expired lease may be renewed until another takes the shard."""

    def __init__(self, client: redis.Client, stream: str, consumer_group: str, time_to_live_seconds: float) -> None:
        self._client = client
        self._stream = stream
        self._key = key(stream, consumer_group)
        self._has_fences = isinstance(client, Cluster) and consumer_group == APPLYING
        self._time_to_live_ms = round(time_to_live_seconds * 1000)

    async def standings(self) -> dict[str, ShardState]:
        """See `mesh.leases.port.Leases`."""
        ((now_ms, flat),) = await _SHARD_STATES.run(self._client, redis.Call([self._key], []))
        shards: dict[str, dict[str, str]] = {}
        for field, value in zip(flat[::2], flat[1::2], strict=True):
            member, _, shard = field.decode(errors="replace").partition(":")
            shards.setdefault(shard, {})[member] = value.decode(errors="replace")
        return {shard: _shard_state(members, now_ms) for shard, members in shards.items()}

    async def acquire(self, shard: str, owner: str) -> Lease | None:
        """See `mesh.leases.port.Leases`."""
        return await self._take(shard, owner, "")

    async def steal(self, shard: str, owner: str, epoch: int) -> Lease | None:
        """See `mesh.leases.port.Leases`."""
        return await self._take(shard, owner, epoch)

    async def renew(self, lease: Lease) -> bool:
        """See `mesh.leases.port.Leases`."""
        return await self._update(lease)

    async def release(self, lease: Lease) -> None:
        """See `mesh.leases.port.Leases`."""
        await self._update(lease, "owner", "")

    async def save(self, lease: Lease, checkpoint: int, lag_seconds: float) -> None:
        """See `mesh.leases.port.Leases`."""
        # As texts: Lua's numbers would round a checkpoint.
        if not await self._update(lease, "checkpoint", str(checkpoint), "lag", f"{lag_seconds:.3f}", "trouble", ""):
            raise FailedPrecondition("LEASE_LOST", "Another process holds the shard.")

    async def complain(self, lease: Lease, trouble: str, lag_seconds: float | None = None) -> None:
        """See `mesh.leases.port.Leases`."""
        lag = () if lag_seconds is None else ("lag", f"{lag_seconds:.3f}")
        await self._update(lease, "trouble", trouble, *lag)

    async def checkpoint(self, shard: str) -> int:
        """See `mesh.leases.port.Leases`."""
        with redis.translating_errors():
            text: Any = await self._client.hget(self._key, f"checkpoint:{shard}")
        checkpoint = None if text is None else _checkpoint(text.decode(errors="replace"))
        # What was applied already is found out from the state (`mesh.errors.AlreadyApplied`).
        return BEGINNING if checkpoint is None else checkpoint

    async def _take(self, shard: str, owner: str, expected: int | str) -> Lease | None:
        epoch = await self._taken(shard, owner, expected)
        while epoch and self._has_fences:
            highest = await fences.raised(self._client, f"{self._stream}/{shard}", epoch)
            if highest <= epoch:
                break
            # The leases are behind the fences: they come from a backup, or their node lost its last writes.
            epoch = await self._taken(shard, owner, epoch, beyond=highest)
        return Lease(shard, owner, epoch) if epoch else None

    async def _taken(self, shard: str, owner: str, expected: int | str, beyond: int = 0) -> int:
        """Tries to take the shard; returns the epoch, or 0 on failure."""
        call = redis.Call([self._key], [shard, owner, self._time_to_live_ms, expected, beyond])
        (epoch,) = await _TAKE.run(self._client, call)
        return int(epoch)

    async def _update(self, lease: Lease, *members: str) -> bool:
        call = redis.Call([self._key], [lease.shard, lease.owner, lease.epoch, self._time_to_live_ms, *members])
        (is_held,) = await _UPDATE.run(self._client, call)
        return bool(is_held)


def _shard_state(members: dict[str, str], now_ms: Any) -> ShardState:  # noqa: ANN401 - an answer of a script
    """Parses the members of a shard. An invalid number counts as none, and is reported as the shard's trouble."""
    numbers = {name: _number(members.get(name, "0")) for name in ("since", "ends", "epoch", "lag")}
    checkpoint = _checkpoint(members.get("checkpoint", str(BEGINNING)))
    damaged = [name for name, number in (*numbers.items(), ("checkpoint", checkpoint)) if number is None]
    epoch = int(numbers["epoch"] or 0)
    if epoch > _EPOCH_MOST:
        epoch, damaged = 0, [*damaged, "epoch"]
    trouble = members.get("trouble", "")
    if damaged:
        trouble = f"The store holds a lease with a damaged {' and '.join(damaged)}."
    return ShardState(
        owner=members.get("owner", "") if (numbers["since"] or 0) <= now_ms < (numbers["ends"] or 0) else "",
        epoch=epoch,
        checkpoint=BEGINNING if checkpoint is None else checkpoint,
        lag_seconds=numbers["lag"] or 0.0,
        trouble=trouble,
    )


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _checkpoint(text: str) -> int | None:
    """Parses a checkpoint; None if invalid."""
    digits = text.removeprefix("-")
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MOST
    return int(text) if is_number and BEGINNING <= int(text) <= END else None
