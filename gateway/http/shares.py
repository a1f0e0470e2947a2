"""Counts how much of something is taken, in total and by each taker, and keeps both within their limits."""

import enum
from typing import Final

ALL: Final = 100
"""The share, in percent, with which one taker may take everything."""


class Exhausted(enum.Enum):
    """Which limit is reached: that of the total, or that of the taker's own share."""

    TOTAL = enum.auto()
    SHARE = enum.auto()


class Shares:
    """What is taken, by whom. Takers who have given everything back are forgotten."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._taken_by: dict[str, int] = {}
        self.taken = 0

    def take(self, taker: str | None, amount: int = 1) -> Exhausted | None:
        """Takes an amount, for a taker or for nobody in particular; if it cannot, returns why and takes nothing."""
        if self.taken + amount > self._most:
            return Exhausted.TOTAL
        if taker is not None:
            own = self._taken_by.get(taker, 0) + amount
            if own > self._most_of_one:
                return Exhausted.SHARE
            self._taken_by[taker] = own
        self.taken += amount
        return None

    def give_back(self, taker: str | None, amount: int = 1) -> None:
        """Gives back what was taken."""
        self.taken -= amount
        if taker is None:
            return
        left = self._taken_by[taker] - amount
        if left:
            self._taken_by[taker] = left
        else:
            del self._taken_by[taker]

    def __len__(self) -> int:
        """The number of takers."""
        return len(self._taken_by)


def share(most: int, percent: int, least: int = 1) -> int:
    """A percentage of a limit, rounded up, but not less than `least`."""
    return max(least, -(-most * percent // ALL))
