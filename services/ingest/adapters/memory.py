"""Ingest's ports in memory: for tests."""

from collections.abc import Sequence

from mesh.errors import InvalidArgument
from services.ingest.domain.event import FailedEvent, Seen
from services.ingest.ports import Claim


class MemorySeenEvents:
    """Event ids in a dictionary, without end of life."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}

    async def find(self, ids: Sequence[str], now_us: int) -> list[Seen | None]:  # noqa: ARG002 - nothing ends here
        """See `ports.SeenEvents`."""
        return [self._seen.get(event_id) for event_id in ids]

    async def claim(self, claims: Sequence[Claim]) -> list[Seen]:
        """See `ports.SeenEvents`."""
        return [self._seen.setdefault(claim.event_id, claim.seen) for claim in claims]

    async def note(self, claims: Sequence[Claim]) -> None:
        """See `ports.SeenEvents`."""
        await self.claim(claims)


class MemoryFailedEvents:
    """Failed events in a dictionary, oldest first."""

    def __init__(self) -> None:
        self._failed: dict[str, FailedEvent] = {}

    async def add(self, failed: Sequence[FailedEvent]) -> None:
        """See `ports.FailedEvents`."""
        for one in failed:
            self._failed.pop(one.id, None)
            self._failed[one.id] = one

    async def find(self, ids: Sequence[str]) -> list[FailedEvent | None]:
        """See `ports.FailedEvents`."""
        return [self._failed.get(failed_id) for failed_id in ids]

    async def list(self, page_size: int, before: str) -> tuple[Sequence[FailedEvent], str]:
        """See `ports.FailedEvents`."""
        newest = list(reversed(self._failed.values()))
        if before and not before.isdigit():
            raise InvalidArgument("INVALID_PARAMETER", "The page token is not one that was given out.")
        start = int(before or 0)
        end = start + page_size
        return newest[start:end], str(end) if end < len(newest) else ""

    async def remove(self, failed_id: str) -> None:
        """See `ports.FailedEvents`."""
        self._failed.pop(failed_id, None)
