"""Passes in Redis.

jm:retention:day   string: the last day whose pass over the archive is done, counted from 1970
"""

from typing import Final

from mesh.store import redis

_DAY: Final = "jm:retention:day"
# KEYS: the day. ARGV: a day, and whether it takes the place of an earlier one. Gives the day that is kept.
_KEEP: Final = redis.Script("""
local day = redis.call('GET', KEYS[1])
if not day or (ARGV[2] == '1' and tonumber(day) < tonumber(ARGV[1])) then
  day = ARGV[1]
  redis.call('SET', KEYS[1], day)
end
return tonumber(day)
""")


class RedisPasses:
    """The last day as a number, which never expires."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def last_day(self, today: int) -> int:
        """See `services.ingest.retention.ports.Passes`."""
        return await self._keep(today, is_later=False)

    async def save(self, day: int) -> None:
        """See `services.ingest.retention.ports.Passes`."""
        await self._keep(day, is_later=True)

    async def _keep(self, day: int, *, is_later: bool) -> int:
        (kept,) = await _KEEP.run(self._client, redis.Call([_DAY], [day, int(is_later)]))
        return int(kept)
