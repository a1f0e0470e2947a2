"""How much may be under way at once: requests, and the bytes of their bodies. Beyond it the answer is 503, at once."""

from typing import Final

from mesh.errors import Unavailable

_RETRY_SECONDS: Final = 1.0


class Intake:
    """Counts what is under way. Streams of interventions have a bound of their own."""

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self.requests = 0
        self.held_bytes = 0

    def enter(self) -> None:
        """Lets a request in.

        Raises:
            Unavailable: `BUFFER_FULL`, as many are under way as may be.
        """
        if self.requests >= self._max_requests:
            raise Unavailable("BUFFER_FULL", "Too many requests are under way.", _RETRY_SECONDS)
        self.requests += 1

    def hold(self, size: int) -> None:
        """Holds bytes of a body.

        Raises:
            Unavailable: `BUFFER_FULL`, the bodies under way are as large as they may be together.
        """
        if self.held_bytes + size > self._max_bytes:
            raise Unavailable("BUFFER_FULL", "The requests under way are too large together.", _RETRY_SECONDS)
        self.held_bytes += size

    def leave(self, held_bytes: int) -> None:
        """Lets a request out, with the bytes it held."""
        self.requests -= 1
        self.held_bytes -= held_bytes
