"""Counts how much of something is taken, in total, by each taker and for each tenant, and keeps all within limits."""

import enum
from typing import Final

from records.tenants import DEFAULT

ALL: Final = 100
"""The share, in percent, with which one taker may take everything."""


class Exhausted(enum.Enum):
    """Which limit is reached: that of the total, that of the taker's own share, or that of the taker's tenant."""

    TOTAL = enum.auto()
    SHARE = enum.auto()
    TENANT = enum.auto()


class Shares:
    """What is taken, by whom and for which tenant. Who has given everything back is forgotten.

    The default tenant may take everything, and so may all others unless `most_of_tenant` is given.
    """

    def __init__(self, most: int, most_of_one: int, most_of_tenant: int | None = None) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._most_of_tenant = most if most_of_tenant is None else most_of_tenant
        self._taken_by: dict[str, int] = {}
        self._taken_for: dict[str, int] = {}
        self.taken = 0

    def take(self, taker: str | None, amount: int = 1, tenant: str = DEFAULT) -> Exhausted | None:
        """Takes an amount, for a taker or for nobody in particular; if it cannot, returns why and takes nothing."""
        if self.taken + amount > self._most:
            return Exhausted.TOTAL
        if taker is not None and self._taken_by.get(taker, 0) + amount > self._most_of_one:
            return Exhausted.SHARE
        if tenant != DEFAULT and self._taken_for.get(tenant, 0) + amount > self._most_of_tenant:
            return Exhausted.TENANT
        self._count(taker, amount, tenant)
        return None

    def give_back(self, taker: str | None, amount: int = 1, tenant: str = DEFAULT) -> None:
        """Gives back what was taken."""
        self._count(taker, -amount, tenant)

    def _count(self, taker: str | None, amount: int, tenant: str) -> None:
        self.taken += amount
        if taker is not None:
            _add(self._taken_by, taker, amount)
        if tenant != DEFAULT:
            _add(self._taken_for, tenant, amount)

    def __len__(self) -> int:
        """The number of takers."""
        return len(self._taken_by)


def _add(amounts: dict[str, int], name: str, amount: int) -> None:
    total = amounts.get(name, 0) + amount
    if total:
        amounts[name] = total
    else:
        amounts.pop(name, None)


def share(most: int, percent: int, least: int = 1) -> int:
    """A percentage of a limit, rounded up, but not less than `least`."""
    return max(least, -(-most * percent // ALL))
