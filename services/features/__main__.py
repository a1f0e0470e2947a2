"""Runs the features service: `python -m services.features`."""

import uvloop
from journeymesh.features.v1 import features_pb2
from journeymesh.features.v1.features_pb2_grpc import add_FeaturesServiceServicer_to_server

from mesh.observability import log, telemetry
from mesh.process import server
from mesh.process.site import ServerSettings, open_site
from mesh.rpc.tls import TlsSettings
from mesh.settings import read_or_exit
from mesh.state.redis import RedisState
from mesh.store import redis
from services.features.servicer import FeaturesServicer
from services.features.settings import Settings
from services.features.usecases import Features

SERVICE = features_pb2.DESCRIPTOR.services_by_name["FeaturesService"].full_name
SECONDS_A_DAY = 86_400


async def main() -> None:
    """Serves until the process is asked to stop."""
    settings = read_or_exit(Settings)
    log.start("features", read_or_exit(log.LogSettings))
    traced = telemetry.start("features", read_or_exit(telemetry.TelemetrySettings))
    async with open_site(read_or_exit(ServerSettings), read_or_exit(TlsSettings)) as site:
        client = await redis.connect_or_exit(read_or_exit(redis.RedisSettings))
        state = RedisState(client, "features", settings.state_days * SECONDS_A_DAY)
        servicer = FeaturesServicer(Features(state), traced.metrics)
        await server.serve(
            settings.listen,
            [lambda to: add_FeaturesServiceServicer_to_server(servicer, to)],
            [SERVICE],
            {"store": state.ping},
            traced,
            site,
        )
    traced.close()
    await client.aclose()


if __name__ == "__main__":
    uvloop.run(main())
