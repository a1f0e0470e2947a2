"""Composition root of the intervention service."""

import logging
import sys

import uvloop
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.intervention.v1.intervention_pb2_grpc import add_InterventionServiceServicer_to_server

from mesh import settings
from mesh.observability import log, telemetry
from mesh.process import lifecycle, server
from mesh.process.site import ServerSettings, open_site
from mesh.rpc.tls import TlsSettings
from mesh.store import redis
from services.intervention import bootstrap
from services.intervention.policy.adapters.yaml import PolicyFile
from services.intervention.servicer import InterventionServicer
from services.intervention.settings import ChannelSettings, ModelSettings, Settings


async def main() -> None:
    """Runs the service until the process is asked to stop."""
    own, models = settings.read_or_exit(Settings), settings.read_or_exit(ModelSettings)
    sent = settings.read_or_exit(ChannelSettings)
    log.start("intervention", settings.read_or_exit(log.LogSettings))
    traced = telemetry.start("intervention", settings.read_or_exit(telemetry.TelemetrySettings))
    async with open_site(settings.read_or_exit(ServerSettings), settings.read_or_exit(TlsSettings)) as site:
        client = await redis.connect_or_exit(settings.read_or_exit(redis.RedisSettings))
        policies, file = bootstrap.kept(client), PolicyFile(own.policy)
        document = await file.read()
        await settings.or_exit(lambda: policies.begin(document))
        if models.language_model == "off":
            logging.getLogger(__name__).info("no language model is set up: all help has the text of its template")
        async with bootstrap.over_redis(client, policies, traced, own, models, sent, site.tls) as (
            core,
            workers,
            gauges,
        ):
            servicer = InterventionServicer(*core, traced.metrics)
            async with lifecycle.in_background(
                policies.watch(file.read), core.copywriter.run(), workers.run(), gauges.run()
            ):
                await server.serve(
                    own.listen,
                    [lambda grpc_server: add_InterventionServiceServicer_to_server(servicer, grpc_server)],
                    [intervention_pb2.DESCRIPTOR.services_by_name["InterventionService"].full_name],
                    {"store": lambda: redis.ping(client)},
                    traced,
                    site,
                )
    traced.close()
    await client.aclose()


if __name__ == "__main__":
    try:
        uvloop.run(main())
    except settings.SettingError as error:
        sys.exit(f"journeymesh: {error}")
