"""Fits in memory, for tests and for a mesh in one process. No step is interrupted, so each is atomic."""

from collections.abc import AsyncIterator, Mapping, Sequence

from mesh.errors import NotFound, ResourceExhausted
from records import tenants
from services.customers.domain.fit import Fit
from services.customers.domain.publishing import Published
from services.customers.ports import MOST_EXPORTED_BYTES, Exported, Standing

_NOBODY = Standing({}, {}, 0)


class MemoryFits:
    """Keeps fits in dictionaries."""

    def __init__(self) -> None:
        self._fits: dict[str, Fit] = {}
        self._standing: dict[str, Standing] = {}
        self._published: dict[str, dict[str, Published]] = {}
        self._exports: dict[str, Exported] = {}

    async def fit(self, tenant: str) -> Fit | None:
        """See `ports.FitStore`."""
        return self._fits.get(tenant)

    async def standing(self, tenant: str) -> Standing:
        """See `ports.FitStore`."""
        return self._standing.get(tenant, _NOBODY)

    async def replace(
        self, tenant: str, fit: Fit, members: Mapping[str, str], grouped: Mapping[str, str], seen: int
    ) -> bool:
        """See `ports.FitStore`."""
        if (await self.standing(tenant)).erasures != seen:
            return False
        self._fits[tenant] = fit
        self._standing[tenant] = Standing(dict(members), {}, seen, dict(grouped), {})
        return True

    async def members(self, tenant: str, segment: str, after: str, count: int) -> Sequence[str]:
        """See `ports.FitStore`."""
        members = (await self.standing(tenant)).members
        return sorted(name for name, each in members.items() if each == segment and name > after)[:count]

    async def segment(self, user_id: str) -> str:
        """See `ports.FitStore`."""
        return (await self.standing(tenants.tenant_of(user_id))).members.get(user_id, "")

    async def groups(self, tenant: str, user_ids: Sequence[str]) -> Sequence[str]:
        """See `ports.FitStore`."""
        grouped = (await self.standing(tenant)).grouped
        return [grouped.get(user_id, "") for user_id in user_ids]

    async def published(self, tenant: str, user_ids: Sequence[str]) -> Sequence[Published | None]:
        """See `ports.FitStore`."""
        kept = self._published.get(tenant, {})
        return [kept.get(user_id) for user_id in user_ids]

    async def publish(self, tenant: str, segment: str, published: Mapping[str, Published]) -> None:
        """See `ports.FitStore`."""
        members = (await self.standing(tenant)).members
        kept = self._published.setdefault(tenant, {})
        kept.update((name, each) for name, each in published.items() if members.get(name) == segment)

    async def departed(self, tenant: str) -> AsyncIterator[Mapping[str, Published]]:
        """See `ports.FitStore`."""
        members = (await self.standing(tenant)).members
        kept = self._published.get(tenant, {})
        for name in sorted(kept.keys() - members.keys()):
            yield {name: kept[name]}

    async def unpublish(self, tenant: str, user_ids: Sequence[str]) -> None:
        """See `ports.FitStore`."""
        for user_id in user_ids:
            self._published.get(tenant, {}).pop(user_id, None)

    async def erase(self, user_ids: Sequence[str]) -> None:
        """See `ports.FitStore`."""
        for user_id in user_ids:
            self.forget(user_id)

    def forget(self, user_id: str) -> None:
        """Takes a user out of their segment and group; forgets what was published of them, and the file they are in."""
        tenant = tenants.tenant_of(user_id)
        self._exports.pop(tenant, None)
        self._published.get(tenant, {}).pop(user_id, None)
        of = self._standing.get(tenant, _NOBODY)
        self._standing[tenant] = Standing(
            *_without(of.members, of.erased, user_id), of.erasures + 1, *_without(of.grouped, of.erased_groups, user_id)
        )

    async def erasures(self, tenant: str) -> int:
        """See `ports.FitStore`."""
        return (await self.standing(tenant)).erasures

    async def keep_export(self, tenant: str, exported: Exported, seen: int) -> bool:
        """See `ports.FitStore`."""
        pieces = [*exported.pieces]
        if sum(map(len, pieces)) > MOST_EXPORTED_BYTES:
            raise ResourceExhausted("EXPORT_TOO_LARGE", "The file is too large.")
        if await self.erasures(tenant) != seen:
            return False
        self._exports[tenant] = exported._replace(pieces=pieces)
        return True

    async def exported(self, tenant: str, job_id: str) -> int | None:
        """See `ports.FitStore`."""
        kept = self._exports.get(tenant)
        return kept.customers if kept and kept.job_id == job_id else None

    async def export(self, tenant: str, job_id: str) -> AsyncIterator[bytes]:
        """See `ports.FitStore`."""
        for number in range(len(self._pieces(tenant, job_id))):
            yield self._pieces(tenant, job_id)[number]

    def _pieces(self, tenant: str, job_id: str) -> Sequence[bytes]:
        kept = self._exports.get(tenant)
        if kept is None or kept.job_id != job_id:
            raise NotFound("EXPORT_NOT_FOUND", "This job has no file, or not any more.")
        return [*kept.pieces]


def _without(
    of: Mapping[str, str], erased: Mapping[str, int], user_id: str
) -> tuple[Mapping[str, str], Mapping[str, int]]:
    left, counts = dict(of), dict(erased)
    if name := left.pop(user_id, ""):
        counts[name] = counts.get(name, 0) + 1
    return left, counts
