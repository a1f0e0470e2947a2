"""What a connection knows about a request and can do for its answer beyond ASGI."""

import asyncio
from typing import Any, Final, Protocol

KEY: Final = "journeymesh.exchange"
"""The key of the `Exchange` in a scope; absent under any other server."""


class _Cycle(Protocol):
    """A request of the server, and its answer."""

    transport: Any
    more_body: bool


class Exchange:
    """A request on its connection, and the transport of its answer.

    Writing head and body together saves a system call, and wakes the client once instead of twice.
    """

    def __init__(self, cycle: _Cycle) -> None:
        self._cycle = cycle
        self._transport: asyncio.Transport = cycle.transport
        self._is_head_next = False
        self._head = b""
        cycle.transport = self

    @property
    def has_come(self) -> bool:
        """Whether the whole request has arrived."""
        return not self._cycle.more_body

    def hold_head(self) -> None:
        """Holds back the next write, the head of an answer, until the one after it."""
        self._is_head_next = True

    def write(self, data: bytes) -> None:
        """Writes, after what was held back."""
        if self._is_head_next:
            self._head, self._is_head_next = data, False
        else:
            self._transport.write(self._head + data)
            self._head = b""

    def close(self) -> None:
        """Closes the connection once everything is written."""
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closed or closing."""
        return self._transport.is_closing()
