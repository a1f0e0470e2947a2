"""State in memory: for tests, and for replays that need no store."""

from collections.abc import Callable, Mapping, Sequence

from mesh.state.applied import Fence
from mesh.state.port import stale


class MemoryState:
    """Keeps values in a dictionary for good.

    `epoch_of` returns the epoch of a shard's lease, named as in a fence; without it every fence is accepted.
    """

    def __init__(self, epoch_of: Callable[[str], int] | None = None) -> None:
        self._values: dict[str, bytes] = {}
        self._epoch_of = epoch_of

    async def load(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `mesh.state.port.StateStore`."""
        return [self._values.get(key) for key in keys]

    async def save(self, items: Mapping[str, bytes], fence: Fence | None) -> None:
        """See `mesh.state.port.StateStore`."""
        if fence is not None and self._epoch_of is not None and fence.epoch != self._epoch_of(fence.shard):
            raise stale()
        self._values.update(items)

    async def renew(self, keys: Sequence[str]) -> None:
        """See `mesh.state.port.StateStore`. Nothing expires here."""

    async def delete(self, keys: Sequence[str]) -> None:
        """See `mesh.state.port.StateStore`."""
        for key in keys:
            self._values.pop(key, None)

    async def ping(self) -> None:
        """See `mesh.state.port.StateStore`."""


class MemoryShards:
    """Keeps shards in a set."""

    def __init__(self) -> None:
        self._shards: set[str] = set()

    async def add(self, shard: str) -> None:
        """See `mesh.state.port.Shards`."""
        self._shards.add(shard)

    async def all(self) -> list[str]:
        """See `mesh.state.port.Shards`."""
        return sorted(self._shards)
