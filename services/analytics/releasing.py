"""Notes once that a release of the mesh replaced another one, and tells of it as of other changes."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, NamedTuple

from mesh.errors import Unavailable, VersionMismatch
from services.analytics.domain import releases
from services.analytics.domain.changes import Change
from services.analytics.domain.releases import Start
from services.analytics.ports import Changes, ReleaseStore

_RETRY_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


async def note(store: ReleaseStore, start: Start, time_us: int) -> None:
    """Notes the start of this process, at a time in Unix microseconds; waits for as long as the store is away.

    It is one atomic step, so who is killed has noted all of it or nothing. What only a newer build can read stays as it
    is.
    """
    is_away = False
    while True:
        try:
            kept = await store.read()
            if await store.replace(releases.started(kept.releases, start, time_us), kept.changes):
                return
        except VersionMismatch as error:
            _log.warning("the start of this release is not noted: %s", error.detail)
            return
        except Unavailable as error:
            if not is_away:
                _log.warning("the start of this release is not noted yet: %s", error.detail)
            is_away = True
            await asyncio.sleep(_RETRY_SECONDS)


class AllChanges(NamedTuple):
    """What changed in the mesh, and when its releases did."""

    others: Changes
    store: ReleaseStore

    async def between(self, tenant: str, start_us: int, end_us: int) -> Sequence[Change]:
        """See `ports.Changes`; a release is one for all tenants."""
        changed = await self.others.between(tenant, start_us, end_us)
        known = (await self.store.read()).releases.changes
        return [*changed, *(each for each in known if start_us <= each.time_us < end_us)]
