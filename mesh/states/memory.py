"""State in memory: for tests and for replays that need no store."""

from collections.abc import Mapping, Sequence


class MemoryState:
    """Keeps values in a dictionary, without end of life."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    async def load(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `mesh.state.StateStore`."""
        return [self._values.get(key) for key in keys]

    async def save(self, items: Mapping[str, bytes]) -> None:
        """See `mesh.state.StateStore`."""
        self._values.update(items)

    async def ping(self) -> None:
        """See `mesh.state.StateStore`."""
