"""Tells the audit log which policies were put in force: each once, whichever process did it, and however late.

Decisions never wait for this. What cannot be recorded now is recorded later, with the time it began to decide.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from mesh.errors import MeshError
from services.intervention.policy.ports import AuditLog, Mark, PolicyStore

_LOOK_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Recording:
    """Follows the policies of a store.

    Args:
        store: where policies are kept.
        mark: how many of them are recorded.
        audit: where they are recorded.
        clock: the time in Unix microseconds.
    """

    def __init__(self, store: PolicyStore, mark: Mark, audit: AuditLog, clock: Callable[[], int]) -> None:
        self._store = store
        self._mark = mark
        self._audit = audit
        self._clock = clock
        self._recorded = -1

    async def catch_up(self) -> None:
        """Records the policies that are not recorded yet, the oldest first.

        Raises:
            MeshError: the store or the audit log cannot be reached; the call may be repeated.
        """
        if await self._store.count() == self._recorded:
            return
        kept, first = await self._store.all(), await self._mark.read()
        for number, dated in enumerate(kept[first:], first):
            await self._audit.record(number, dated.version or f"{dated.tenant}/", dated.start_us or self._clock())
            await self._mark.write(number + 1)
        self._recorded = len(kept)

    async def run(self) -> None:
        """Does so every second, without end.

        Raises:
            CancelledError: it is to end.
        """
        is_away = False
        while True:
            try:
                await self.catch_up()
                is_away = False
            except MeshError as error:
                if not is_away:
                    _log.warning("a change of the policy is not in the audit log yet: %s", error.detail)
                is_away = True
            await asyncio.sleep(_LOOK_SECONDS)
