"""Leases in memory: for tests."""

from typing import Any

from mesh.clock import SECOND_US, Clock
from mesh.errors import FailedPrecondition
from mesh.leases.port import Lease, ShardState
from mesh.stream.port import BEGINNING


class MemoryLeases:
    """Leases and checkpoints in dictionaries; an expired lease may be renewed until another takes the shard."""

    def __init__(self, clock: Clock, time_to_live_seconds: float = 10) -> None:
        self._clock = clock
        self._time_to_live_us = round(time_to_live_seconds * SECOND_US)
        self._standings: dict[str, ShardState] = {}
        self._prolonged_us: dict[str, int] = {}

    async def standings(self) -> dict[str, ShardState]:
        """See `mesh.leases.port.Leases`."""
        return {
            shard: standing if self._is_held(shard) else standing._replace(owner="")
            for shard, standing in self._standings.items()
        }

    async def acquire(self, shard: str, owner: str) -> Lease | None:
        """See `mesh.leases.port.Leases`."""
        if self._is_held(shard) and self._standing(shard).owner != owner:
            return None
        return self._take(shard, owner)

    async def steal(self, shard: str, owner: str, epoch: int) -> Lease | None:
        """See `mesh.leases.port.Leases`."""
        standing = self._standing(shard)
        if (standing.owner, standing.epoch) == (owner, epoch + 1):
            return Lease(shard, owner, standing.epoch)
        return self._take(shard, owner) if standing.epoch == epoch else None

    async def renew(self, lease: Lease) -> bool:
        """See `mesh.leases.port.Leases`."""
        return self._update(lease)

    async def release(self, lease: Lease) -> None:
        """See `mesh.leases.port.Leases`."""
        self._update(lease, owner="")

    async def save(self, lease: Lease, checkpoint: int, lag_seconds: float) -> None:
        """See `mesh.leases.port.Leases`."""
        if not self._update(lease, checkpoint=checkpoint, lag_seconds=lag_seconds, trouble=""):
            raise FailedPrecondition("LEASE_LOST", "Another process holds the shard.")

    async def complain(self, lease: Lease, trouble: str, lag_seconds: float | None = None) -> None:
        """See `mesh.leases.port.Leases`."""
        self._update(lease, trouble=trouble, **({} if lag_seconds is None else {"lag_seconds": lag_seconds}))

    async def checkpoint(self, shard: str) -> int:
        """See `mesh.leases.port.Leases`."""
        return self._standing(shard).checkpoint

    def _standing(self, shard: str) -> ShardState:
        return self._standings.get(shard, ShardState(checkpoint=BEGINNING))

    def _is_held(self, shard: str) -> bool:
        if not self._standing(shard).owner:
            return False
        return 0 <= self._clock() - self._prolonged_us[shard] < self._time_to_live_us

    def _take(self, shard: str, owner: str) -> Lease:
        standing = self._standing(shard)
        lease = Lease(shard, owner, standing.epoch + 1)
        self._standings[shard] = standing._replace(owner=owner, epoch=lease.epoch)
        self._prolonged_us[shard] = self._clock()
        return lease

    def _update(self, lease: Lease, **members: Any) -> bool:  # noqa: ANN401 - members of a standing
        standing = self._standing(lease.shard)
        if (standing.owner, standing.epoch) != (lease.owner, lease.epoch):
            return False
        self._standings[lease.shard] = standing._replace(**members)
        self._prolonged_us[lease.shard] = self._clock()
        return True
