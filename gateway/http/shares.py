"""How much of something is taken: in all, and by each who takes it. Neither goes beyond its bound."""

import enum
from typing import Final

ALL: Final = 100
"""The share, in percent, by which one may take all there is."""


class Lack(enum.Enum):
    """Why no more may be taken: there is no more for anybody, or none for who asks."""

    FOR_ALL = enum.auto()
    FOR_ONE = enum.auto()


class Shares:
    """Counts what is taken by whom; who has given everything back is forgotten."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._taken_by: dict[str, int] = {}
        self.taken = 0

    def take(self, one: str | None, amount: int = 1) -> Lack | None:
        """Takes an amount for one, or for nobody in particular; tells why not, and takes nothing then."""
        if self.taken + amount > self._most:
            return Lack.FOR_ALL
        if one is not None:
            own = self._taken_by.get(one, 0) + amount
            if own > self._most_of_one:
                return Lack.FOR_ONE
            self._taken_by[one] = own
        self.taken += amount
        return None

    def give_back(self, one: str | None, amount: int = 1) -> None:
        """Gives back what was taken for one."""
        self.taken -= amount
        if one is None:
            return
        left = self._taken_by[one] - amount
        if left:
            self._taken_by[one] = left
        else:
            del self._taken_by[one]

    def __len__(self) -> int:
        """How many have something."""
        return len(self._taken_by)


def share(most: int, percent: int, least: int = 1) -> int:
    """So many percent of a bound, rounded up; at least so much."""
    return max(least, -(-most * percent // ALL))
