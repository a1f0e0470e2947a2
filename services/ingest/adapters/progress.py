"""How far the dispatcher has come, read from its checkpoints."""

from mesh.stream import Checkpoints


class CheckpointProgress:
    """The dispatcher's progress, read from its checkpoints."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints

    async def checkpoint(self, shard: str) -> int:
        """See `ports.Progress`."""
        return await self._checkpoints.load(shard)
