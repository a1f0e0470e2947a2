"""Load over many connections at little cost of its own: each sends its next request once the last is answered."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

import uvloop

_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"


class Answered(NamedTuple):
    """The answers on all connections."""

    seconds: float
    """From the first request to the last answer."""
    latencies: list[float]
    """Seconds from each request to its answer."""
    refused: int
    """Answers with a status other than 2xx."""


def post(path: str, body: bytes) -> bytes:
    """A whole request with a JSON body."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def get(path: str) -> bytes:
    """A whole request without a body."""
    return f"GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n".encode()


def saturate(url: str, requests: Iterator[bytes], connection_count: int, seconds: float) -> Answered:
    """Sends for some seconds over several connections; returns once every request is answered.

    The latencies are those of clients that wait for their answer, so they say nothing about a fixed rate.

    Raises:
        ConnectionError: a connection was closed before its answer.
    """
    return uvloop.run(_saturate(url, requests, connection_count, seconds))


class _Client(asyncio.Protocol):
    """Sends on one connection until `next_request` has no more."""

    def __init__(self, next_request: Callable[[], bytes | None], latencies: list[float]) -> None:
        self._next_request = next_request
        self._latencies = latencies
        self._answer = b""
        self._began = 0.0
        self._transport: asyncio.WriteTransport
        self.refused = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the first request."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Sends the next request once the answer is complete."""
        self._answer += data
        length = length_of_answer(self._answer)
        if length is None or len(self._answer) < length:
            return
        self.refused += self._answer[9:10] != b"2"
        self._answer = b""
        self._latencies.append(time.perf_counter() - self._began)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends, with an error unless everything was answered."""
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("The connection was closed before its answer."))

    def _send(self) -> None:
        request = self._next_request()
        if request is None:
            self.ended.set_result(None)
            self._transport.close()
            return
        self._began = time.perf_counter()
        self._transport.write(request)


def length_of_answer(answer: bytes) -> int | None:
    """Bytes of a whole answer, head and body; None until its head is complete."""
    end = answer.find(_END_OF_HEAD)
    if end < 0:
        return None
    head = answer[:end].lower()
    at = head.find(_LENGTH)
    length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return end + len(_END_OF_HEAD) + length


async def _saturate(url: str, requests: Iterator[bytes], connection_count: int, seconds: float) -> Answered:
    parts = urlsplit(url)
    latencies: list[float] = []
    started = time.perf_counter()
    in_time = itertools.takewhile(lambda _: time.perf_counter() - started < seconds, requests)
    next_request = partial(next, in_time, None)
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(connection_count):
        _, client = await loop.create_connection(
            lambda: _Client(next_request, latencies), parts.hostname or "", parts.port or 0
        )
        clients.append(client)
    await asyncio.gather(*(client.ended for client in clients))
    return Answered(time.perf_counter() - started, latencies, sum(client.refused for client in clients))
