"""Reports that wait to be told: in memory, and in a sorted set of Redis."""

from collections.abc import Sequence
from typing import Final, cast

import msgspec

from mesh.store import redis
from records.tenants import qualified
from services.intervention.lift.domain.report import Report

MOST: Final = 100_000
"""Reports that wait; more come only once some are told."""
_KEY: Final = "jm:intervention:reports"
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Report).decode
# KEYS: the sorted set. ARGV: how many it may hold, then score and member of each report.
_ADD: Final = redis.Script("""
local left, refused = tonumber(ARGV[1]) - redis.call('ZCARD', KEYS[1]), 0
for i = 2, #ARGV, 2 do
  if left > 0 then left = left - redis.call('ZADD', KEYS[1], 'NX', ARGV[i], ARGV[i + 1])
  elseif not redis.call('ZSCORE', KEYS[1], ARGV[i + 1]) then refused = refused + 1 end
end
return refused
""")


class NoReports:
    """Keeps nothing: for replays."""

    async def add(self, reports: Sequence[Report]) -> int:  # noqa: ARG002 - the port's
        """See `services.intervention.lift.ports.Reports`."""
        return 0

    async def first(self, count: int) -> Sequence[Report]:  # noqa: ARG002 - the port's
        """See `services.intervention.lift.ports.Reports`."""
        return ()

    async def remove(self, reports: Sequence[Report]) -> None:
        """See `services.intervention.lift.ports.Reports`."""

    async def of_users(self, user_ids: Sequence[str]) -> Sequence[Report]:  # noqa: ARG002 - the port's
        """See `services.intervention.lift.ports.Reports`."""
        return ()


class MemoryReports:
    """Keeps reports in memory: for tests."""

    def __init__(self, most: int = MOST) -> None:
        self._reports: dict[Report, None] = {}
        self._most = most

    async def add(self, reports: Sequence[Report]) -> int:
        """See `services.intervention.lift.ports.Reports`."""
        refused = 0
        for each in reports:
            if each in self._reports or len(self._reports) < self._most:
                self._reports[each] = None
            else:
                refused += 1
        return refused

    async def first(self, count: int) -> Sequence[Report]:
        """See `services.intervention.lift.ports.Reports`."""
        return sorted(self._reports, key=_rank)[:count]

    async def remove(self, reports: Sequence[Report]) -> None:
        """See `services.intervention.lift.ports.Reports`."""
        for each in reports:
            self._reports.pop(each, None)

    async def of_users(self, user_ids: Sequence[str]) -> Sequence[Report]:
        """See `services.intervention.lift.ports.Reports`."""
        return [each for each in self._reports if _user_id(each) in user_ids]


class RedisReports:
    """Keeps reports in Redis, under one key: they are few, and told within seconds."""

    def __init__(self, client: redis.Client, most: int = MOST) -> None:
        self._client = client
        self._most = most

    async def add(self, reports: Sequence[Report]) -> int:
        """See `services.intervention.lift.ports.Reports`."""
        if not reports:
            return 0
        members = [part for each in reports for part in (_rank(each), _ENCODE(each))]
        (refused,) = await _ADD.run(self._client, redis.Call([_KEY], [self._most, *members]))
        return int(refused)

    async def first(self, count: int) -> Sequence[Report]:
        """See `services.intervention.lift.ports.Reports`."""
        with redis.translating_errors():
            blobs = cast("list[bytes]", await self._client.zrange(_KEY, 0, count - 1))
        return [_DECODE(each) for each in blobs]

    async def remove(self, reports: Sequence[Report]) -> None:
        """See `services.intervention.lift.ports.Reports`."""
        if reports:
            with redis.translating_errors():
                await self._client.zrem(_KEY, *map(_ENCODE, reports))

    async def of_users(self, user_ids: Sequence[str]) -> Sequence[Report]:
        """See `services.intervention.lift.ports.Reports`."""
        return [each for each in await self.first(self._most) if _user_id(each) in user_ids]


def _rank(report: Report) -> int:
    return 0 if report.arm else 1


def _user_id(report: Report) -> str:
    return qualified(report.tenant, report.unit)
