"""Times as they are typed."""

import datetime as dt
from typing import Final

EVER_US: Final = 1 << 62
"""After every received time."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def moment_us(text: str) -> int:
    """Unix microseconds of a time in ISO 8601; UTC where it names no zone.

    Raises:
        ValueError: it is none.
    """
    at = dt.datetime.fromisoformat(text)
    at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
    return (at - _EPOCH) // dt.timedelta(microseconds=1)
