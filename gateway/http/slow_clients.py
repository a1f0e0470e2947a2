"""Clients that send or read too slowly: neither may hold a connection for long."""

import asyncio
from collections.abc import Collection
from typing import Final, NamedTuple, Protocol

BYTES_PER_SECOND: Final = 512
"""The least average speed after the first seconds. The slowest phones are ten times as fast."""

_MAX_GRACE_SECONDS: Final = 5.0
_INTERVAL_SECONDS: Final = 5.0
_MAX_STALLS: Final = 6


class ReadTimeout(NamedTuple):
    """How many seconds a request may take to arrive: first its head, then its body."""

    seconds: float

    def due(self, size: int) -> float:
        """When to give up, in seconds since the beginning, if this many bytes have arrived.

        The first half of the time, at most 5 s, is free. Every byte then buys the time it takes at the least speed, up
        to the whole time.
        """
        grace = min(self.seconds / 2, _MAX_GRACE_SECONDS)
        return min(self.seconds, grace + size / BYTES_PER_SECOND)


class _Connected(Protocol):
    transport: asyncio.Transport


async def drop_slow_readers(
    connections: Collection[_Connected], interval_seconds: float = _INTERVAL_SECONDS, max_stalls: int = _MAX_STALLS
) -> None:
    """Aborts connections whose client reads too slowly, until cancelled.

    A stall is an interval in which a client with something to read took less than the least speed; too many in a row
    end the connection. Connections that close once everything is sent are watched too.
    """
    least = BYTES_PER_SECOND * interval_seconds
    unread: dict[_Connected, tuple[int, int]] = {}
    """How many bytes were left at the last look, and after how many stalls."""
    while True:
        await asyncio.sleep(interval_seconds)
        before, unread = unread, {}
        for connection in tuple(connections):
            size = connection.transport.get_write_buffer_size()
            if not size:
                continue
            last, stalls = before.get(connection, (size + least, 0))
            stalls = 0 if last - size >= least else stalls + 1
            if stalls < max_stalls:
                unread[connection] = size, stalls
            else:
                connection.transport.abort()
