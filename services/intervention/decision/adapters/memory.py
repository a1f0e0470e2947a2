"""The ledger in memory: for tests and for replays that need no store."""

from collections.abc import AsyncIterator, Sequence

from services.intervention.decision.ports import KEPT_REFERENCES, Entry, Reference


class MemoryLedger:
    """Keeps blocks forever, and one generation of names."""

    def __init__(self) -> None:
        self._blocks: dict[Reference, bytes] = {}
        self._names: dict[tuple[str, str], list[int]] = {}

    async def record(self, entries: Sequence[Entry]) -> None:
        """See `services.intervention.decision.ports.Ledger`."""
        for entry in entries:
            self._blocks[Reference(entry.shard, entry.sequence)] = entry.block
            for name in entry.names:
                sequences = self._names.setdefault((entry.shard, name), [])
                if not sequences or sequences[-1] < entry.sequence:
                    sequences.append(entry.sequence)
                    del sequences[:-KEPT_REFERENCES]

    async def blocks(self, references: Sequence[Reference]) -> list[bytes | None]:
        """See `services.intervention.decision.ports.Ledger`."""
        return [self._blocks.get(each) for each in references]

    async def references(self) -> AsyncIterator[Sequence[Reference]]:
        """See `services.intervention.decision.ports.Ledger`."""
        yield list(self._blocks)

    async def rewrite(self, reference: Reference, before: bytes, after: bytes) -> bool:
        """See `services.intervention.decision.ports.Ledger`."""
        if self._blocks.get(reference) != before:
            return False
        self._blocks[reference] = after
        return True

    async def forget(self, names: Sequence[str]) -> None:
        """See `services.intervention.decision.ports.Ledger`."""
        self._names = {of: kept for of, kept in self._names.items() if of[1] not in names}

    async def find(self, name: str) -> list[list[Reference]]:
        """See `services.intervention.decision.ports.Ledger`."""
        named = [(shard, sequences) for (shard, each), sequences in self._names.items() if each == name]
        found = [Reference(shard, sequence) for shard, sequences in named for sequence in sequences]
        return [found] if found else []
