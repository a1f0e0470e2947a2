"""Requests and answers as values over ASGI. There is no framework: without one the hot route costs 40% less CPU.

`python -m bench.http_servers` has the figures.
"""

import asyncio
import dataclasses
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

import msgspec

from gateway.http.admission import MAX_BODY_BYTES, AdmissionControl
from gateway.http.caller import NOBODY, Caller
from gateway.http.exchange import KEY, Exchange
from gateway.http.rates import Rates
from gateway.http.slow_clients import ReadTimeout
from mesh.errors import DeadlineExceeded, InvalidArgument
from records.tenants import DEFAULT

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
"""Makes browsers believe the content type."""
NO_REFERRER: Final = (b"referrer-policy", b"no-referrer")
"""Keeps paths, which name people, from whatever a browser opens or loads next."""
HTTPS_ONLY: Final = ((b"strict-transport-security", b"max-age=31536000"),)
"""Keeps browsers from plain HTTP for a year. Only on answers over TLS: elsewhere they must ignore it."""
NO_STORE: Final = (b"cache-control", b"no-store")
"""Keeps an answer out of caches: most are about a person."""
PUBLIC_CACHE: Final[Headers] = ((b"cache-control", b"public, max-age=300"),)
"""For answers that are about nobody and the same for all."""

JSON: Final = "application/json"
TEXT: Final = "text/plain"
_CHARSETS: Final = ("", "charset=utf-8", 'charset="utf-8"', "charset=utf8")
_BYTE_ORDER: Final = b"\xef\xbb\xbf"
_PLAIN: Final = ("", "identity")
# How many events a compressed body may hold: some in any case, then one per so many bytes. Distinct events need more.
_PARTS_ALWAYS: Final = 100
_PACKED_BYTES_OF_A_PART: Final = 2
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


class ClientGone(Exception):
    """The client hung up before its request was complete."""


class BodyTooSlow(DeadlineExceeded):
    """The client took too long to send its request."""


class Answer(NamedTuple):
    """A complete answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Headers = ()


class Stream(NamedTuple):
    """An answer sent in pieces until it ends or the client leaves; whoever gets it must `close` it."""

    pieces: AsyncGenerator[bytes, None]
    content_type: str
    headers: Headers
    close: Callable[[], None]


class Socket(NamedTuple):
    """A conversation until either side ends it; whoever gets it must `close` it.

    `frames` are sent as they come; each message of the client is answered with what `respond` returns for it.
    """

    frames: AsyncIterator[bytes]
    respond: Callable[["Request", str | bytes], Awaitable[bytes]]
    close: Callable[[], None]


@dataclasses.dataclass(slots=True)
class Request:
    """A request, with the parameters of its path and query, its receipt in Unix microseconds, and the ids of its span.

    The span id is empty if the trace is not recorded. `address` is whom limits count it for. `has_more` says whether
    more of the body may follow, `sent_bytes` how much of it came, `held_bytes` how much of it and of its answer
    `admission` holds, and `is_unpacked` whether it came compressed. `rates` counts what the caller's limits allow.
    `caller` is who sends it, once that is known. `tenant` is whom bounds count it for: the caller's, if that was known
    before the body came.
    """

    scope: Scope
    receive: Receive
    parameters: Mapping[str, str]
    query: Mapping[str, str]
    received_us: int
    trace_id: bytes
    span_id: bytes
    address: str
    admission: AdmissionControl
    rates: Rates
    read_timeout: ReadTimeout
    has_more: bool = True
    sent_bytes: int = 0
    held_bytes: int = 0
    is_unpacked: bool = False
    caller: Caller = NOBODY
    tenant: str = DEFAULT

    @property
    def exchange(self) -> Exchange | None:
        """What its connection knows about it; None under any server but ours."""
        exchange: Exchange | None = self.scope.get(KEY)
        return exchange

    def header(self, name: bytes) -> str:
        """The first header of this lower-case name; empty if there is none."""
        return header(self.scope, name)

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            InvalidArgument: `REQUEST_TOO_LARGE`; the rest is not read.
            Unavailable, ResourceExhausted: as `hold`.
            BodyTooSlow: it did not arrive in time.
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
            async with asyncio.timeout_at(began + self.read_timeout.due(0)) as waiting:
                while self.has_more:
                    chunks.append(await self._counted_chunk())
                    if self.has_more:
                        waiting.reschedule(began + self.read_timeout.due(self.sent_bytes))
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

    def admit(self) -> None:
        """Spends the first unit of the caller's limits.

        Raises:
            ResourceExhausted: `RATE_LIMITED`, nothing is left.
        """
        if self.caller.limits:
            self.rates.admit(self.caller.limits)

    def hold(self, size: int) -> None:
        """Holds bytes until the request is over.

        Raises:
            Unavailable: `BUFFER_FULL`, too much is held.
            ResourceExhausted: `ADDRESS_BUSY`, `TENANT_BUSY`, too much of this address or tenant.
        """
        self.admission.hold(self.address, size, self.tenant)
        self.held_bytes += size

    def release(self) -> None:
        """Releases everything held."""
        self.admission.release(self.address, self.held_bytes, self.tenant)
        self.held_bytes = 0

    async def decompressed_body(self) -> bytes:
        """The whole body, decompressed if it is gzip, without a byte order mark. The limit holds for both forms.

        Raises:
            InvalidArgument: `UNSUPPORTED_CONTENT_TYPE`, another compression; `MALFORMED_JSON`, not gzip; as `body`.
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

    async def lenient_body(self) -> bytes:
        """The whole body as pages send it: declared as JSON, text or nothing at all, compressed or not.

        A page may send text to other origins without a preflight, and a beacon can declare nothing else.

        Raises:
            InvalidArgument: `UNSUPPORTED_CONTENT_TYPE`, another type; as `decompressed_body`.
            MeshError: as `body`.
        """
        if self.header(b"content-type"):
            self.require_media_type(JSON, TEXT)
        return await self.decompressed_body()

    def require_plausible_count(self, part_count: int) -> None:
        """Refuses a compressed body of more events than its bytes could hold if they differed.

        Raises:
            InvalidArgument: `REQUEST_TOO_LARGE`.
        """
        if self.is_unpacked and part_count > _PARTS_ALWAYS + self.sent_bytes // _PACKED_BYTES_OF_A_PART:
            raise InvalidArgument("REQUEST_TOO_LARGE", "So few bytes cannot hold so many events that differ.")

    async def discard(self, most_bytes: int) -> None:
        """Reads and discards the rest of the body, up to a limit."""
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
        """The whole body, declared as JSON.

        Raises:
            InvalidArgument: `UNSUPPORTED_CONTENT_TYPE`, `REQUEST_TOO_LARGE`.
            ClientGone: the client hung up.
        """
        self.require_json()
        return await self.body()

    def require_json(self) -> None:
        """Requires a body declared as JSON in UTF-8, not compressed.

        Raises:
            InvalidArgument: `UNSUPPORTED_CONTENT_TYPE`.
        """
        self.require_media_type(JSON)
        if self.header(b"content-encoding") not in _PLAIN:
            raise InvalidArgument("UNSUPPORTED_CONTENT_TYPE", "A compressed body is not taken.")

    def require_media_type(self, *known: str) -> None:
        """Requires a body declared as one of these types, in UTF-8.

        Raises:
            InvalidArgument: `UNSUPPORTED_CONTENT_TYPE`.
        """
        charset = self.header(b"content-type").partition(";")[2].strip().lower()
        if self.media_type() not in known or charset not in _CHARSETS:
            raise InvalidArgument("UNSUPPORTED_CONTENT_TYPE", f"The body must be {known[0]} in UTF-8.")

    def media_type(self) -> str:
        """The declared content type without parameters; empty if there is none."""
        return self.header(b"content-type").partition(";")[0].strip().lower()


def _too_large() -> InvalidArgument:
    return InvalidArgument("REQUEST_TOO_LARGE", f"A request may have {MAX_BODY_BYTES // 1024} KiB.")


def header(scope: Scope, name: bytes) -> str:
    """The first header of this lower-case name; empty if there is none."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return ""


def json(content: object, status: int = 200) -> Answer:
    """An answer in JSON."""
    return Answer(status, msgspec.json.encode(content))
