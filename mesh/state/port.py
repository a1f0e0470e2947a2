"""The state port: one opaque value per key, read and written in batches."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from mesh.errors import FailedPrecondition
from mesh.state.applied import Fence


class StateStore(Protocol):
    """Keeps values by key. Its adapters, in `mesh.state`, all pass one conformance suite.

    A batch is one command to the store, or on a cluster one per partition, whatever its size. Keys are any text, values
    any bytes, including none.
    """

    async def load(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values in the order of the keys; None where a key has none. Without keys the store is not called.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def save(self, items: Mapping[str, bytes], fence: Fence | None) -> None:
        """Writes all items and renews their lifetime.

        After a crash all items of a partition (`mesh.store.redis.partition`) are there or none; on a single server
        and in memory all items or none. On a cluster some partitions may be written and others not: the caller must be
        able to repeat the batch on top of that, as `mesh.state.applied` does (`docs/adr/045`).

        Without a fence, as when the write is not on behalf of a shard, the last writer wins.

        Raises:
            FailedPrecondition: `POSITION_STALE`, the epoch is not that of the shard's lease; nothing is written. On a
                cluster some partitions may have been written, if the shard changed hands meanwhile.
            Unavailable: the store cannot be reached; the items may or may not be written, the call may be repeated.
        """

    async def renew(self, keys: Sequence[str]) -> None:
        """Renews the lifetime of values without writing them; ignores missing keys.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def delete(self, keys: Sequence[str]) -> None:
        """Deletes values for good, whoever holds their shard; ignores missing keys.

        Raises:
            Unavailable: the store cannot be reached; some may be deleted, the call may be repeated.
        """

    async def ping(self) -> None:
        """Returns if the store answers.

        Raises:
            Unavailable: it does not.
        """


def stale() -> FailedPrecondition:
    """The error of an adapter if the epoch is not that of the lease."""
    return FailedPrecondition("POSITION_STALE", "The lease shown is not the one under which the shard is held.")


class Shards(Protocol):
    """The shards for which something is kept, so that their values can be summed."""

    async def add(self, shard: str) -> None:
        """Adds a shard, unless it is known.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def all(self) -> list[str]:
        """All shards added, ascending.

        Raises:
            Unavailable: the store cannot be reached.
        """
