"""What is masked in whose events: what the mesh masks, and what tenants add to it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from records.tenants import SEPARATOR, tenant_of
from services.ingest.accept.domain.masking.kinds import Masking, folded
from services.ingest.accept.domain.masking.tables import CHANGED, Masked, mask_table
from services.ingest.events.domain.event import Table
from services.ingest.events.domain.tenants import Settings


class Maskings(NamedTuple):
    """The mesh's masking, and that of tenants who add to it."""

    usual: Masking
    own: Mapping[str, Masking] = {}

    def of(self, some_id: str) -> Masking:
        """What is masked in what belongs to an id's tenant."""
        return self.own.get(tenant_of(some_id), self.usual) if self.own else self.usual


def added(usual: Masking, settings: Settings) -> Maskings:
    """The mesh's masking with what was set for tenants added to it."""
    own = {
        tenant: Masking(usual.kinds | its.masked_kinds, usual.names.union(map(folded, its.masked_names)))
        for tenant, its in settings.items()
        if its.masked_kinds or its.masked_names
    }
    return Maskings(usual, own)


def mask_each(table: Table, maskings: Maskings) -> Masked:
    """Masks the events of a batch in place, each as its tenant's are; the tenant is that of the event's id."""
    parts = _parts(table.event_id, maskings)
    if len(parts) == 1:
        return mask_table(table, next(iter(parts)))
    masked = Masked([], {})
    for masking, rows in parts.items():
        part = table.take(rows)
        its = mask_table(part, masking)
        masked.kinds.extend(its.kinds)
        for row, members in its.members.items():
            masked.members[rows[row]] = members
        for name in CHANGED if its.kinds else ():
            for row, cell in zip(rows, part.columns.get(name, ()), strict=False):
                table.columns[name][row] = cell
    return masked


def _parts(ids: Sequence[str], maskings: Maskings) -> dict[Masking, Sequence[int]]:
    """The rows of each masking; all of them, if no tenant among them adds anything."""
    if not maskings.own or not any(each[:1] == SEPARATOR for each in ids):
        return {maskings.usual: range(len(ids))}
    parts: dict[Masking, list[int]] = {}
    for row, each in enumerate(ids):
        parts.setdefault(maskings.of(each), []).append(row)
    return {**parts}
