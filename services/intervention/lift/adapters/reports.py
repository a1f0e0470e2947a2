"""Reports that wait to be told: in memory, and in a sorted set of Redis."""

from collections.abc import Collection, Sequence
from typing import Final, cast

import msgspec

from mesh.errors import VersionMismatch
from mesh.store import redis
from mesh.stored import readable
from records.tenants import qualified
from services.intervention.lift.domain.report import Report, apart, kind
from services.intervention.lift.ports import Waiting

MOST: Final = 100_000
"""Reports that wait; more come only once some are told. Half of them at most are of who is there (`STAYED`)."""
_KEY: Final = "jm:intervention:reports"
_VERSION: Final = 1


class _Packed(msgspec.Struct, array_like=True):
    """What is stored; a report grows at its end."""

    version: int
    report: Report


class _Version(msgspec.Struct, array_like=True):
    version: int


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(_Packed).decode
_DECODE_VERSION: Final = msgspec.msgpack.Decoder(_Version).decode
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

    async def first(self, count: int) -> Waiting:  # noqa: ARG002 - the port's
        """See `services.intervention.lift.ports.Reports`."""
        return {}

    async def remove(self, names: Collection[bytes]) -> None:
        """See `services.intervention.lift.ports.Reports`."""

    async def of_users(self, user_ids: Sequence[str]) -> Waiting:  # noqa: ARG002 - the port's
        """See `services.intervention.lift.ports.Reports`."""
        return {}


class MemoryReports:
    """Keeps reports in memory: for tests."""

    def __init__(self, most: int = MOST) -> None:
        self._reports: dict[bytes, Report] = {}
        self._most = most

    async def add(self, reports: Sequence[Report]) -> int:
        """See `services.intervention.lift.ports.Reports`."""
        refused = 0
        for most, some in _by_room(reports, self._most):
            for each in some:
                if (name := _encoded(each)) in self._reports or len(self._reports) < most:
                    self._reports[name] = each
                else:
                    refused += 1
        return refused

    async def first(self, count: int) -> Waiting:
        """See `services.intervention.lift.ports.Reports`."""
        return dict(sorted(self._reports.items(), key=lambda each: _rank(each[1]))[:count])

    async def remove(self, names: Collection[bytes]) -> None:
        """See `services.intervention.lift.ports.Reports`."""
        for each in names:
            self._reports.pop(each, None)

    async def of_users(self, user_ids: Sequence[str]) -> Waiting:
        """See `services.intervention.lift.ports.Reports`."""
        return {name: each for name, each in self._reports.items() if _user_id(each) in user_ids}


class RedisReports:
    """Keeps reports in Redis, under one key: they are few, and told within seconds."""

    def __init__(self, client: redis.Client, most: int = MOST) -> None:
        self._client = client
        self._most = most

    async def add(self, reports: Sequence[Report]) -> int:
        """See `services.intervention.lift.ports.Reports`."""
        if not reports:
            return 0
        calls = [
            redis.Call([_KEY], [most, *(part for each in some for part in (_rank(each), _encoded(each)))])
            for most, some in _by_room(reports, self._most)
            if some
        ]
        return sum(map(int, await _ADD.run(self._client, *calls)))

    async def first(self, count: int) -> Waiting:
        """See `services.intervention.lift.ports.Reports`."""
        return {blob: each for blob, each in (await self._read(count)).items() if each is not None}

    async def remove(self, names: Collection[bytes]) -> None:
        """See `services.intervention.lift.ports.Reports`."""
        if names:
            with redis.translating_errors():
                await self._client.zrem(_KEY, *names)

    async def of_users(self, user_ids: Sequence[str]) -> Waiting:
        """See `services.intervention.lift.ports.Reports`."""
        found = await self._read(self._most)
        if None in found.values():
            raise VersionMismatch("A report to experiments was stored by a newer version of the service.")
        return {blob: each for blob, each in found.items() if each is not None and _user_id(each) in user_ids}

    async def _read(self, count: int) -> dict[bytes, Report | None]:
        """The first reports; None is one that only a newer version can read. Those that nobody can read are removed.

        Nobody could say any more whose they are, nor erase them.
        """
        with redis.translating_errors():
            blobs = cast("list[bytes]", await self._client.zrange(_KEY, 0, count - 1))
        found = readable("A report to experiments", blobs, _decoded)
        await self.remove([each for each in blobs if each not in found])
        return found


def _by_room(reports: Sequence[Report], most: int) -> list[tuple[int, list[Report]]]:
    """Reports, with how many there may be in all: who is there leaves room for what comes once."""
    once, there = apart(reports)
    return [(most, once), (most // 2, there)]


def _encoded(report: Report) -> bytes:
    return _ENCODE(_Packed(_VERSION, report))


def _decoded(blob: bytes) -> Report | None:
    return _DECODE(blob).report if _DECODE_VERSION(blob).version <= _VERSION else None


def _rank(report: Report) -> int:
    return int(kind(report))


def _user_id(report: Report) -> str:
    return qualified(report.tenant, report.unit)
