"""What the use cases need of the outside beside `mesh.state.StateStore`."""

from typing import Protocol


class Shards(Protocol):
    """Knows which shards have counts of videos, so that a reader can sum over them."""

    async def add(self, shard: str) -> None:
        """Notes a shard; one that is known stays so.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def all(self) -> list[str]:
        """The shards that were noted, ascending.

        Raises:
            Unavailable: the store cannot be reached.
        """
