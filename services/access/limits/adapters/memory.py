"""Limits in memory: for tests."""

from collections.abc import Sequence

from services.access.limits.domain.spending import UNUSED, Spent, full_us


class MemoryLimits:
    """Keeps in a dictionary when limits are full. No step is interrupted, so each is atomic."""

    def __init__(self) -> None:
        self._full_us: dict[tuple[str, int], int] = {}

    async def spend(self, spent: Sequence[Spent], now_us: int) -> Sequence[int]:
        """See `services.access.limits.ports.LimitStore`."""
        return [self._spend(each, now_us) for each in spent]

    def _spend(self, spent: Spent, now_us: int) -> int:
        limit = (spent.holder, spent.per_second)
        after_us = full_us(self._full_us.get(limit, UNUSED), spent.cost_us, now_us)
        if spent.units:
            self._full_us[limit] = after_us
        return after_us - now_us
