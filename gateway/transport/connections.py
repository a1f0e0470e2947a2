"""Connections, of HTTP and of WebSockets, that cannot take the gateway down.

Their number is limited, as are the size, time and speed of a request's head, and what is read ahead of its turn. The
server underneath would wait for a head for ever, and take one of any size. `asgi.Request.body` limits bodies, and
`slow_clients` what a client does not read.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from gateway.http import asgi
from gateway.http.addresses import Proxies
from gateway.http.admission import MIN_ADDRESS_BYTES
from gateway.http.exchange import KEY, Exchange
from gateway.http.shares import Exhausted, Shares, share
from gateway.http.slow_clients import ReadTimeout
from gateway.transport import canned_answers, heads
from gateway.transport.canned_answers import MAX_FIELDS, MAX_HEAD_BYTES

# How long connections beyond the limit may wait for their 503, and how many of them.
_REFUSING_SECONDS: Final = 1.0
_MAX_REFUSED: Final = 256
# How long a client that has just connected may take to begin its request, when the server ends.
_FIRST_REQUEST_SECONDS: Final = 1.0
# How many requests of one connection may wait for earlier answers, and the largest body among them.
_MAX_WAITING: Final = 16
_MAX_WAITING_BODY: Final = 64 * 1024
_NEXT: Final = 2
# Read at once at least; a few more requests than may wait can begin within.
_PIECE_BYTES: Final = 2 * 1024
_UNSENT_BYTES: Final = 32 * 1024

_log = logging.getLogger(__name__)
_WARNINGS: Final = {
    Exhausted.TOTAL: "refusing connections: as many are open as JOURNEYMESH_CONNECTION_COUNT and open files allow",
    Exhausted.SHARE: "closing connections of an address that has its share, JOURNEYMESH_ADDRESS_PERCENT; "
    "if it is a proxy, name it in JOURNEYMESH_TRUSTED_PROXIES",
}
_WAITING_BYTES: Final = 8 * 1024 * 1024
_MAX_FRAGMENTS: Final = 64


Refusal = Callable[[str, bytes, heads.Fields, asgi.Headers], bytes | None]
"""The whole answer to a request that is refused by method, target and fields, with these headers first; else None."""


class ConnectionLimits(NamedTuple):
    """The limits that all connections of a server share.

    `waiting` counts the bytes read ahead of the answers to earlier requests; `refused` are the connections beyond the
    limit that wait for their 503. `refusal` decides by heads.
    """

    places: Shares
    waiting: Shares
    proxies: Proxies
    read_timeout: ReadTimeout
    refused: set[asyncio.Protocol]
    refusal: Refusal

    @classmethod
    def of(
        cls, max_connections: int, address_percent: int, proxies: Proxies, read_timeout: ReadTimeout, refusal: Refusal
    ) -> "ConnectionLimits":
        """The limits of a server that has no connection yet."""
        places = Shares(max_connections, share(max_connections, address_percent))
        waiting = Shares(_WAITING_BYTES, share(_WAITING_BYTES, address_percent, MIN_ADDRESS_BYTES))
        return cls(places, waiting, proxies, read_timeout, set(), refusal)


class _Refused(Exception):
    """Stop reading; the canned answer says why."""

    def __init__(self, message: bytes) -> None:
        super().__init__()
        self.message = message


class Connection(HttpToolsProtocol):
    """The protocol of an HTTP connection; a server's subclass has its `limits`."""

    limits: ConnectionLimits
    transport: asyncio.Transport
    _counted_for: str | None = None
    _has_place = False
    _last: bytes | None = None
    """The final answer, waiting for those before it; nothing more is read."""
    _is_in_request = False
    """Whether a request has begun to arrive and is incomplete."""
    _is_in_head = False
    _is_other_protocol = False
    _is_refused = False
    """Whether the last request was refused by its head; its body is ignored."""
    _refused_count = 0
    """How many requests of what was last received were."""
    _began = 0.0
    _piece_bytes = 0
    """The size of the last piece; the head of a request begins somewhere in it."""
    _unframed = 0
    """Bytes of the current request besides its body; later requests count among them until they begin."""
    _body_bytes = 0
    _body_left = 0
    _held = b""
    """Bytes read ahead, until earlier requests are answered."""
    _closing: asyncio.TimerHandle | None = None
    _due: deque[RequestResponseCycle]
    """The requests to be answered, in order."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Opens, unless there are too many."""
        self._due = deque()
        peer = transport.get_extra_info("peername")
        exhausted = None if self._has_place else self.take_place(peer[0] if isinstance(peer, tuple) else "")
        if exhausted is None:
            super().connection_made(transport)
            transport.set_write_buffer_limits(_UNSENT_BYTES)
            self._began = self.loop.time()
            self._closing = self.loop.call_later(self.limits.read_timeout.seconds, self._close_if_slow)
            return
        if exhausted is Exhausted.TOTAL and len(self.limits.refused) < _MAX_REFUSED:
            self.limits.refused.add(self)
            self.transport = transport
            self._closing = self.loop.call_later(_REFUSING_SECONDS, transport.close)
        else:
            transport.abort()

    def take_place(self, host: str) -> Exhausted | None:
        """Takes a place for this client, which can be done before the connection is made; else returns why not."""
        self._counted_for = self.limits.proxies.place(host)
        exhausted = self.limits.places.take(self._counted_for)
        self._has_place = exhausted is None
        if exhausted is not None:
            _log.warning(_WARNINGS[exhausted])
        return exhausted

    def give_up(self) -> None:
        """Gives the place back if the connection was never made."""
        if self._has_place and self.transport is None:
            self.limits.places.give_back(self._counted_for)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends every unanswered request."""
        self._cancel_timer()
        if self in self.connections:
            self.limits.places.give_back(self._counted_for)
            self._take_held()
            for cycle in self._due:
                _end(cycle)
            super().connection_lost(exc)
        self.limits.refused.discard(self)

    def shutdown(self) -> None:
        """Closes as soon as nothing is in progress; a client that has just connected may still send its request."""
        is_new = self.cycle is None and not self._is_in_request
        if is_new and not self.transport.is_closing():
            self._cancel_timer()
            self._closing = self.loop.call_later(_FIRST_REQUEST_SECONDS, self._close_if_slow)
        elif self._due or not self._is_in_request:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Reads; the rest of a head must follow in time."""
        if self in self.limits.refused:
            self._close_after(canned_answers.TOO_MANY_CONNECTIONS)
        elif self._last is None and not self.transport.is_closing():
            self._refused_count = 0
            self._read(self._take_held() + data)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._unset_keepalive_if_required()
        self._cancel_timer()
        self._is_in_request = self._is_in_head = True
        self._is_refused = False
        self._unframed, self._body_bytes = min(self._unframed, self._piece_bytes), 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field is complete; trailers are ignored."""
        if not self._is_in_head:
            return
        if len(self.headers) >= MAX_FIELDS:
            raise _Refused(canned_answers.LARGE_HEAD)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is complete."""
        method = self.parser.get_method().decode("ascii")
        head = heads.read(method, self.parser.get_http_version(), self.url, self.headers)
        if isinstance(head, bytes):
            raise _Refused(head)
        self.url = head.target
        if self.parser.should_upgrade():
            if head.is_handshake and self._due:
                raise _Refused(canned_answers.BAD_HANDSHAKE)
            self._is_other_protocol = not head.is_handshake
            self.scope["method"] = "GET"
        elif (refusal := self._refusal(method)) is not None:
            self._send_refusal(refusal)
        else:
            super().on_headers_complete()
            self.scope[KEY] = Exchange(self.cycle)  # type: ignore[typeddict-unknown-key]
            self._due.append(self.cycle)
        self._is_in_head = False
        self._body_left = head.body_bytes
        self._unframed = max(0, self._unframed - head.size)
        self._cancel_timer()

    def on_body(self, body: bytes) -> None:
        """A piece of a body has arrived."""
        self._unframed -= len(body)
        self._body_bytes += len(body)
        self._body_left = max(0, self._body_left - len(body))
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is complete."""
        self._is_in_request = False
        if not self._is_refused and not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is sent; the next one may follow."""
        self._due.popleft()
        super().on_response_complete()
        if self._last is not None and not self._due:
            self._close_after(self._last)
        elif self._held and not self.transport.is_closing():
            self._read(self._take_held())

    def handle_websocket_upgrade(self) -> None:
        """Hands the connection, and its place, over to a socket."""
        super().handle_websocket_upgrade()
        cast("SocketConnection", self.transport.get_protocol()).counted_for = self._counted_for

    def _refusal(self, method: str) -> bytes | None:
        """The answer to the request whose head is complete, if it can be refused by it and the connection goes on.

        Not if other answers come first or the client does not read them, nor if much was received at once: such
        requests wait their turn as all others do.
        """
        goes_on = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        if self._due or self._refused_count == _MAX_WAITING or not goes_on:
            return None
        if self.expect_100_continue or self.flow.write_paused:
            return None
        return self.limits.refusal(method, self.url, self.headers, tuple(self.server_state.default_headers))

    def _send_refusal(self, answer: bytes) -> None:
        """Answers the request that is arriving. As after every answer, the next one must begin in time."""
        self._is_refused = True
        self._refused_count += 1
        self.transport.write(answer)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _read(self, data: bytes) -> None:
        """Reads piece by piece, so as never to read far beyond the requests that may wait."""
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
                self._closing = self.loop.call_later(self.limits.read_timeout.due(self._unframed), self._close_if_slow)

    def _feed(self, data: memoryview) -> memoryview:
        """Feeds the parser one piece; returns the rest."""
        is_next = len(self._due) < _NEXT
        size = min(len(data), _PIECE_BYTES + (self._body_left if is_next else 0))
        self._piece_bytes = size
        self._unframed = self._unframed + size if self._is_in_request else size
        try:
            self.parser.feed_data(data[:size])
        except httptools.HttpParserUpgrade as upgrade:
            return memoryview(self._upgraded(bytes(data[upgrade.args[0] :])))
        if self._unframed > MAX_HEAD_BYTES + self._body_bytes:
            raise _Refused(canned_answers.LARGE_HEAD if self._is_in_head else canned_answers.LARGE_FRAMING)
        return data[size:]

    def _must_wait(self) -> bool:
        """Whether to stop reading until a request is answered."""
        count = len(self._due)
        return count > _MAX_WAITING or (count >= _NEXT and len(self._due[-1].body) > _MAX_WAITING_BODY)

    def _hold(self, data: bytes) -> None:
        if self.limits.waiting.take(self._counted_for, len(data)) is not None:
            raise _Refused(canned_answers.TOO_MUCH_PIPELINED)
        self._held = data
        self.flow.pause_reading()

    def _take_held(self) -> bytes:
        data, self._held = self._held, b""
        if data:
            self.limits.waiting.give_back(self._counted_for, len(data))
        return data

    def _upgraded(self, rest: bytes) -> bytes:
        """Becomes a socket, or stays what it is; returns what to read next."""
        if self._is_other_protocol:
            return self._head_without_upgrade() + rest
        if rest:  # nothing may be sent before the handshake is answered
            raise _Refused(canned_answers.BAD_HANDSHAKE)
        self.handle_websocket_upgrade()
        return b""

    def _head_without_upgrade(self) -> bytes:
        """The head again, for a new parser: one that saw an upgrade takes no body."""
        fields = heads.without_upgrade(self.headers)
        line = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # it is read, and never answered
        return line + b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n"

    def _refuse(self, message: bytes) -> None:
        """Stops reading, and sends this answer once all earlier requests are answered."""
        self._cancel_timer()
        if self._is_in_request and not self._is_in_head and not self._drop():
            self.transport.close()
            return
        self._last = message
        if self._due:
            self.flow.pause_reading()
        else:
            self._close_after(message)

    def _drop(self) -> bool:
        """Drops the request whose body is arriving; False if its answer has begun."""
        if not self._due or not self._due[-1].more_body:
            return False
        cycle = self._due.pop()
        _end(cycle)
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
        return not cycle.response_started

    def _close_if_slow(self) -> None:
        self._closing = None
        left = self._began + self.limits.read_timeout.due(self._unframed) - self.loop.time() if self._is_in_head else 0
        if left > 0:
            self._closing = self.loop.call_later(left, self._close_if_slow)
        elif self._is_in_head and not self._due:
            self._close_after(canned_answers.HEAD_TOO_SLOW)
        else:
            self.transport.close()

    def _close_after(self, message: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(canned_answers.headed(message, tuple(self.server_state.default_headers)))
            self.transport.close()

    def _cancel_timer(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None


def _end(cycle: RequestResponseCycle) -> None:
    """Signals the request's task that nobody waits for the answer."""
    cycle.disconnected = True
    cycle.message_event.set()


class SocketConnection(WebSocketsSansIOProtocol):
    """The protocol of a WebSocket, with the limits that the library lacks. It takes over a connection and its place."""

    limits: ConnectionLimits
    transport: asyncio.Transport
    counted_for: str | None = None
    """The client whose place it occupies."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives the place back."""
        self.limits.places.give_back(self.counted_for)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads; the head, which comes first and in one piece, must be a handshake."""
        super().data_received(data)
        if not self.handshake_initiated:
            first = tuple(self.default_headers)
            self.transport.write(canned_answers.headed(canned_answers.BAD_HANDSHAKE, first))
            self.transport.close()

    def handle_cont(self, event: Frame) -> None:
        """Takes a fragment of a message; even empty ones must end some time."""
        if len(self.frames) < _MAX_FRAGMENTS:
            super().handle_cont(event)
        else:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()

    def send_receive_event_to_app(self) -> None:
        """Hands a message on; a text that is no UTF-8 ends the socket, and is no error of ours to be logged."""
        try:
            if self.curr_msg_data_type == "text":
                b"".join(self.frames).decode()
        except UnicodeDecodeError:
            self.frames = []
            self.conn.fail(CloseCode.INVALID_DATA, "no UTF-8")
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    def pause_writing(self) -> None:
        """Stops reading from a client that does not read: the answers to its pings would pile up."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Resumes reading."""
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()

    def keepalive_timeout(self) -> None:
        """Drops a client that shows no sign of life, and what it did not read."""
        super().keepalive_timeout()
        self.transport.abort()

    async def send(self, message: Any) -> None:  # noqa: ANN401 - as ASGI has it
        """Sends; a handshake that was refused in full is over, not failed."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True
