"""Real servers in the test's own process."""

import contextlib
from collections.abc import AsyncIterator
from typing import Final

import grpc

from mesh.observability import telemetry
from mesh.process.server import Register
from mesh.process.server import serving as serving_on
from mesh.rpc import channel

# What is tested answers in milliseconds; a process of its own that must start first may wait for a core.
_TIMEOUT_SECONDS: Final = 30.0


@contextlib.asynccontextmanager
async def serving(
    *registers: Register, observed_by: telemetry.Telemetry | None = None
) -> AsyncIterator[grpc.aio.Channel]:
    """A server with the real interceptors on a free port, and a channel to it."""
    traced = observed_by or telemetry.off()
    async with (
        serving_on("127.0.0.1:0", registers, [], {}, traced) as port,
        channel.dial(f"127.0.0.1:{port}", traced, timeout_seconds=_TIMEOUT_SECONDS) as dialled,
    ):
        yield dialled
