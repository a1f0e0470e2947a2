"""What ingest needs of the world, in its own words."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from services.ingest.domain.event import Event, FailedEvent, Place, Seen


class Claim(NamedTuple):
    """An event id and where its event stands."""

    event_id: str
    seen: Seen


class EventLog(Protocol):
    """The stream, as a writer of events."""

    async def append(self, events: Sequence[Event]) -> list[Place]:
        """Appends events, a user's in their order, and returns where each stands once the stream has them all.

        Raises:
            ResourceExhausted: `BUFFER_FULL`; nothing was appended.
            Unavailable: some MAY have been appended; a repeated call appends them again.
        """


class SeenEvents(Protocol):
    """The event ids of the last 24 to 48 hours, by received time."""

    async def find(self, ids: Sequence[str], now_us: int) -> list[Seen | None]:
        """What is remembered of each id, in the order asked; None where nothing is."""

    async def claim(self, claims: Sequence[Claim]) -> list[Seen]:
        """Remembers each event unless its id is remembered already, and returns what is remembered then.

        The first claim of an id wins and MUST win for good, whoever claims at the same time: whether an event is
        applied hangs on it. Claiming the same place again changes nothing. In the order of the claims.
        """

    async def note(self, claims: Sequence[Claim]) -> None:
        """Remembers events that `find` did not know a moment ago, unless they are remembered by now.

        As `claim`, for who need not know the outcome. It MAY overlook a copy of the day before or after; then `find`
        tells the older one.
        """


class FailedEvents(Protocol):
    """What could not be accepted or applied: the latest 10,000, for at most 7 days."""

    async def add(self, failed: Sequence[FailedEvent]) -> None:
        """Keeps failed events; one with the same id is replaced."""

    async def find(self, ids: Sequence[str]) -> list[FailedEvent | None]:
        """The failed events with these ids, in the order asked."""

    async def list(self, page_size: int, before: str) -> tuple[Sequence[FailedEvent], str]:
        """Failed events, newest first, and where the next page begins; an empty text begins at the newest and ends.

        Raises:
            InvalidArgument: `INVALID_PARAMETER`, the text is not one this port gave out.
        """

    async def remove(self, failed_id: str) -> None:
        """Forgets a failed event; no error if there is none."""


class Progress(Protocol):
    """How far the dispatcher has come."""

    async def checkpoint(self, shard: str) -> int:
        """The sequence number up to which everything in the shard is applied."""
