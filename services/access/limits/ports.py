"""What the use case of limits needs from the outside."""

from collections.abc import Sequence
from typing import Protocol

from services.access.limits.domain.spending import Spent


class LimitStore(Protocol):
    """Keeps when each limit is full again, by holder and rate. A limit that is full may be forgotten."""

    async def spend(self, spent: Sequence[Spent], now_us: int) -> Sequence[int]:
        """Spends units, all in one atomic step; returns after how many microseconds each limit is full, in their order.

        Spending 0 units changes nothing. A limit MAY be passed twice; it is then spent twice. Callers' clocks may
        differ a little: that moves what may be spent at once, not the rate.

        Raises:
            Unavailable: the store cannot be reached; the units may or may not be spent.
        """
