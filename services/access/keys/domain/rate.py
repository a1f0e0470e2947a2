"""How much a key or a tenant may send and ask for.

It is counted in units: an event costs one, and so does any other request.
"""

from typing import Final, NamedTuple

from services.access.keys.domain.refusal import Cause, Refusal

HIGHEST: Final = 1_000_000
"""Units per second."""
LONGEST_BURST_SECONDS: Final = 3_600
_USUAL_BURST_SECONDS: Final = 2
USUAL_BURST: Final = 0
"""The burst of whoever names none."""


class Rate(NamedTuple):
    """Units per second in the long run, and units at once after a pause: at least those of a second."""

    per_second: int
    burst: int = USUAL_BURST


def checked(asked: Rate | None) -> Rate | None:
    """The rate that was asked for, with its burst; None stays None.

    Raises:
        Refusal: it is out of range.
    """
    if asked is None:
        return None
    if not 1 <= asked.per_second <= HIGHEST:
        raise Refusal(Cause.OUT_OF_RANGE, f"A rate is 1 to {HIGHEST:,} units per second.")
    if asked.burst == USUAL_BURST:
        return Rate(asked.per_second, _USUAL_BURST_SECONDS * asked.per_second)
    if not asked.per_second <= asked.burst <= LONGEST_BURST_SECONDS * asked.per_second:
        raise Refusal(Cause.OUT_OF_RANGE, "A burst is what the rate allows in one second to one hour.")
    return asked
