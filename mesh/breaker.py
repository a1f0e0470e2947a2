"""A circuit breaker: after several failures in a row nobody asks for a while, then one asks for all.

Times are seconds of a clock that only goes forward (the loop's), so that no correction of the wall clock keeps it open.
"""

import math


class Breaker:
    """Closed, open, or half open, where a single probe decides.

    A probe of which nothing is heard is given up after another pause, so that one who was cancelled blocks nobody.
    """

    def __init__(self, failure_limit: int, pause_seconds: float) -> None:
        self._failure_limit = failure_limit
        self._pause_seconds = pause_seconds
        self._failure_count = 0
        # Until when nobody may ask; -inf while closed.
        self._shut_until = -math.inf

    def is_open(self, now: float) -> bool:
        """Whether nobody may ask now."""
        return now < self._shut_until

    def admits(self, now: float) -> bool:
        """Whether the caller may ask now. After a pause the first who is told yes is the probe, the others wait."""
        if now < self._shut_until:
            return False
        if self._shut_until > -math.inf:
            self._shut_until = now + self._pause_seconds
        return True

    def succeeded(self) -> None:
        """An answer came: all may ask."""
        self._failure_count = 0
        self._shut_until = -math.inf

    def failed(self, now: float) -> None:
        """No answer came. As the last of so many in a row, or as the probe's, it begins a pause."""
        self._failure_count += 1
        if self._failure_count >= self._failure_limit:
            self._shut_until = now + self._pause_seconds

    def trip(self, now: float) -> None:
        """Asking again is of no use: a pause begins at once."""
        self._failure_count = self._failure_limit
        self._shut_until = now + self._pause_seconds
