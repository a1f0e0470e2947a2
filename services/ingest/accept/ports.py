"""What accepting events needs of the world, beside the ports of `events`."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from mesh.leases import Standing
from services.ingest.accept.domain.skew import Skew


class Duplicates(Protocol):
    """How often events were sent again, for as long as their ids are remembered."""

    async def add(self, ids: Sequence[str], now_us: int) -> None:
        """Counts one more for each id; one that stands twice counts twice."""

    async def count(self, event_id: str, now_us: int) -> int:
        """How often the event was sent again."""


class Skews(Protocol):
    """What is known of the clocks of devices, for 49 hours after it was kept."""

    async def find(self, devices: Sequence[str]) -> dict[str, Skew]:
        """What is known of these devices; without those of which nothing is."""

    async def keep(self, skews: Mapping[str, Skew]) -> None:
        """Replaces what is known. Of two processes that keep the same device at once one wins."""


class Identities(Protocol):
    """Who anonymous ids turned out to be, and when, for 30 days after the last use: as `domain.holders` writes it."""

    async def find(self, anonymous_ids: Sequence[str], now_us: int) -> dict[str, str]:
        """What is kept of these; without those of which nothing is. Finding is use."""

    async def link(self, links: Mapping[str, str]) -> None:
        """Keeps what is known of anonymous ids, in place of what was."""


class Progress(Protocol):
    """How far the dispatcher has come."""

    async def checkpoint(self, shard: str) -> int:
        """The sequence number up to which everything in the shard is applied."""

    def lag_seconds(self) -> float | None:
        """How late the dispatcher is in its slowest shard, as of at most two seconds ago, or None.

        None where nobody dispatches, where it is catching up, as after an outage, or where it is not known. Does not
        wait: it begins to find out where what it knows is older than a quarter of a second.
        """

    def is_full(self) -> bool:
        """Whether as many accepted events are set aside as may be, as of at most two seconds ago. Does not wait."""


class ShardStanding(NamedTuple):
    """How far a reader has come on a shard."""

    reader: str
    shard: str
    standing: Standing


class Pipeline(Protocol):
    """The readers of the stream."""

    async def standings(self) -> list[ShardStanding]:
        """How far each has come, by reader and shard."""
