"""The state port: one opaque value a key, read and written in batches."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from mesh.applied import Fence
from mesh.errors import FailedPrecondition


class StateStore(Protocol):
    """Keeps values by key. Adapters stand in `mesh.states`; all pass one conformance suite.

    A batch is one command to the store, or on a cluster one per partition, whatever its size. Keys are any text; values
    any bytes, empty ones included.
    """

    async def load(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values in the order of the keys; None where a key has none. No keys, no call, an empty list.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def save(self, items: Mapping[str, bytes], fence: Fence | None) -> None:
        """Writes all items and renews their lifetime.

        After a crash either all items of a partition (`mesh.redis.partition`) are there or none; on a single server and
        in memory all items or none. On a cluster some partitions may be written and others not: a caller must be able
        to repeat the batch from what then stands there, as `mesh.applied` does (`docs/adr/045`).

        Without a fence, where no shard stands behind the write, the last writer wins.

        Raises:
            FailedPrecondition: `POSITION_STALE`, the epoch is not that of the shard's lease; nothing is written. On a
                cluster, where the shard is given away meanwhile, some partitions may have been written before.
            Unavailable: the store cannot be reached; the items may or may not be written, the call may be repeated.
        """

    async def renew(self, keys: Sequence[str]) -> None:
        """Renews the lifetime of values without writing them; of those that are not there nothing is done.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def ping(self) -> None:
        """Returns if the store answers.

        Raises:
            Unavailable: it does not.
        """


def stale() -> FailedPrecondition:
    """What an adapter raises where the epoch is not that of the lease."""
    return FailedPrecondition("POSITION_STALE", "The lease shown is not the one under which the shard is held.")


class Shards(Protocol):
    """Knows for which shards something is kept, so that a reader can sum over them."""

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
