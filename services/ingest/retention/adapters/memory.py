"""Passes in memory: for tests."""


class MemoryPasses:
    """The last day in a variable."""

    def __init__(self) -> None:
        self._day: int | None = None

    async def last_day(self, today: int) -> int:
        """See `services.ingest.retention.ports.Passes`."""
        if self._day is None:
            self._day = today
        return self._day

    async def save(self, day: int) -> None:
        """See `services.ingest.retention.ports.Passes`."""
        self._day = max(day, self._day or 0)
