"""What models cost, counted in memory: for tests, and where no model is set up."""

from services.intervention.language.domain.budget import NOTHING, Amount, fits


class MemorySpending:
    """Keeps counts forever."""

    def __init__(self) -> None:
        self._days: dict[int, Amount] = {}

    async def reserve(self, day: int, wanted: Amount, limits: Amount) -> bool:
        """See `services.intervention.language.ports.Spending`."""
        if not fits(self._days.get(day, NOTHING), wanted, limits):
            return False
        await self.settle(day, wanted)
        return True

    async def settle(self, day: int, difference: Amount) -> None:
        """See `services.intervention.language.ports.Spending`."""
        spent = self._days.get(day, NOTHING)
        self._days[day] = Amount(spent.tokens + difference.tokens, spent.nano_usd + difference.nano_usd)

    async def spent(self, *days: int) -> list[Amount]:
        """See `services.intervention.language.ports.Spending`."""
        return [self._days.get(day, NOTHING) for day in days]
