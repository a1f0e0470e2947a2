"""What models cost, counted in Redis for all replicas: `jm:intervention:{<tenant>}:spent:<day>`, a hash a day."""

from typing import Final, cast

from mesh.store import redis
from services.intervention.language.domain.budget import MOST_DAYS, Amount

_TOKENS: Final = "tokens"
_MONEY: Final = "nano_usd"
# By the server's clock, so that a process whose clock is wrong takes nothing away from the others.
_LIFETIME_SECONDS: Final = (MOST_DAYS + 2) * 86_400

# KEYS: the day. ARGV: tokens, money, their limits (0: none), lifetime.
_ADD: Final = redis.Script("""
local spent = redis.call('HMGET', KEYS[1], 'tokens', 'nano_usd')
for i = 1, 2 do
  local limit = tonumber(ARGV[i + 2])
  if limit > 0 and tonumber(spent[i] or 0) + tonumber(ARGV[i]) > limit then return 0 end
end
redis.call('HINCRBY', KEYS[1], 'tokens', ARGV[1])
redis.call('HINCRBY', KEYS[1], 'nano_usd', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
""")
_NO_LIMITS: Final = Amount(0, 0)


class RedisSpending:
    """Counts for one tenant, for some days."""

    def __init__(self, client: redis.Client, tenant: str) -> None:
        self._client = client
        self._prefix = f"jm:intervention:{{{tenant}}}:spent:"

    async def reserve(self, day: int, wanted: Amount, limits: Amount) -> bool:
        """See `services.intervention.language.ports.Spending`."""
        call = redis.Call([f"{self._prefix}{day}"], [*wanted, *limits, _LIFETIME_SECONDS])
        (is_reserved,) = await _ADD.run(self._client, call)
        return bool(is_reserved)

    async def settle(self, day: int, difference: Amount) -> None:
        """See `services.intervention.language.ports.Spending`."""
        await self.reserve(day, difference, _NO_LIMITS)

    async def spent(self, *days: int) -> list[Amount]:
        """See `services.intervention.language.ports.Spending`."""
        with redis.translating_errors():
            async with self._client.pipeline(transaction=False) as pipeline:
                for day in days:
                    pipeline.hmget(f"{self._prefix}{day}", [_TOKENS, _MONEY])
                found = cast("list[list[bytes | None]]", await pipeline.execute())
        return [Amount(int(tokens or 0), int(nano_usd or 0)) for tokens, nano_usd in found]
