"""The connection of a WebSocket: it takes the place of the one its handshake came on, and keeps that one's place."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from gateway import last_answers
from gateway.bounds import Bounds

_MAX_FRAGMENTS: Final = 64


class SocketConnection(WebSocketsSansIOProtocol):
    """The protocol of a socket. Its own bounds are those of a message's size and of a silence; here are the others."""

    bounds: Bounds
    transport: asyncio.Transport
    holder: str | None = None
    """Whose place it keeps."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends."""
        self.bounds.places.give_back(self.holder)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads; the head, which comes first and whole, must be that of a handshake."""
        super().data_received(data)
        if not self.handshake_initiated:
            self.transport.write(last_answers.BAD_HANDSHAKE)
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

    async def send(self, message: Any) -> None:  # noqa: ANN401 - as ASGI has it
        """Sends; a refusal that is sent whole is a handshake that is over, and no fault."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True
