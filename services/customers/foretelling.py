"""The use cases of what is foretold: fetch what was learnt and what a customer bought, foretell in the domain."""

import dataclasses
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

from mesh.errors import NotFound
from mesh.state import keyed
from mesh.state.port import StateStore
from records import tenants
from services.customers.domain import fit as fits
from services.customers.domain import history
from services.customers.domain.fit import Fit, Foretold, Place
from services.customers.domain.recommendations import Recommendation
from services.customers.domain.segments import SEGMENTS
from services.customers.ports import FitStore
from services.customers.states import PURCHASED

_RECOMMENDED_DAYS: Final = 30


@dataclasses.dataclass(frozen=True, slots=True)
class Foretelling:
    """Foretells what customers buy. All methods raise `Unavailable` if the store cannot be reached."""

    state: StateStore
    learnt: FitStore

    async def predictions(self, user_id: str, days: int, today: int) -> tuple[Fit | None, Foretold | None]:
        """What was learnt, and what it foretells of a user; None and None before anything was learnt.

        Raises:
            NotFound: `USER_NOT_FOUND`, the user has bought nothing, or gave all of it back.
        """
        found = history.history(await keyed.read(self.state, PURCHASED, user_id))
        if not fits.orders_of(found):
            raise NotFound("USER_NOT_FOUND", "This user has bought nothing, or gave all of it back.")
        fit = await self.learnt.fit(tenants.tenant_of(user_id))
        # The same customer gets the same draws, so that two answers of a day do not differ.
        seed = zlib.crc32(user_id.encode())
        return fit, fits.foretold(fit, found, today, days, seed) if fit else None

    async def export(self, tenant: str, job_id: str) -> AsyncIterator[bytes]:
        """The file of all customers that a job wrote, in pieces.

        Raises:
            NotFound: `EXPORT_NOT_FOUND`, it is not kept; also in the middle.
        """
        async for piece in self.learnt.export(tenant, job_id):
            yield piece

    async def recommendations(
        self, user_id: str, count: int, today: int
    ) -> tuple[Fit | None, Sequence[Recommendation]]:
        """What was learnt, and at most `count` products for a user, best first; none before anything was learnt."""
        fit = await self.learnt.fit(tenants.tenant_of(user_id))
        if not fit:
            return None, ()
        found = history.history(await keyed.read(self.state, PURCHASED, user_id))
        return fit, fits.recommended(fit, found, today, _RECOMMENDED_DAYS, count)

    async def places(
        self, tenant: str, user_ids: Sequence[str], today: int
    ) -> tuple[Fit | None, Sequence[Place | None]]:
        """What was learnt, and where each of some users belongs; None for who bought nothing, and before a fit."""
        fit = await self.learnt.fit(tenant)
        if not fit:
            return None, [None for _ in user_ids]
        await keyed.look(self.state, seen := keyed.Seen(PURCHASED, user_ids))
        return fit, [fits.place_of(fit, history.history(seen.states[user_id]), today) for user_id in user_ids]

    async def members(self, tenant: str, segment: str, after: str, count: int) -> tuple[Fit | None, Sequence[str]]:
        """What was learnt, and at most `count` customers of a segment by their ids, from behind `after` on.

        Raises:
            NotFound: `CUSTOMER_SEGMENT_NOT_FOUND`, no segment has this name.
        """
        require_segment(segment)
        fit = await self.learnt.fit(tenant)
        return fit, await self.learnt.members(tenant, segment, after, count) if fit else ()


def require_segment(name: str) -> None:
    """Returns if there is a segment of this name.

    Raises:
        NotFound: `CUSTOMER_SEGMENT_NOT_FOUND`.
    """
    if name not in SEGMENTS:
        raise NotFound("CUSTOMER_SEGMENT_NOT_FOUND", f"The segments are {', '.join(SEGMENTS)}.")
