"""Event ids and what belongs to them are kept by day, so that a whole day expires at once."""

from typing import Final

DAY_US: Final = 24 * 3600 * 1_000_000
"""A day in microseconds."""
KEPT_SECONDS: Final = 49 * 3600
"""How long a day's entries are kept from the last change: an id of its last moment for 24 hours, and one to spare."""


def day_of(time_us: int) -> int:
    """The UTC day of a time in Unix microseconds, counted from 1970."""
    return time_us // DAY_US
