"""The use cases of the customers service: fetch through ports, apply in the domain, record through ports."""

import dataclasses
from collections.abc import Sequence

from mesh.errors import NotFound
from mesh.state import erasing, exporting, keyed
from mesh.state.applied import Batch
from mesh.state.port import StateStore
from records import tenants
from services.customers.domain import fit, history
from services.customers.domain.history import Bought, Purchased
from services.customers.domain.traits import Declared, declare
from services.customers.ports import FitStore
from services.customers.states import PURCHASED


@dataclasses.dataclass(frozen=True, slots=True)
class Purchases:
    """Applies purchases and refunds, and reads customers."""

    state: StateStore
    learnt: FitStore

    async def apply(self, batch: Batch, rows: Sequence[tuple[str, Bought | Declared]]) -> None:
        """Applies what users bought and gave back, and what was declared of them."""
        customers = keyed.Changed(PURCHASED, [user_id for user_id, _ in rows])
        async with keyed.batch(self.state, batch, customers):
            for user_id, said in rows:
                if isinstance(said, Bought):
                    history.add(customers.states[user_id], said)
                else:
                    declare(customers.states[user_id].traits, said)

    async def customer(self, user_id: str) -> Purchased:
        """What a user bought.

        Raises:
            NotFound: `USER_NOT_FOUND`, the user has bought nothing.
            Unavailable: the store cannot be reached.
        """
        found = await keyed.read(self.state, PURCHASED, user_id)
        if not found.entries:
            raise NotFound("USER_NOT_FOUND", "This user has bought nothing.")
        return found

    async def place(self, user_id: str, bought: Purchased, today: int) -> fit.Place | None:
        """Where a user belongs who bought this; None before a fit, and if all was given back.

        Raises:
            Unavailable: the store cannot be reached, or only a newer version can read the fit.
        """
        learnt = await self.learnt.fit(tenants.tenant_of(user_id))
        return fit.place_of(learnt, history.history(bought), today) if learnt else None

    async def kept(self, user_ids: Sequence[str]) -> dict[str, int]:
        """How many entries are kept of a person with these ids, by store."""
        return {
            "customers.purchases": await erasing.count(self.state, [*map(PURCHASED.key, user_ids)]),
            "customers.segments": len(await self._segments(user_ids)),
        }

    async def erase(self, user_ids: Sequence[str]) -> None:
        """Erases what is kept of a person with these ids. May be repeated.

        Raises:
            Unavailable: some may be erased.
        """
        await erasing.erase(self.state, [*map(PURCHASED.key, user_ids)])
        await self.learnt.erase(user_ids)

    async def export(self, user_ids: Sequence[str]) -> list[exporting.Record]:
        """All that is kept of a person with these ids.

        Raises:
            ResourceExhausted: `EXPORT_TOO_LARGE`.
            Unavailable: the store cannot be reached.
        """
        bought = await exporting.states(self.state, "customers.purchases", PURCHASED, user_ids)
        segments = [exporting.record("customers.segments", each) for each in await self._segments(user_ids)]
        return exporting.bounded([*bought, *segments])

    async def _segments(self, user_ids: Sequence[str]) -> list[dict[str, object]]:
        """Where users are and what was published of them, of those of whom either is kept."""
        found = list[dict[str, object]]()
        for user_id in user_ids:
            tenant = tenants.tenant_of(user_id)
            segment = await self.learnt.segment(user_id)
            (group,) = await self.learnt.groups(tenant, [user_id])
            (published,) = await self.learnt.published(tenant, [user_id])
            if segment or published:
                told = published._asdict() if published else None
                found.append({"user_id": user_id, "segment": segment, "group": group, "published": told})
        return found
