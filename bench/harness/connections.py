"""Load over many connections at little cost of its own: each sends its next request once the last is answered."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

import uvloop

_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"


class Answered(NamedTuple):
    """What the connections were answered."""

    seconds: float
    """From the first request to the last answer."""
    latencies: list[float]
    """Seconds from the first request of each exchange to its last answer."""
    refused: int
    """Answers that were no success."""


def post(path: str, body: bytes) -> bytes:
    """A whole request with a JSON body."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def get(path: str) -> bytes:
    """A whole request without a body."""
    return f"GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n".encode()


def saturate(url: str, exchanges: Iterator[Sequence[bytes]], connection_count: int, seconds: float) -> Answered:
    """Sends for some seconds over so many connections; returns once every request is answered.

    The requests of one exchange follow one another on one connection, each once that before is answered.

    The latencies are those of clients who wait for their answer, so they say nothing about a fixed rate.

    Raises:
        ConnectionError: a connection was closed before its answer.
    """
    return uvloop.run(_saturate(url, exchanges, connection_count, seconds))


class _Client(asyncio.Protocol):
    """Sends on one connection until `next_exchange` has no more."""

    def __init__(self, next_exchange: Callable[[], Sequence[bytes] | None], latencies: list[float]) -> None:
        self._next_exchange = next_exchange
        self._latencies = latencies
        self._left: Iterator[bytes] = iter(())
        self._answer = b""
        self._began = 0.0
        self._transport: asyncio.WriteTransport
        self.refused = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins the first exchange."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._begin()

    def data_received(self, data: bytes) -> None:
        """Sends the next request once the answer is whole."""
        self._answer += data
        length = length_of_answer(self._answer)
        if length is None or len(self._answer) < length:
            return
        self.refused += self._answer[9:10] != b"2"
        self._answer = b""
        request = next(self._left, None)
        if request is not None:
            self._transport.write(request)
            return
        self._latencies.append(time.perf_counter() - self._began)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends, with an error unless all was answered."""
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("The connection was closed before its answer."))

    def _begin(self) -> None:
        exchange = self._next_exchange()
        if exchange is None:
            self.ended.set_result(None)
            self._transport.close()
            return
        self._left = iter(exchange)
        self._began = time.perf_counter()
        self._transport.write(next(self._left))


def length_of_answer(answer: bytes) -> int | None:
    """Bytes of a whole answer, head and body; None as long as its head is not whole."""
    end = answer.find(_END_OF_HEAD)
    if end < 0:
        return None
    head = answer[:end].lower()
    at = head.find(_LENGTH)
    length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return end + len(_END_OF_HEAD) + length


async def _saturate(url: str, exchanges: Iterator[Sequence[bytes]], connection_count: int, seconds: float) -> Answered:
    parts = urlsplit(url)
    latencies: list[float] = []
    started = time.perf_counter()
    in_time = itertools.takewhile(lambda _: time.perf_counter() - started < seconds, exchanges)
    next_exchange = partial(next, in_time, None)
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(connection_count):
        _, client = await loop.create_connection(
            lambda: _Client(next_exchange, latencies), parts.hostname or "", parts.port or 0
        )
        clients.append(client)
    await asyncio.gather(*(client.ended for client in clients))
    return Answered(time.perf_counter() - started, latencies, sum(client.refused for client in clients))
