"""The lease port: which process reads which shard, and up to which position.

Words
- A *consumer group* reads the whole stream, as the dispatchers or the archivers do. Its processes share the shards;
  each shard is held by one of them.
- A *lease* is the right to read a shard for a limited time. Its *epoch* grows each time the shard changes hands.
  Whoever writes on behalf of a shard shows the epoch as a fencing token, and any other than the current one is refused.
  So a process that has lost its lease without knowing it can write nothing, however late its clock is.
"""

from typing import Final, NamedTuple, Protocol

APPLYING: Final = "dispatcher"
"""The consumer group that writes state: every write shows the epoch of its lease."""


class Lease(NamedTuple):
    """A held shard."""

    shard: str
    owner: str
    epoch: int


class ShardState(NamedTuple):
    """The state of a shard for one consumer group."""

    owner: str = ""
    """Who holds it; empty if nobody does, or the lease has expired."""
    epoch: int = 0
    checkpoint: int = -1
    """As in `mesh.stream`: `BEGINNING` or `END` at the edges."""
    lag_seconds: float = 0.0
    """Age of the oldest waiting record when the holder last reported; 0 if none waited."""
    trouble: str = ""
    """Why the holder is stuck, in a sentence; empty if it is not."""


class Leases(Protocol):
    """Leases and checkpoints of one consumer group. A lease expires unless it is renewed in time."""

    async def standings(self) -> dict[str, ShardState]:
        """The state of every shard that was ever held or checkpointed, by the shard's name.

        Raises:
            Unavailable: the store cannot be reached.
        """

    async def acquire(self, shard: str, owner: str) -> Lease | None:
        """Takes a shard that is free or held by this owner, under a higher epoch. None if another process holds it."""

    async def steal(self, shard: str, owner: str, epoch: int) -> Lease | None:
        """Takes a shard from its holder, if its epoch is still `epoch`; None if not. A repeated call succeeds again."""

    async def renew(self, lease: Lease) -> bool:
        """Renews a lease; False if it was lost."""

    async def release(self, lease: Lease) -> None:
        """Frees a shard at once; no error if the lease was lost."""

    async def save(self, lease: Lease, checkpoint: int, lag_seconds: float) -> None:
        """Writes the checkpoint and renews the lease. Clears `trouble`.

        Raises:
            FailedPrecondition: `LEASE_LOST`; nothing is written.
            Unavailable: it may or may not be written; the call may be repeated.
        """

    async def complain(self, lease: Lease, trouble: str, lag_seconds: float | None = None) -> None:
        """Reports why the holder is stuck and, if known, its lag; no error if the lease was lost."""

    async def checkpoint(self, shard: str) -> int:
        """The checkpoint; `BEGINNING` without one."""
