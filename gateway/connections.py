"""Connections that cannot hold the gateway: their number is bounded, and so are the time and size of a request's head.

The server waits for ever for a head and takes one of any size; bodies are bounded in `web.Request.body`. A socket is a
connection as well.
"""

import asyncio
import http
from typing import Any, Final, NamedTuple

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from gateway import problems
from gateway.web import Answer, BodyTooSlow
from mesh.errors import InvalidArgument, MeshError, Unavailable

_MAX_HEAD_BYTES: Final = 64 * 1024
# Those beyond the bound wait so long to be told; of these there may be so many.
_REFUSING_SECONDS: Final = 1.0
_MAX_REFUSED: Final = 256
_MAX_FRAGMENTS: Final = 64


class Bounds(NamedTuple):
    """What holds for the connections of one server together; `refused` are those that wait to be told."""

    max_connections: int
    head_seconds: float
    refused: set[asyncio.Protocol]


def protocol(max_connections: int, head_seconds: float) -> type[asyncio.Protocol]:
    """The protocol of one server's connections."""
    return type("BoundConnection", (_Connection,), {"bounds": Bounds(max_connections, head_seconds, set())})


class _Connection(HttpToolsProtocol):
    bounds: Bounds
    _is_in_head = False
    _head_bytes = 0
    _closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins, unless there are too many."""
        if len(self.connections) < self.bounds.max_connections:
            super().connection_made(transport)
            self._closing = self.loop.call_later(self.bounds.head_seconds, self._close_slow)
        elif len(self.bounds.refused) < _MAX_REFUSED:
            self.bounds.refused.add(self)
            self.transport = transport
            self._closing = self.loop.call_later(_REFUSING_SECONDS, transport.close)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends."""
        self._stop_waiting()
        if self in self.connections:
            super().connection_lost(exc)
        self.bounds.refused.discard(self)

    def data_received(self, data: bytes) -> None:
        """Reads; waits for the rest of a head for a time only."""
        if self in self.bounds.refused:
            self._close_with(_FULL)
            return
        super().data_received(data)
        if not self._is_in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > _MAX_HEAD_BYTES:
            self._close_with(_TOO_LARGE)
        elif self._closing is None:
            self._closing = self.loop.call_later(self.bounds.head_seconds, self._close_slow)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._is_in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._is_in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def _close_slow(self) -> None:
        if self._is_in_head:
            self._close_with(_SLOW)
        else:
            self.transport.close()

    def _close_with(self, message: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(message)
            self.transport.close()

    def _stop_waiting(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None


class SocketConnection(WebSocketsSansIOProtocol):
    """The protocol of a socket. Its own bounds are those of a message's size and of a silence; here are the others."""

    def data_received(self, data: bytes) -> None:
        """Reads; the head, which comes first and whole, must be that of a handshake."""
        super().data_received(data)
        if not self.handshake_initiated:
            self.transport.write(_NO_HANDSHAKE)
            self.transport.close()

    def handle_cont(self, event: Frame) -> None:
        """Takes a piece of a message; even empty ones must end."""
        if len(self.frames) < _MAX_FRAGMENTS:
            super().handle_cont(event)
        else:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()

    def pause_writing(self) -> None:
        """Reads no more from a client that does not read: every ping it sends would wait to be answered."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Reads on."""
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()

    def keepalive_timeout(self) -> None:
        """Leaves a client that gave no sign of life, and what it did not read."""
        super().keepalive_timeout()
        self.transport.abort()


def _message(error: MeshError, code: int | None = None) -> bytes:
    """A whole answer as bytes; it belongs to no trace."""
    answer: Answer = problems.answer(error, b"", code=code)
    headers: list[tuple[bytes, Any]] = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", b"%d" % len(answer.body)),
        *(header for header in answer.headers if header != problems.CLOSING),
        problems.CLOSING,
    ]
    head = b"HTTP/1.1 %d %b\r\n" % (answer.status, http.HTTPStatus(answer.status).phrase.encode())
    return head + b"".join(b"%b: %b\r\n" % header for header in headers) + b"\r\n" + answer.body


_FULL: Final = _message(Unavailable("BUFFER_FULL", "Too many connections are open."))
_SLOW: Final = _message(BodyTooSlow("DEADLINE_TOO_SHORT", "The head of the request did not come in time."))
_TOO_LARGE: Final = _message(InvalidArgument("REQUEST_TOO_LARGE", "The head of a request may have 64 KiB."), 431)
_NO_HANDSHAKE: Final = _message(InvalidArgument("INVALID_PARAMETER", "The head is that of no handshake."))
