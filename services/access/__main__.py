"""Composition root of the access service."""

import secrets

import uvloop
from journeymesh.access.v1 import access_pb2
from journeymesh.access.v1.access_pb2_grpc import add_AccessServiceServicer_to_server

from mesh.clock import system_clock
from mesh.observability import log, telemetry
from mesh.observability.telemetry import TelemetrySettings
from mesh.process import server
from mesh.process.site import ServerSettings, open_site
from mesh.rpc.tls import TlsSettings
from mesh.settings import read_or_exit
from mesh.store import redis
from services.access.adapters.redis import RedisKeys
from services.access.servicer import AccessServicer
from services.access.settings import Settings
from services.access.translation import VOCABULARY
from services.access.usecases import Access


async def main() -> None:
    """Runs the service until the process is told to end."""
    settings, telemetry_settings = read_or_exit(Settings), read_or_exit(TelemetrySettings)
    log.start("access", read_or_exit(log.LogSettings))
    traced = telemetry.start("access", telemetry_settings)
    async with open_site(read_or_exit(ServerSettings), read_or_exit(TlsSettings)) as site:
        client = await redis.connect_or_exit(read_or_exit(redis.RedisSettings))
        store = RedisKeys(client)
        servicer = AccessServicer(Access(store, VOCABULARY, system_clock, secrets.token_bytes))
        await server.serve(
            settings.listen,
            [lambda grpc_server: add_AccessServiceServicer_to_server(servicer, grpc_server)],
            [access_pb2.DESCRIPTOR.services_by_name["AccessService"].full_name],
            {"store": store.ping},
            traced,
            site,
        )
    traced.close()
    await client.aclose()


if __name__ == "__main__":
    uvloop.run(main())
