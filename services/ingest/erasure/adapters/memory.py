"""Erasures in memory: for tests."""

from services.ingest.erasure.domain import erasure as erasures
from services.ingest.erasure.domain.erasure import Archived, Erasure, Step


class MemoryErasures:
    """Erasures in a dictionary, as bytes. Everybody has the turn."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}
        self._archived: dict[str, bytes] = {}

    async def save(self, erasure: Erasure) -> None:
        """See `services.ingest.erasure.ports.Erasures`."""
        self._kept[erasure.id] = erasures.encode(erasure)

    async def find(self, erasure_id: str) -> Erasure | None:
        """See `services.ingest.erasure.ports.Erasures`."""
        stored = self._kept.get(erasure_id)
        return None if stored is None else erasures.decode(stored)

    async def unfinished(self) -> list[Erasure]:
        """See `services.ingest.erasure.ports.Erasures`."""
        kept = map(erasures.decode, self._kept.values())
        return sorted((each for each in kept if each.step is not Step.DONE), key=lambda each: each.requested_us)

    async def archived(self, erasure_id: str) -> Archived:
        """See `services.ingest.erasure.ports.Erasures`."""
        stored = self._archived.get(erasure_id)
        return Archived() if stored is None else erasures.decode_archived(stored)

    async def save_archived(self, erasure_id: str, archived: Archived) -> None:
        """See `services.ingest.erasure.ports.Erasures`."""
        self._archived[erasure_id] = erasures.encode_archived(archived)

    async def take_turn(self, work: str, owner: str, seconds: int) -> bool:  # noqa: ARG002 - there is one process
        """See `services.ingest.erasure.ports.Erasures`."""
        return True
