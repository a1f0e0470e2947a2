"""The lease port: which process reads which shard, and how far it has come.

Words
- A *reader* is a purpose for which the stream is read, such as the dispatcher or the archiver. Its processes share the
  shards; each shard is held by one of them.
- A *lease* is the right to read a shard for a reader, for a limited time. Its *epoch* grows each time the shard changes
  hands. Whoever writes on behalf of a shard shows the epoch; who shows another than that of now is refused. So a
  process that has lost its lease and does not know it yet can write nothing, however late its clock is.
- A *standing* is what is known of a shard: holder, epoch, checkpoint, and how the holder gets on.
"""

from typing import Final, NamedTuple, Protocol

APPLYING: Final = "dispatcher"
"""The reader on whose behalf state is written: a write shows the epoch of its lease."""


class Lease(NamedTuple):
    """A held shard."""

    shard: str
    owner: str
    epoch: int


class Standing(NamedTuple):
    """What one reader knows of a shard."""

    owner: str = ""
    """Who holds it; empty where nobody does, or whose time has run out."""
    epoch: int = 0
    checkpoint: int = -1
    """As in `mesh.stream`: `BEGINNING` or `END` at the edges."""
    lag_seconds: float = 0.0
    """Age of the oldest record that waited when the holder last told; 0 where none did."""
    trouble: str = ""
    """Why the holder does not get on, in a sentence; empty where it does."""


class Leases(Protocol):
    """Leases and checkpoints of one reader. A lease ends by itself unless it is renewed within its time."""

    async def standings(self) -> dict[str, Standing]:
        """Every shard that was ever held or checkpointed."""

    async def acquire(self, shard: str, owner: str) -> Lease | None:
        """Takes a shard that is free, or was held by this owner; its epoch grows. None where another holds it."""

    async def steal(self, shard: str, owner: str, epoch: int) -> Lease | None:
        """Takes a shard from whoever holds it, if its epoch is still this one. None where it is not."""

    async def renew(self, lease: Lease) -> bool:
        """Prolongs a lease; False where it was lost."""

    async def release(self, lease: Lease) -> None:
        """Gives a shard back at once; no error if it was lost."""

    async def save(self, lease: Lease, checkpoint: int, lag_seconds: float) -> None:
        """Writes the checkpoint and prolongs the lease. Clears `trouble`.

        Raises:
            FailedPrecondition: `LEASE_LOST`; nothing is written.
            Unavailable: it may or may not be written; the call may be repeated.
        """

    async def complain(self, lease: Lease, trouble: str, lag_seconds: float | None = None) -> None:
        """Says why the holder does not get on and, where it knows, how late it is; no error if the lease was lost."""

    async def checkpoint(self, shard: str) -> int:
        """The checkpoint; `BEGINNING` where there is none."""
