"""How far the readers of the stream have come, read from their leases."""

import asyncio
from collections.abc import Mapping
from typing import Final

from mesh.clock import Clock
from mesh.errors import MeshError
from mesh.leases import Leases
from services.ingest.accept.ports import ShardStanding
from services.ingest.events.ports import FailedEvents

_FRESH_US: Final = 250_000
_KNOWN_US: Final = 2_000_000
_COMPARED_US: Final = 1_000_000


class LeaseProgress:
    """The dispatcher's progress. What it is late by is read in the background, at most four times a second.

    Its clock is monotonic: one that is set back would keep it from reading, and from forgetting what it knows.
    """

    def __init__(self, leases: Leases, failed: FailedEvents, monotonic: Clock) -> None:
        self._leases = leases
        self._failed = failed
        self._monotonic = monotonic
        self._is_full = False
        self._lag_seconds: float | None = None
        self._read_us = -_KNOWN_US
        self._since_us = -_KNOWN_US
        """When it was read first, of the readings that follow closely on one another."""
        self._before = (-_KNOWN_US, 0.0)
        """What it was late by, and when: about a second before the last reading."""
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

    async def _read(self) -> None:
        try:
            standings = await self._leases.standings()
            self._is_full = not await self._failed.has_room(1)
        except MeshError:
            return  # what is known grows old and is no longer told
        now_us = self._monotonic()
        # A shard that waits for a service is not overloaded: what comes meanwhile the buffer takes up.
        lags = [each.lag_seconds for each in standings.values() if each.owner and not each.trouble]
        lag_seconds = max(lags, default=0.0)
        if now_us - self._read_us > _KNOWN_US:
            self._since_us, self._before = now_us, (now_us, lag_seconds)
        before_us, before_seconds = self._before
        if now_us - before_us >= _COMPARED_US:
            self._before = now_us, lag_seconds
        # What a first reading finds may be what was left by an outage, and be gone already.
        is_comparable = now_us - self._since_us >= _COMPARED_US
        self._lag_seconds = lag_seconds if lags and is_comparable and lag_seconds >= before_seconds else None
        self._read_us = now_us


class LeasePipeline:
    """The readers of the stream by name, each with its leases."""

    def __init__(self, readers: Mapping[str, Leases]) -> None:
        self._readers = readers

    async def standings(self) -> list[ShardStanding]:
        """See `ports.Pipeline`."""
        read = await asyncio.gather(*(leases.standings() for leases in self._readers.values()))
        return [
            ShardStanding(reader, shard, standing)
            for reader, standings in sorted(zip(self._readers, read, strict=True))
            for shard, standing in sorted(standings.items())
        ]
