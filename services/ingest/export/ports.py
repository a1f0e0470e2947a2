"""What exporting needs, beside the ports of `erasure` and `events`. They raise `Unavailable` where nobody answers."""

from collections.abc import Sequence
from typing import Protocol

from mesh.state.exporting import Record
from services.ingest.export.domain.export import Export, Part


class Exports(Protocol):
    """Keeps exports for `KEPT_SECONDS` after they were asked for."""

    async def create(self, export: Export) -> None:
        """Keeps a new export."""

    async def save(self, export: Export, part: Part | None = None, packed: bytes = b"") -> None:
        """Keeps an export in place of the one with its id, and with it a part of its data.

        Nothing is kept of one that was removed or has expired.
        """

    async def find(self, export_id: str) -> Export | None:
        """The export with this id, None if there is none."""

    async def all(self) -> list[Export]:
        """All exports, the oldest first."""

    async def parts(self, export_id: str) -> list[bytes]:
        """The parts of an export's data that are kept."""

    async def remove(self, export_ids: Sequence[str]) -> None:
        """Removes exports with their data; unknown ones are ignored."""


class Source(Protocol):
    """Somebody who keeps something of people."""

    async def export(self, user_ids: Sequence[str]) -> Sequence[Record]:
        """All that is kept of a person with these ids.

        Raises:
            ResourceExhausted: `EXPORT_TOO_LARGE`.
        """
