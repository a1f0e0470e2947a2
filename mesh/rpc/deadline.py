"""Deadlines: no call without one, and none begun that cannot be finished.

A caller that dials with `channel.dial` sets a deadline on every unary call. A server reserves `MARGIN_SECONDS` to
respond, and refuses a call with less time left.
"""

from typing import Final

from mesh.errors import DeadlineExceeded

MARGIN_SECONDS: Final = 0.005
DEFAULT_SECONDS: Final = 5.0


def require(remaining_seconds: float | None) -> None:
    """Returns if there is time left to work.

    Raises:
        DeadlineExceeded: there is not.
    """
    if remaining_seconds is not None and remaining_seconds < MARGIN_SECONDS:
        raise DeadlineExceeded("DEADLINE_TOO_SHORT", "The deadline is too near to begin.")
