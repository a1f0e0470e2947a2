"""A request and an answer as values over ASGI: no framework, because the hot route costs 40% less CPU without one.

`python -m bench.http_servers` has the figures.
"""

import asyncio
import dataclasses
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

import msgspec

from gateway.http.admission import MAX_BODY_BYTES, Intake
from gateway.http.exchange import KEY, Exchange
from gateway.http.slow_clients import Pace
from mesh.errors import DeadlineExceeded, InvalidArgument

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

AS_SAID: Final = (b"x-content-type-options", b"nosniff")
"""Makes browsers take an answer for what it is said to be."""
NOT_KEPT: Final = (b"cache-control", b"no-store")
"""Keeps an answer out of every cache: most tell of a person."""
CACHED: Final[Headers] = ((b"cache-control", b"public, max-age=300"),)
"""Of answers that tell of nobody and are the same for all."""

JSON: Final = "application/json"
TEXT: Final = "text/plain"
_CHARSETS: Final = ("", "charset=utf-8", 'charset="utf-8"', "charset=utf8")
_BYTE_ORDER: Final = b"\xef\xbb\xbf"
_PLAIN: Final = ("", "identity")
# What a compressed body may hold: this many parts, and one more for so many bytes. Parts that differ take no less.
_PARTS_ALWAYS: Final = 100
_PACKED_BYTES_OF_A_PART: Final = 2
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


class ClientGone(Exception):
    """The client hung up before it had sent its request."""


class BodyTooSlow(DeadlineExceeded):
    """The client took too long to send its request."""


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Headers = ()


class Stream(NamedTuple):
    """An answer that is sent piece by piece until it ends or the client leaves; whoever gets it must `close` it."""

    pieces: AsyncGenerator[bytes, None]
    content_type: str
    headers: Headers
    close: Callable[[], None]


class Socket(NamedTuple):
    """An answer that goes both ways until it ends or the client leaves; whoever gets it must `close` it.

    `frames` are told as they come; each message of the client is given to `hear` and answered with what that gives.
    """

    frames: AsyncIterator[bytes]
    hear: Callable[["Request", str | bytes], Awaitable[bytes]]
    close: Callable[[], None]


@dataclasses.dataclass(slots=True)
class Request:
    """A request: parameters of its path and query, the time it came in Unix microseconds, the ids of its span.

    Where its trace is not recorded, the id of the span is empty. `address` is whom it is counted for.
    `has_more` tells whether some of its body may still come, `sent_bytes` how much of it came, `held_bytes` how much of
    it and of its answer is held in `intake`, and `is_unpacked` whether it came compressed.
    """

    scope: Scope
    receive: Receive
    parameters: Mapping[str, str]
    query: Mapping[str, str]
    received_us: int
    trace_id: bytes
    span_id: bytes
    address: str
    intake: Intake
    pace: Pace
    has_more: bool = True
    sent_bytes: int = 0
    held_bytes: int = 0
    is_unpacked: bool = False

    @property
    def exchange(self) -> Exchange | None:
        """What its connection knows of it; None where it is not the gateway's own."""
        exchange: Exchange | None = self.scope.get(KEY)
        return exchange

    def header(self, name: bytes) -> str:
        """The first header of this name, which is in lower case; empty where there is none."""
        return header(self.scope, name)

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            InvalidArgument: `REQUEST_TOO_LARGE`; the rest is not read.
            Unavailable, ResourceExhausted: as `hold`.
            BodyTooSlow: it did not come in time.
            ClientGone: the client hung up.
        """
        length = self.header(b"content-length")
        if length.isascii() and length.isdigit() and int(length[:18]) > MAX_BODY_BYTES:
            raise _too_large()
        if self.exchange is not None and self.exchange.has_come and self.has_more:
            return await self._counted_chunk()
        chunks = []
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(began + self.pace.due(0)) as waiting:
                while self.has_more:
                    chunks.append(await self._counted_chunk())
                    if self.has_more:
                        waiting.reschedule(began + self.pace.due(self.sent_bytes))
        except TimeoutError:
            raise BodyTooSlow("DEADLINE_TOO_SHORT", "The body of the request did not come in time.") from None
        return b"".join(chunks)

    async def _counted_chunk(self) -> bytes:
        chunk = await self._chunk()
        self.hold(len(chunk))
        self.sent_bytes += len(chunk)
        if self.sent_bytes > MAX_BODY_BYTES:
            raise _too_large()
        return chunk

    def hold(self, size: int) -> None:
        """Holds bytes until the request is over.

        Raises:
            Unavailable: `BUFFER_FULL`, too much is held.
            ResourceExhausted: `ADDRESS_BUSY`, too much of this address.
        """
        self.intake.hold(self.address, size)
        self.held_bytes += size

    def release(self) -> None:
        """Lets go of all that is held."""
        self.intake.release(self.address, self.held_bytes)
        self.held_bytes = 0

    async def inflated_body(self) -> bytes:
        """The whole body, unpacked where it is compressed by gzip; the limit is that of the body unpacked.

        The mark of the byte order that some systems put before a text is left away.

        Raises:
            InvalidArgument: `UNSUPPORTED_CONTENT_TYPE`, another compression; `MALFORMED_JSON`, no gzip; as `body`.
            MeshError: as `body`.
        """
        encoding = self.header(b"content-encoding").strip().lower()
        if encoding in _PLAIN:
            return (await self.body()).removeprefix(_BYTE_ORDER)
        if encoding not in {"gzip", "x-gzip"}:
            raise InvalidArgument("UNSUPPORTED_CONTENT_TYPE", "The body may be compressed by gzip only.")
        packed = await self.body()
        inflating = zlib.decompressobj(_GZIP_WINDOW)
        try:
            body = inflating.decompress(packed, MAX_BODY_BYTES + 1)
        except zlib.error:
            raise InvalidArgument("MALFORMED_JSON", "The body is said to be gzip and is not.") from None
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
        if not inflating.eof or inflating.unused_data:
            raise InvalidArgument("MALFORMED_JSON", "The gzip of the body is cut off, or something follows it.")
        self.hold(len(body))
        self.is_unpacked = True
        return body.removeprefix(_BYTE_ORDER)

    async def told_body(self) -> bytes:
        """The whole body as pages send it: said to be JSON, a text or nothing at all, and compressed or not.

        A page may send texts to other origins without asking first, and a beacon can say nothing else.

        Raises:
            InvalidArgument: `UNSUPPORTED_CONTENT_TYPE`, another type; as `inflated_body`.
            MeshError: as `body`.
        """
        if self.header(b"content-type"):
            self.require_media_type(JSON, TEXT)
        return await self.inflated_body()

    def require_few(self, part_count: int) -> None:
        """Returns if the body holds no more parts than its bytes are worth: a few, compressed, can stand for thousands.

        Raises:
            InvalidArgument: `REQUEST_TOO_LARGE`.
        """
        if self.is_unpacked and part_count > _PARTS_ALWAYS + self.sent_bytes // _PACKED_BYTES_OF_A_PART:
            raise InvalidArgument("REQUEST_TOO_LARGE", "So few bytes cannot hold so many events that differ.")

    async def discard(self, most_bytes: int) -> None:
        """Reads what is left of the body and forgets it, up to so many bytes."""
        while self.has_more and most_bytes > 0:
            most_bytes -= len(await self._chunk())

    async def _chunk(self) -> bytes:
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.has_more = message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk

    async def json_body(self) -> bytes:
        """The whole body, said to be JSON.

        Raises:
            InvalidArgument: `UNSUPPORTED_CONTENT_TYPE`, `REQUEST_TOO_LARGE`.
            ClientGone: the client hung up.
        """
        self.require_json()
        return await self.body()

    def require_json(self) -> None:
        """Returns if the body is said to be JSON, in UTF-8 and not compressed.

        Raises:
            InvalidArgument: `UNSUPPORTED_CONTENT_TYPE`.
        """
        self.require_media_type(JSON)
        self.require_unpacked()

    def require_media_type(self, *known: str) -> None:
        """Returns if the body is said to be of one of these types, in UTF-8.

        Raises:
            InvalidArgument: `UNSUPPORTED_CONTENT_TYPE`.
        """
        charset = self.header(b"content-type").partition(";")[2].strip().lower()
        if self.media_type() not in known or charset not in _CHARSETS:
            raise InvalidArgument("UNSUPPORTED_CONTENT_TYPE", f"The body must be {known[0]} in UTF-8.")

    def require_unpacked(self) -> None:
        """Returns if the body is not compressed.

        Raises:
            InvalidArgument: `UNSUPPORTED_CONTENT_TYPE`.
        """
        if self.header(b"content-encoding") not in _PLAIN:
            raise InvalidArgument("UNSUPPORTED_CONTENT_TYPE", "A compressed body is not taken.")

    def media_type(self) -> str:
        """The type the body is said to be of, without parameters; empty where it is not said."""
        return self.header(b"content-type").partition(";")[0].strip().lower()


def _too_large() -> InvalidArgument:
    return InvalidArgument("REQUEST_TOO_LARGE", f"A request may have {MAX_BODY_BYTES // 1024} KiB.")


def header(scope: Scope, name: bytes) -> str:
    """The first header of this name, which is in lower case; empty where there is none."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return ""


def json(content: object, status: int = 200) -> Answer:
    """An answer in JSON."""
    return Answer(status, msgspec.json.encode(content))
