"""The chain in memory: for tests."""

from collections.abc import Sequence

from services.access.audit.domain.entry import EMPTY, Head, Row
from services.access.audit.domain.verification import Page
from services.access.audit.ports import Answer, Kept


class MemoryChain:
    """Keeps the chain in a list. No step is interrupted, so each is atomic; acts stay known for ever."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._base = EMPTY
        self._acts: set[bytes] = set()
        self._secret: bytes | None = None

    async def append(self, before: Head, rows: Sequence[Row]) -> Answer:
        """See `services.access.audit.ports.Chain`."""
        known = frozenset(row.act_id for row in rows) & self._acts
        if known or await self.head() != before:
            return Answer(is_appended=False, head=await self.head(), known=known)
        self._rows += rows
        self._acts |= {row.act_id for row in rows}
        return Answer(is_appended=True, head=await self.head())

    async def head(self) -> Head:
        """See `services.access.audit.ports.Chain`."""
        return Head(self._rows[-1].sequence, self._rows[-1].hash) if self._rows else self._base

    async def read(self, after: int, most: int) -> Page:
        """See `services.access.audit.ports.Chain`."""
        begin = max(after - self._base.sequence, 0)
        rows = self._rows[begin : begin + most]
        known = self._rows[begin - 1 : begin] if begin else [self._base]
        return Page(
            [row.stored for row in rows],
            rows[0].sequence if rows else 0,
            known[0].hash if known else b"",
            await self.head(),
        )

    async def newest(self, before: int, most: int) -> Sequence[Kept]:
        """See `services.access.audit.ports.Chain`."""
        rows = [row for row in reversed(self._rows) if not before or row.sequence < before]
        return [Kept(row.sequence, row.stored, row.hash) for row in rows[:most]]

    async def drop(self, base: int, through: Head) -> bool:
        """See `services.access.audit.ports.Chain`."""
        if self._base.sequence != base:
            return False
        self._rows = [row for row in self._rows if row.sequence > through.sequence]
        self._base = through
        return True

    async def secret(self) -> bytes | None:
        """See `services.access.audit.ports.Chain`."""
        return self._secret

    async def keep_secret(self, proposed: bytes) -> bytes:
        """See `services.access.audit.ports.Chain`."""
        self._secret = self._secret or proposed
        return self._secret

    async def ping(self) -> None:
        """See `services.access.audit.ports.Chain`."""
