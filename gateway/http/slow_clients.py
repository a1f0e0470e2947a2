"""How fast a client must send a request: one that trickles holds its place for a short time only."""

import asyncio
from collections.abc import Collection
from typing import Final, NamedTuple, Protocol

BYTES_PER_SECOND: Final = 512
"""The least speed, on average, once the first seconds are over. The slowest phones send ten times as fast."""

_LONGEST_START_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 5.0
_MOST_LOOKS: Final = 6


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


class _Connected(Protocol):
    transport: asyncio.Transport


async def leave_who_does_not_read(
    connections: Collection[_Connected], look_seconds: float = _LOOK_SECONDS, most_looks: int = _MOST_LOOKS
) -> None:
    """Looks at all connections again and again, until cancelled, and breaks those that take too little for too long.

    Too little is less than the least speed, too long so many looks in a row. A connection that is to be closed is among
    them until all is sent.
    """
    least = BYTES_PER_SECOND * look_seconds
    unread: dict[_Connected, tuple[int, int]] = {}
    """What waited at the last look, and at how many before it too little had been taken."""
    while True:
        await asyncio.sleep(look_seconds)
        before, unread = unread, {}
        for connection in tuple(connections):
            size = connection.transport.get_write_buffer_size()
            if not size:
                continue
            last, looks = before.get(connection, (size + least, 0))
            looks = 0 if last - size >= least else looks + 1
            if looks < most_looks:
                unread[connection] = size, looks
            else:
                connection.transport.abort()
