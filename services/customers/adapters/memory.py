"""Fits in memory, for tests and for a mesh in one process. No step is interrupted, so each is atomic."""

from collections.abc import Mapping, Sequence

from records import tenants
from services.customers.domain.fit import Fit
from services.customers.ports import Standing

_NOBODY = Standing({}, {}, 0)


class MemoryFits:
    """Keeps fits in dictionaries."""

    def __init__(self) -> None:
        self._fits: dict[str, Fit] = {}
        self._standing: dict[str, Standing] = {}

    async def fit(self, tenant: str) -> Fit | None:
        """See `ports.FitStore`."""
        return self._fits.get(tenant)

    async def standing(self, tenant: str) -> Standing:
        """See `ports.FitStore`."""
        return self._standing.get(tenant, _NOBODY)

    async def replace(self, tenant: str, fit: Fit, members: Mapping[str, str], seen: int) -> bool:
        """See `ports.FitStore`."""
        if (await self.standing(tenant)).erasures != seen:
            return False
        self._fits[tenant] = fit
        self._standing[tenant] = Standing(dict(members), {}, seen)
        return True

    async def members(self, tenant: str, segment: str, after: str, count: int) -> Sequence[str]:
        """See `ports.FitStore`."""
        members = (await self.standing(tenant)).members
        return sorted(name for name, each in members.items() if each == segment and name > after)[:count]

    async def segment(self, user_id: str) -> str:
        """See `ports.FitStore`."""
        return (await self.standing(tenants.tenant_of(user_id))).members.get(user_id, "")

    async def erase(self, user_ids: Sequence[str]) -> None:
        """See `ports.FitStore`."""
        for user_id in user_ids:
            self.forget(user_id)

    def forget(self, user_id: str) -> None:
        """Takes a user out of their segment."""
        tenant = tenants.tenant_of(user_id)
        members, erased, count = self._standing.get(tenant, _NOBODY)
        left = {name: each for name, each in members.items() if name != user_id}
        counts = dict(erased)
        if segment := members.get(user_id):
            counts[segment] = counts.get(segment, 0) + 1
        self._standing[tenant] = Standing(left, counts, count + 1)
