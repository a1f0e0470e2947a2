"""The clock as a value: taken once in a composition root, passed on, replaced in tests."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns the time in Unix microseconds."""


def monotonic_clock() -> int:
    """Microseconds since any moment, never set back: for durations, rates and back-off."""
    return time.monotonic_ns() // 1000


def system_clock() -> int:
    """The machine's time in Unix microseconds."""
    return time.time_ns() // 1000
