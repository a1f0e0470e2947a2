"""Limits in Redis: a number per limit, which expires once the limit is full, under one hash tag."""

from collections.abc import Sequence
from typing import Final

from mesh.store import redis
from services.access.limits.domain.spending import Spent

# KEYS: the limits. ARGV: the time, then the cost for each limit. As `full_us` of the domain.
_SPEND: Final = redis.Script("""
local now, full_in = tonumber(ARGV[1]), {}
for i = 1, #KEYS do
  local cost = tonumber(ARGV[i + 1])
  local full = math.max(tonumber(redis.call('GET', KEYS[i]) or '0'), now) + cost
  if cost > 0 then
    redis.call('SET', KEYS[i], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
  end
  full_in[i] = string.format('%.0f', full - now)
end
return full_in
""")


class RedisLimits:
    """Keeps in Redis when limits are full."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def spend(self, spent: Sequence[Spent], now_us: int) -> Sequence[int]:
        """See `services.access.limits.ports.LimitStore`."""
        call = redis.Call(list(map(_key, spent)), [now_us, *(each.cost_us for each in spent)])
        (full_in,) = await _SPEND.run(self._client, call)
        return list(map(int, full_in))


def _key(spent: Spent) -> str:
    return f"jm:{{access}}:limit:{spent.per_second}:{spent.holder}"
