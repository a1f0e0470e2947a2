"""The ports of accepting events in memory: for tests. Nothing expires."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from services.ingest.accept.domain import skew
from services.ingest.accept.domain.skew import Skew


class MemoryDuplicates:
    """Counts in a dictionary."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    async def add(self, ids: Sequence[str], now_us: int) -> None:  # noqa: ARG002 - nothing ends here
        """See `ports.Duplicates`."""
        self._counts.update(ids)

    async def count(self, event_id: str, now_us: int) -> int:  # noqa: ARG002 - nothing ends here
        """See `ports.Duplicates`."""
        return self._counts[event_id]


class MemorySkews:
    """Clocks in a dictionary."""

    def __init__(self) -> None:
        self._skews: dict[str, Skew] = {}

    async def find(self, devices: Sequence[str]) -> dict[str, Skew]:
        """See `ports.Skews`."""
        return {device: self._skews[device] for device in devices if device in self._skews}

    async def of_users(self, user_ids: Collection[str]) -> list[str]:
        """See `ports.Skews`."""
        return [device for device in self._skews if skew.user_of(device) in user_ids]

    async def forget(self, devices: Sequence[str]) -> None:
        """See `ports.Skews`."""
        for device in devices:
            self._skews.pop(device, None)

    async def keep(self, skews: Mapping[str, Skew]) -> None:
        """See `ports.Skews`."""
        self._skews.update(skews)


class MemoryIdentities:
    """Links in a dictionary."""

    def __init__(self) -> None:
        self._links: dict[str, str] = {}

    async def find(self, anonymous_ids: Sequence[str], now_us: int) -> dict[str, str]:  # noqa: ARG002 - nothing ends
        """See `ports.Identities`."""
        return {one: self._links[one] for one in anonymous_ids if one in self._links}

    async def link(self, links: Mapping[str, str]) -> None:
        """See `ports.Identities`."""
        self._links.update(links)

    async def scan(self) -> AsyncIterator[Mapping[str, str]]:
        """See `ports.Identities`."""
        yield dict(self._links)

    async def unlink(self, anonymous_ids: Sequence[str]) -> None:
        """See `ports.Identities`."""
        for anonymous_id in anonymous_ids:
            self._links.pop(anonymous_id, None)
