"""Exports in memory: for tests. They do not expire."""

from collections.abc import Sequence

from services.ingest.export.domain import export as exports
from services.ingest.export.domain.export import Export, Part


class MemoryExports:
    """Exports in a dictionary, as bytes."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}
        self._parts: dict[str, dict[Part, bytes]] = {}

    async def create(self, export: Export) -> None:
        """See `services.ingest.export.ports.Exports`."""
        self._kept[export.id], self._parts[export.id] = exports.encode(export), {}

    async def save(self, export: Export, part: Part | None = None, packed: bytes = b"") -> None:
        """See `services.ingest.export.ports.Exports`."""
        if export.id in self._kept:
            self._kept[export.id] = exports.encode(export)
            if part is not None:
                self._parts[export.id][part] = packed

    async def find(self, export_id: str) -> Export | None:
        """See `services.ingest.export.ports.Exports`."""
        stored = self._kept.get(export_id)
        return None if stored is None else exports.decode(stored)

    async def all(self) -> list[Export]:
        """See `services.ingest.export.ports.Exports`."""
        return sorted(map(exports.decode, self._kept.values()), key=lambda each: (each.requested_us, each.id))

    async def parts(self, export_id: str) -> list[bytes]:
        """See `services.ingest.export.ports.Exports`."""
        return [*self._parts.get(export_id, {}).values()]

    async def remove(self, export_ids: Sequence[str]) -> None:
        """See `services.ingest.export.ports.Exports`."""
        for each in export_ids:
            self._kept.pop(each, None)
            self._parts.pop(each, None)
