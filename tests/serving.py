"""Real servers in the test's own process."""

import contextlib
from collections.abc import AsyncIterator

import grpc

from mesh.observability import telemetry
from mesh.process.server import Register
from mesh.process.server import serving as serving_on
from mesh.rpc import channel


@contextlib.asynccontextmanager
async def serving(
    *registers: Register, observed_by: telemetry.Telemetry | None = None
) -> AsyncIterator[grpc.aio.Channel]:
    """A server with the real interceptors on a free port, and a channel to it."""
    traced = observed_by or telemetry.off()
    async with (
        serving_on("127.0.0.1:0", registers, [], {}, traced) as port,
        channel.dial(f"127.0.0.1:{port}", traced) as dialled,
    ):
        yield dialled
