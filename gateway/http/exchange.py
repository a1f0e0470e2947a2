"""What a connection knows of a request and can do for its answer, beyond what ASGI tells."""

import asyncio
from typing import Any, Final, Protocol

KEY: Final = "journeymesh.exchange"
"""Where a scope has its `Exchange`; absent where another server serves."""


class _Cycle(Protocol):
    """A request of the server, and its answer."""

    transport: Any
    more_body: bool


class Exchange:
    """A request on its connection; also the transport of its answer.

    A head that goes with its body is one system call less, and wakes the client once instead of twice.
    """

    def __init__(self, cycle: _Cycle) -> None:
        self._cycle = cycle
        self._transport: asyncio.Transport = cycle.transport
        self._is_head_next = False
        self._head = b""
        cycle.transport = self

    @property
    def has_come(self) -> bool:
        """Whether all of the request is here."""
        return not self._cycle.more_body

    def hold_head(self) -> None:
        """Has what is written next, the head of an answer, wait for what is written then."""
        self._is_head_next = True

    def write(self, data: bytes) -> None:
        """Writes, after what is held."""
        if self._is_head_next:
            self._head, self._is_head_next = data, False
        else:
            self._transport.write(self._head + data)
            self._head = b""

    def close(self) -> None:
        """Closes the connection once all is written."""
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._transport.is_closing()
