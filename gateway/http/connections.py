"""Connections, of HTTP and of WebSockets, that cannot take the gateway down.

Their number is limited, as are the size, time and speed of a request's head, and what is read ahead of its turn. The
server underneath would wait for a head for ever, and take one of any size. `asgi.Request.body` limits bodies, and
`slow_clients` what a client does not read.
"""

import asyncio
import logging
from collections import deque
from typing import Any, Final, NamedTuple, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from gateway.http import canned_answers, heads
from gateway.http.addresses import Proxies
from gateway.http.admission import LEAST_BYTES
from gateway.http.canned_answers import MAX_FIELDS, MAX_HEAD_BYTES
from gateway.http.exchange import KEY, Exchange
from gateway.http.shares import Lack, Shares, share
from gateway.http.slow_clients import Pace

# Those beyond the bound wait so long to be told; of these there may be so many.
_REFUSING_SECONDS: Final = 1.0
_MAX_REFUSED: Final = 256
# How many requests of one connection may wait for the answers before theirs, and with how large a body.
_MAX_WAITING: Final = 16
_MAX_WAITING_BODY: Final = 64 * 1024
_NEXT: Final = 2
# At least so much is read at once: some more requests than may wait can begin within.
_PIECE_BYTES: Final = 2 * 1024
_UNSENT_BYTES: Final = 32 * 1024

_log = logging.getLogger(__name__)
_TOLD: Final = {
    Lack.FOR_ALL: "connections are refused: as many are open as JOURNEYMESH_CONNECTION_COUNT and open files allow",
    Lack.FOR_ONE: "connections of one address are closed: it has its share, JOURNEYMESH_ADDRESS_PERCENT; "
    "if it is a proxy, name it in JOURNEYMESH_TRUSTED_PROXIES",
}
_WAITING_BYTES: Final = 8 * 1024 * 1024
_MAX_FRAGMENTS: Final = 64


class Bounds(NamedTuple):
    """The limits that all connections of a server share.

    `waiting` counts the bytes read ahead of the answers to earlier requests; `refused` are the connections beyond the
    limit that wait for their 503.
    """

    places: Shares
    waiting: Shares
    proxies: Proxies
    pace: Pace
    refused: set[asyncio.Protocol]

    @classmethod
    def of(cls, max_connections: int, address_percent: int, proxies: Proxies, pace: Pace) -> "Bounds":
        """The limits of a server that has no connection yet."""
        places = Shares(max_connections, share(max_connections, address_percent))
        waiting = Shares(_WAITING_BYTES, share(_WAITING_BYTES, address_percent, LEAST_BYTES))
        return cls(places, waiting, proxies, pace, set())


class _Refused(Exception):
    """What came is not to be read further; the last answer says why."""

    def __init__(self, message: bytes) -> None:
        super().__init__()
        self.message = message


class Connection(HttpToolsProtocol):
    """The protocol of a connection; that of a server has its `bounds`."""

    bounds: Bounds
    transport: asyncio.Transport
    _holder: str | None = None
    _last: bytes | None = None
    """The last answer, which waits for those before it; nothing more is read."""
    _is_under_way = False
    """Whether a request has begun to come and is not whole."""
    _is_in_head = False
    _is_other_protocol = False
    _began = 0.0
    _piece_bytes = 0
    """How long the last piece is; the head of a request begins somewhere within."""
    _unframed = 0
    """What was read of the request under way that is no body; further requests are among it until they begin."""
    _body_bytes = 0
    _body_left = 0
    _held = b""
    """What was read and waits until requests before it are answered."""
    _closing: asyncio.TimerHandle | None = None
    _due: deque[RequestResponseCycle]
    """The requests that are to be answered, in their order."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins, unless there are too many."""
        self._due = deque()
        peer = transport.get_extra_info("peername")
        self._holder = self.bounds.proxies.place(peer[0] if isinstance(peer, tuple) else "")
        lack = self.bounds.places.take(self._holder)
        if lack is None:
            super().connection_made(transport)
            transport.set_write_buffer_limits(_UNSENT_BYTES)
            self._began = self.loop.time()
            self._closing = self.loop.call_later(self.bounds.pace.seconds, self._close_slow)
            return
        _log.warning(_TOLD[lack])
        if lack is Lack.FOR_ALL and len(self.bounds.refused) < _MAX_REFUSED:
            self.bounds.refused.add(self)
            self.transport = transport
            self._closing = self.loop.call_later(_REFUSING_SECONDS, transport.close)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends, for every request that is not answered yet."""
        self._stop_waiting()
        if self in self.connections:
            self.bounds.places.give_back(self._holder)
            self._let_go()
            for cycle in self._due:
                _end(cycle)
            super().connection_lost(exc)
        self.bounds.refused.discard(self)

    def data_received(self, data: bytes) -> None:
        """Reads; waits for the rest of a head for a time only."""
        if self in self.bounds.refused:
            self._close_with(canned_answers.FULL)
        elif self._last is None and not self.transport.is_closing():
            self._read(self._let_go() + data)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._unset_keepalive_if_required()
        self._stop_waiting()
        self._is_under_way = self._is_in_head = True
        self._unframed, self._body_bytes = min(self._unframed, self._piece_bytes), 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field is whole; those after a body are of no use."""
        if not self._is_in_head:
            return
        if len(self.headers) >= MAX_FIELDS:
            raise _Refused(canned_answers.LARGE_HEAD)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is whole."""
        head = heads.read(
            self.parser.get_method().decode("ascii"), self.parser.get_http_version(), self.url, self.headers
        )
        if isinstance(head, bytes):
            raise _Refused(head)
        self.url = head.target
        if self.parser.should_upgrade():
            if head.is_handshake and self._due:
                raise _Refused(canned_answers.BAD_HANDSHAKE)
            self._is_other_protocol = not head.is_handshake
            self.scope["method"] = "GET"
        else:
            super().on_headers_complete()
            self.scope[KEY] = Exchange(self.cycle)  # type: ignore[typeddict-unknown-key]
            self._due.append(self.cycle)
        self._is_in_head = False
        self._body_left = head.body_bytes
        self._unframed = max(0, self._unframed - head.size)
        self._stop_waiting()

    def on_body(self, body: bytes) -> None:
        """A piece of a body has come."""
        self._unframed -= len(body)
        self._body_bytes += len(body)
        self._body_left = max(0, self._body_left - len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._is_under_way = False
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is sent; the next may be."""
        self._due.popleft()
        super().on_response_complete()
        if self._last is not None and not self._due:
            self._close_with(self._last)
        elif self._held and not self.transport.is_closing():
            self._read(self._let_go())

    def handle_websocket_upgrade(self) -> None:
        """Leaves the connection, and its place, to a socket."""
        super().handle_websocket_upgrade()
        cast("SocketConnection", self.transport.get_protocol()).holder = self._holder

    def _read(self, data: bytes) -> None:
        """Reads piece by piece: what is read is never far beyond the requests that may wait."""
        rest = memoryview(data)
        try:
            while rest and not self._must_wait():
                rest = self._feed(rest)
            if rest:
                self._hold(bytes(rest))
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause.message if isinstance(cause, _Refused) else canned_answers.MALFORMED)
        except _Refused as refused:
            self._refuse(refused.message)
        else:
            if self._is_in_head and self._closing is None and not rest:
                self._began = self.loop.time()
                self._closing = self.loop.call_later(self.bounds.pace.due(self._unframed), self._close_slow)

    def _feed(self, data: memoryview) -> memoryview:
        """Has the parser take a piece; returns what is left."""
        is_next = len(self._due) < _NEXT
        size = min(len(data), _PIECE_BYTES + (self._body_left if is_next else 0))
        self._piece_bytes = size
        self._unframed = self._unframed + size if self._is_under_way else size
        try:
            self.parser.feed_data(data[:size])
        except httptools.HttpParserUpgrade as upgrade:
            return memoryview(self._upgraded(bytes(data[upgrade.args[0] :])))
        if self._unframed > MAX_HEAD_BYTES + self._body_bytes:
            raise _Refused(canned_answers.LARGE_HEAD if self._is_in_head else canned_answers.LARGE_FRAMES)
        return data[size:]

    def _must_wait(self) -> bool:
        """Whether no more may be read before a request is answered."""
        count = len(self._due)
        return count > _MAX_WAITING or (count >= _NEXT and len(self._due[-1].body) > _MAX_WAITING_BODY)

    def _hold(self, data: bytes) -> None:
        if self.bounds.waiting.take(self._holder, len(data)) is not None:
            raise _Refused(canned_answers.TOO_MUCH_WAITS)
        self._held = data
        self.flow.pause_reading()

    def _let_go(self) -> bytes:
        data, self._held = self._held, b""
        if data:
            self.bounds.waiting.give_back(self._holder, len(data))
        return data

    def _upgraded(self, rest: bytes) -> bytes:
        """Becomes a socket, or stays what it is; returns what is to be read next."""
        if self._is_other_protocol:
            return self._head_without_upgrade() + rest
        if rest:  # before the handshake is answered nothing may be sent
            raise _Refused(canned_answers.BAD_HANDSHAKE)
        self.handle_websocket_upgrade()
        return b""

    def _head_without_upgrade(self) -> bytes:
        """The head anew, for a new parser: one that was asked for another protocol takes no body."""
        fields = heads.without_upgrade(self.headers)
        line = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # it is read, and never answered
        return line + b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n"

    def _refuse(self, message: bytes) -> None:
        """Reads no more, and answers so once all requests before are answered."""
        self._stop_waiting()
        if self._is_under_way and not self._is_in_head and not self._drop():
            self.transport.close()
            return
        self._last = message
        if self._due:
            self.flow.pause_reading()
        else:
            self._close_with(message)

    def _drop(self) -> bool:
        """Takes the request whose body is coming from those to be answered; False where its answer has begun."""
        if not self._due or not self._due[-1].more_body:
            return False
        cycle = self._due.pop()
        _end(cycle)
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
        return not cycle.response_started

    def _close_slow(self) -> None:
        self._closing = None
        left = self._began + self.bounds.pace.due(self._unframed) - self.loop.time() if self._is_in_head else 0
        if left > 0:
            self._closing = self.loop.call_later(left, self._close_slow)
        elif self._is_in_head and not self._due:
            self._close_with(canned_answers.SLOW)
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


def _end(cycle: RequestResponseCycle) -> None:
    """Lets who serves a request know that nobody waits for the answer."""
    cycle.disconnected = True
    cycle.message_event.set()


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
            self.transport.write(canned_answers.BAD_HANDSHAKE)
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
