"""Compares stacks and event loops for `POST /api/events/track` by CPU per request and per event.

Run: `python -m bench.http_servers [seconds]`. Each server is its own process on loopback; this process sends over 32
connections that each wait for their answer. CPU time is the server process's own, so those figures are valid on a busy
machine too, while requests per second are not.
"""

import asyncio
import multiprocessing
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, cast

import msgspec
import psutil
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.harness.connections import post
from bench.harness.cpu import cpu_seconds

_CONNECTIONS: Final = 32
_EVENT: Final = {
    "eventId": "01890a5d-ac96-774b-bcce-b302099a8057",
    "userId": "user-0001",
    "sessionId": "s-1",
    "eventType": "feature_interaction",
    "timestamp": "2026-01-02T10:00:30Z",
    "properties": {"page": "/calculator", "feature": "loan_amount", "value": 25000},
    "context": {"platform": "web", "timeZone": "Europe/Berlin"},
}
_ANSWER: Final = b'{"accepted":1}'

Scope = dict[str, Any]
Receive = Callable[[], Coroutine[Any, Any, dict[str, Any]]]
Send = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]


class _Properties(msgspec.Struct):
    page: str = ""
    feature: str = ""


class _Event(msgspec.Struct, rename="camel"):
    event_id: str
    user_id: str
    event_type: str
    timestamp: str
    session_id: str = ""
    properties: _Properties | None = None


class _Batch(msgspec.Struct):
    events: list[_Event]


_decode: Final = msgspec.json.Decoder(_Batch).decode


async def _starlette_track(request: Request) -> Response:
    _decode(await request.body())
    return Response(_ANSWER, 202, media_type="application/json")


async def raw_asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """The same without a framework."""
    if scope["type"] != "http":
        return
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    _decode(b"".join(chunks))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_ANSWER))]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": _ANSWER})


starlette = Starlette(routes=[Route("/api/events/track", _starlette_track, methods=["POST"])])

SERVERS: Final[list[tuple[str, Any, str, str]]] = [
    ("starlette, asyncio, h11", starlette, "asyncio", "h11"),
    ("starlette, asyncio, httptools", starlette, "asyncio", "httptools"),
    ("starlette, uvloop, httptools", starlette, "uvloop", "httptools"),
    ("raw ASGI, asyncio, httptools", raw_asgi, "asyncio", "httptools"),
    ("raw ASGI, uvloop, httptools", raw_asgi, "uvloop", "httptools"),
]


def _serve(index: int, listener: socket.socket) -> None:
    _, app, loop, http = SERVERS[index]
    config = uvicorn.Config(app, loop=loop, http=http, log_level="error", access_log=False, lifespan="off")
    uvicorn.Server(config).run([listener])


class _Caller(asyncio.Protocol):
    """Sends the same request repeatedly, each after the previous answer."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.answer_count = 0
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the first request."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Sends the next request once the answer is complete: it ends with the body, too short to be split."""
        if data.endswith(_ANSWER):
            self.answer_count += 1
            self._transport.write(self._request)


async def _load(port: int, request: bytes, seconds: float) -> int:
    loop = asyncio.get_running_loop()
    callers: list[_Caller] = []
    transports: list[asyncio.Transport] = []
    for _ in range(_CONNECTIONS):
        transport, caller = await loop.create_connection(partial(_Caller, request), "127.0.0.1", port)
        callers.append(caller)
        transports.append(transport)
    await asyncio.sleep(seconds)
    count = sum(caller.answer_count for caller in callers)
    for transport in transports:
        transport.abort()
    return count


def _request(event_count: int) -> bytes:
    return post("/api/events/track", msgspec.json.encode({"events": [_EVENT] * event_count}))


def _measure(index: int, event_count: int, seconds: float) -> tuple[float, float]:
    """Requests per second, and the server's CPU per request in microseconds."""
    # If the protocol is given, asyncio disables Nagle's algorithm; otherwise each answer waits 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(index, listener), daemon=True)
    server.start()
    try:
        port, request = listener.getsockname()[1], _request(event_count)
        uvloop.run(_load(port, request, 0.5))
        process = psutil.Process(server.pid)
        before, began = cpu_seconds(process), time.perf_counter()
        count = uvloop.run(_load(port, request, seconds))
        elapsed = time.perf_counter() - began
        spent = cpu_seconds(process) - before
    finally:
        server.terminate()
        server.join()
        listener.close()
    return count / elapsed, spent / count * 1e6


def main() -> None:
    """Prints one line per server and request size."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    print(f"{'server':32} {'events':>6} {'requests/s':>11} {'events/s':>10} {'CPU us/request':>15} {'us/event':>9}")
    for index, (name, *_) in enumerate(SERVERS):
        for event_count in (1, 100):
            rate, cpu = _measure(index, event_count, seconds)
            events = rate * event_count
            print(f"{name:32} {event_count:6} {rate:11.0f} {events:10.0f} {cpu:15.1f} {cpu / event_count:9.2f}")


if __name__ == "__main__":
    main()
