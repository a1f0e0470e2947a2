"""The use case of limits: gateways spend, the store adds up."""

import dataclasses
from collections.abc import Sequence
from typing import Final

from mesh.clock import Clock
from services.access.limits.domain.spending import Spent
from services.access.limits.ports import LimitStore

MOST_SPENT: Final = 10_000
"""Limits in one report."""


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """Adds up what gateways spend of each limit."""

    store: LimitStore
    clock: Clock

    async def spend(self, spent: Sequence[Spent]) -> Sequence[int]:
        """Spends units; returns after how many microseconds each limit is full, in the order of those spent.

        Raises:
            Unavailable: the store cannot be reached; the units may or may not be spent.
        """
        return await self.store.spend(spent, self.clock()) if spent else []
