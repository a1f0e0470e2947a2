"""A virtual address of the test's own: each new connection goes to a replica that is ready, as in a cluster."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Virtual:
    """Leads every new connection to the first replica that is ready; refuses it where none is."""

    def __init__(self) -> None:
        self.ready: list[str] = []
        self.port = 0
        self._piping: set[asyncio.Task[None]] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.ready:
            writer.transport.abort()
            return
        host, _, port = self.ready[0].rpartition(":")
        try:
            inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.transport.abort()
            return
        for source, sink in ((reader, inner_writer), (inner_reader, writer)):
            task = asyncio.create_task(_pipe(source, sink))
            self._piping.add(task)
            task.add_done_callback(self._piping.discard)

    async def close(self) -> None:
        for task in [*self._piping]:
            task.cancel()
        await asyncio.gather(*self._piping, return_exceptions=True)


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    sink.close()


@contextlib.asynccontextmanager
async def virtual_address() -> AsyncIterator[Virtual]:
    """A virtual address that leads on within the block."""
    virtual = Virtual()
    server = await asyncio.start_server(virtual.connected, "127.0.0.1", 0)
    virtual.port = server.sockets[0].getsockname()[1]
    async with server:
        yield virtual
        await virtual.close()
