"""The generic cell rate algorithm (ITU-T I.371), in the form that only counts: times are Unix microseconds.

A limit is one number: when it is full again. Spending a unit puts that time one second divided by the rate further
ahead. Whether a unit may be spent is decided by whoever spends it: if the time is nearer than the burst lasts.
"""

from typing import Final, NamedTuple

_SECOND_US: Final = 1_000_000
UNUSED: Final = 0
"""When a limit is full of which nothing was ever spent."""


class Spent(NamedTuple):
    """What was spent of one limit: whose it is, its rate in units per second, and how many units."""

    holder: str
    per_second: int
    units: int

    @property
    def cost_us(self) -> int:
        """How much later the limit is full, rounded up."""
        return -(-self.units * _SECOND_US // self.per_second)


def full_us(before_us: int, cost_us: int, now_us: int) -> int:
    """When a limit is full after a cost, if it was to be full at `before_us`."""
    return max(before_us, now_us) + cost_us
