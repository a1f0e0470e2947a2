"""The known shards in memory: for tests and for replays that need no store."""


class MemoryShards:
    """Keeps shards in a set."""

    def __init__(self) -> None:
        self._shards: set[str] = set()

    async def add(self, shard: str) -> None:
        """See `services.video.ports.Shards`."""
        self._shards.add(shard)

    async def all(self) -> list[str]:
        """See `services.video.ports.Shards`."""
        return sorted(self._shards)
