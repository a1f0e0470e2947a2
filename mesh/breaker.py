"""A circuit breaker: after several failures in a row it refuses all calls for a while, then admits a probe.

Times are seconds of a monotonic clock (the loop's), so that setting the wall clock cannot keep it open.
"""

import math


class Breaker:
    """Closed, open, or half open: then a single probe decides.

    A probe without a result counts as lost after another pause, so that a cancelled one does not block other calls.
    """

    def __init__(self, failure_limit: int, pause_seconds: float) -> None:
        self._failure_limit = failure_limit
        self._pause_seconds = pause_seconds
        self._failure_count = 0
        # Until when calls are refused; -inf while closed.
        self._shut_until = -math.inf

    def is_open(self, now: float) -> bool:
        """Whether calls are refused now."""
        return now < self._shut_until

    def admits(self, now: float) -> bool:
        """Whether the caller may call now. After a pause the first to be admitted is the probe; the others wait."""
        if now < self._shut_until:
            return False
        if self._shut_until > -math.inf:
            self._shut_until = now + self._pause_seconds
        return True

    def succeeded(self) -> None:
        """Records an answer, which closes the breaker."""
        self._failure_count = 0
        self._shut_until = -math.inf

    def failed(self, now: float) -> None:
        """Records a failure. If it was the last of the allowed ones in a row, or the probe's, a pause begins."""
        self._failure_count += 1
        if self._failure_count >= self._failure_limit:
            self._shut_until = now + self._pause_seconds

    def trip(self, now: float) -> None:
        """Opens the breaker at once, where another call would be of no use."""
        self._failure_count = self._failure_limit
        self._shut_until = now + self._pause_seconds
