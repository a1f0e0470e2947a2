"""A server that refuses every request at next to no cost, so that what a load generator costs can be told apart."""

import asyncio
import contextlib
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Final, cast

import uvloop

_ANSWER: Final = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"


@contextlib.contextmanager
def sink(request_bytes: int) -> Iterator[str]:
    """A sink in a process of its own, for requests of this size, and its URL."""
    told, tell = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=_run, args=(request_bytes, tell), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{told.recv()}"
    finally:
        process.terminate()
        process.join()


class _Sink(asyncio.Protocol):
    def __init__(self, request_bytes: int) -> None:
        self._request_bytes = request_bytes
        self._unanswered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Answers every request that is complete."""
        count, self._unanswered = divmod(self._unanswered + len(data), self._request_bytes)
        if count:
            self._transport.write(_ANSWER * count)


def _run(request_bytes: int, tell: Connection) -> None:
    uvloop.run(_serve(request_bytes, tell))


async def _serve(request_bytes: int, tell: Connection) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Sink(request_bytes), "127.0.0.1", 0)
    tell.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()
