"""How fast a client must send a request: one that trickles holds its place for a short time only."""

from typing import Final, NamedTuple

BYTES_PER_SECOND: Final = 512
"""The least speed, on average, once the first seconds are over. The slowest phones send ten times as fast."""

_LONGEST_START_SECONDS: Final = 5.0


class Pace(NamedTuple):
    """Within how many seconds the head of a request must have come, and then its body."""

    seconds: float

    def due(self, size: int) -> float:
        """How many seconds after its beginning to wait for more, if so many bytes have come.

        Half the time, at most 5 s, passes freely; then so many seconds as the bytes last at the least speed, up to the
        whole time.
        """
        start = min(self.seconds / 2, _LONGEST_START_SECONDS)
        return min(self.seconds, start + size / BYTES_PER_SECOND)
