"""How far the consumers of the stream have come, read from their leases."""

import asyncio
from collections.abc import Mapping
from typing import Final

from mesh.clock import Clock
from mesh.errors import MeshError
from mesh.leases.port import Leases
from services.ingest.accept.ports import ShardStanding
from services.ingest.events.ports import FailedEvents

_FRESH_US: Final = 250_000
_KNOWN_US: Final = 2_000_000
_COMPARED_US: Final = 1_000_000


class LeaseProgress:
    """The dispatcher's progress. Its lag is read in the background, at most four times per second.

    The clock is monotonic: one that is set back would stop both the reading and the expiry of what was read.
    """

    def __init__(self, leases: Leases, failed: FailedEvents, monotonic: Clock) -> None:
        self._leases = leases
        self._failed = failed
        self._monotonic = monotonic
        self._is_full = False
        self._full_tenants: frozenset[str] = frozenset()
        self._lag_seconds: float | None = None
        self._read_us = -_KNOWN_US
        self._since_us = -_KNOWN_US
        """When the current run of uninterrupted readings began."""
        self._before = (-_KNOWN_US, 0.0)
        """Time and lag of a reading about a second before the last one."""
        self._asked_us = -_FRESH_US
        self._reading: asyncio.Task[None] | None = None

    async def checkpoint(self, shard: str) -> int:
        """See `ports.Progress`."""
        return await self._leases.checkpoint(shard)

    def lag_seconds(self) -> float | None:
        """See `ports.Progress`."""
        now_us = self._monotonic()
        if now_us - self._asked_us >= _FRESH_US and (self._reading is None or self._reading.done()):
            self._asked_us = now_us
            self._reading = asyncio.create_task(self._read())
        return self._lag_seconds if now_us - self._read_us <= _KNOWN_US else None

    def is_full(self) -> bool:
        """See `ports.Progress`."""
        return self._is_full

    def full_tenants(self) -> frozenset[str]:
        """See `ports.Progress`."""
        return self._full_tenants

    async def _read(self) -> None:
        try:
            standings = await self._leases.standings()
            self._is_full = not await self._failed.has_room(1)
            self._full_tenants = await self._failed.full_tenants()
        except MeshError:
            return  # what is known ages and expires
        now_us = self._monotonic()
        # A shard that waits for a service is not overloaded: the stream buffers what arrives meanwhile.
        lags = [each.lag_seconds for each in standings.values() if each.owner and not each.trouble]
        lag_seconds = max(lags, default=0.0)
        if now_us - self._read_us > _KNOWN_US:
            self._since_us, self._before = now_us, (now_us, lag_seconds)
        before_us, before_seconds = self._before
        if now_us - before_us >= _COMPARED_US:
            self._before = now_us, lag_seconds
        # A first reading may find the backlog of an outage that has been worked off already.
        is_comparable = now_us - self._since_us >= _COMPARED_US
        self._lag_seconds = lag_seconds if lags and is_comparable and lag_seconds >= before_seconds else None
        self._read_us = now_us


class LeasePipeline:
    """The consumers of the stream by name, each with its leases."""

    def __init__(self, consumers: Mapping[str, Leases]) -> None:
        self._consumers = consumers

    async def standings(self) -> list[ShardStanding]:
        """See `ports.Pipeline`."""
        read = await asyncio.gather(*(leases.standings() for leases in self._consumers.values()))
        return [
            ShardStanding(consumer, shard, standing)
            for consumer, standings in sorted(zip(self._consumers, read, strict=True))
            for shard, standing in sorted(standings.items())
        ]
