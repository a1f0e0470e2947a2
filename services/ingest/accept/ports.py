"""What accepting events needs, beside the ports of `events`."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from mesh.leases.port import ShardState
from services.ingest.accept.domain.skew import Skew


class Duplicates(Protocol):
    """How often events were sent again, for as long as their ids are remembered."""

    async def add(self, ids: Sequence[str], now_us: int) -> None:
        """Adds one per id; an id that is passed twice counts twice."""

    async def count(self, event_id: str, now_us: int) -> int:
        """How often the event was sent again."""


class Skews(Protocol):
    """What is known of the clocks of devices, for 49 hours after it was kept."""

    async def find(self, devices: Sequence[str]) -> dict[str, Skew]:
        """What is known of these devices; unknown ones are missing."""

    async def of_users(self, user_ids: Collection[str]) -> list[str]:
        """The devices of these users. It looks at all devices: they have no index."""

    async def forget(self, devices: Sequence[str]) -> None:
        """Forgets the clocks of devices; unknown ones are ignored."""

    async def keep(self, skews: Mapping[str, Skew]) -> None:
        """Replaces what is known. If two processes keep the same device at once, one wins."""


class Identities(Protocol):
    """Who anonymous ids turned out to be, and when, as `domain.holders` writes it; for 30 days after the last use."""

    async def find(self, anonymous_ids: Sequence[str], now_us: int) -> dict[str, str]:
        """What is kept of these; unknown ones are missing. Finding counts as use."""

    async def link(self, links: Mapping[str, str]) -> None:
        """Replaces what is known of anonymous ids."""

    def scan(self) -> AsyncIterator[Mapping[str, str]]:
        """All that is kept, in portions; an anonymous id may come twice."""

    async def unlink(self, anonymous_ids: Sequence[str]) -> None:
        """Forgets what is known of anonymous ids; unknown ones are ignored."""


class Progress(Protocol):
    """How far the dispatcher has come."""

    async def checkpoint(self, shard: str) -> int:
        """The sequence number up to which everything in the shard is applied."""

    def lag_seconds(self) -> float | None:
        """The lag of the dispatcher in its slowest shard, in seconds, as of at most two seconds ago, or None.

        None if nobody dispatches, if it is catching up, as after an outage, or if it is not known. Does not wait: a
        reading older than a quarter of a second is renewed in the background.
        """

    def is_full(self) -> bool:
        """Whether the list of failed events is full, as of at most two seconds ago. Does not wait."""

    def full_tenants(self) -> frozenset[str]:
        """The tenants that have their share of that list, as of at most two seconds ago. Does not wait."""


class ShardStanding(NamedTuple):
    """How far a consumer has come on a shard."""

    consumer: str
    shard: str
    standing: ShardState


class Pipeline(Protocol):
    """The consumers of the stream."""

    async def standings(self) -> list[ShardStanding]:
        """How far each has come, by consumer and shard."""
