"""What a service with a store needs before it serves: log, telemetry, site and the connection to the store."""

import contextlib
from collections.abc import AsyncIterator

from mesh.observability import log, telemetry
from mesh.observability.telemetry import Telemetry, TelemetrySettings
from mesh.process.lifecycle import dump_no_core
from mesh.process.site import ServerSettings, Site, open_site
from mesh.rpc.tls import TlsSettings
from mesh.settings import read_or_exit
from mesh.store import redis


@contextlib.asynccontextmanager
async def started(service: str) -> AsyncIterator[tuple[redis.Client, Telemetry, Site]]:
    """Starts all of it by its settings, for the duration of the block. A wrong setting ends the process."""
    dump_no_core()
    log.start(service, read_or_exit(log.LogSettings))
    traced = telemetry.start(service, read_or_exit(TelemetrySettings))
    async with open_site(read_or_exit(ServerSettings), read_or_exit(TlsSettings)) as site:
        client = await redis.connect_or_exit(read_or_exit(redis.RedisSettings))
        yield client, traced, site
    traced.close()
    await client.aclose()
