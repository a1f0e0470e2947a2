"""The clock as a value: taken once in a composition root, passed on, replaced in tests."""

import time
from collections.abc import Callable
from typing import Final

LATEST_US: Final = 1 << 53
"""The latest valid time, in Unix microseconds: in the year 2255. Up to here a time is exact as a JSON number, and it
and the times derived from it fit a date."""

SECOND_US: Final = 1_000_000
"""A second in microseconds; the domain, which imports nothing, has its own."""

Clock = Callable[[], int]
"""Returns the time in Unix microseconds."""


def monotonic_clock() -> int:
    """Microseconds since some moment, never set back: for durations, rates and back-off."""
    return time.monotonic_ns() // 1000


def system_clock() -> int:
    """The machine's time in Unix microseconds."""
    return time.time_ns() // 1000
