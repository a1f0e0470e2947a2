"""Stops a gRPC server so that no call is left unanswered.

A gRPC server that begins to stop first refuses the calls in its queue and then marks itself as stopping. A call that
reaches it between the two joins the queue, nobody takes it from there, and its caller waits until the deadline. The
queue is emptied again, and what is in it refused, when a connection of a stopping server ends. So the server has
connections of its own while it begins to stop, and ends them shortly after. They lead through a socket in a directory
that only the server's own user may enter.
"""

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import Final

import grpc

# The queue is emptied after each of these pauses. Calls on their way into it need far less, unless the machine is busy.
_PAUSES_SECONDS: Final = (0.01, 0.04)
_CONNECT_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def own_door(server: grpc.aio.Server) -> Iterator[str]:
    """Adds a socket for the server's own connections within the block; returns its path.

    Raises:
        OSError: no directory for temporary files can be written to.
    """
    with tempfile.TemporaryDirectory(prefix="journeymesh-") as directory:
        path = f"{directory}/door"
        server.add_insecure_port(f"unix:{path}")
        yield path


@contextlib.asynccontextmanager
async def refusing_queued(door: str) -> AsyncIterator[None]:
    """Refuses, as CANCELLED, what is left in the queue of a server that begins to stop within the block.

    Args:
        door: the path of the server's own socket.
    """
    with contextlib.ExitStack() as own:
        connections = [await _connected(door, own) for _ in _PAUSES_SECONDS]
        yield
        for pause, connection in zip(_PAUSES_SECONDS, connections, strict=True):
            await asyncio.sleep(pause)
            connection.close()


async def _connected(door: str, own: contextlib.ExitStack) -> contextlib.ExitStack:
    """Connects to the server; returns what closes the connection, as `own` does at the latest. Empty on failure."""
    connection = own.enter_context(contextlib.ExitStack())
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(door)
            connection.callback(writer.close)
            await reader.read(1)  # the server speaks first
    except OSError as error:
        _log.warning("calls that arrive at the stop may wait until their deadline: %r", error)
    return connection
