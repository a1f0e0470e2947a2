"""Composition root of the intervention service."""

import logging

from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.intervention.v1.intervention_pb2_grpc import add_InterventionServiceServicer_to_server

from mesh.process import lifecycle, server
from mesh.process.started import started
from mesh.settings import or_exit, read_or_exit
from mesh.store import redis
from services.intervention import bootstrap
from services.intervention.servicer import InterventionServicer
from services.intervention.settings import ChannelSettings, ModelSettings, Settings


async def main() -> None:
    """Runs the service until the process is asked to stop."""
    own, models, sent = read_or_exit(Settings), read_or_exit(ModelSettings), read_or_exit(ChannelSettings)
    async with started("intervention") as (client, traced, site):
        policies = bootstrap.kept(client)
        if models.language_model == "off":
            logging.getLogger(__name__).info("no language model is set up: all help has the text of its template")
        over_redis = bootstrap.over_redis(client, policies, traced, own, models, sent, site.tls)
        recording = bootstrap.recording(client, own.access_target, traced, site.tls)
        documents = bootstrap.documents(client, own, models.experiments_target, traced, site.tls)
        async with documents as read, over_redis as (core, works), recording as recordings:
            await or_exit(lambda: policies.begin(read))
            await or_exit(core.copywriter.prompts.begin)
            servicer = InterventionServicer(*core, traced.metrics)
            async with lifecycle.in_background(
                policies.watch(read),
                core.copywriter.run(),
                core.live.run(),
                *(each.run() for each in (*works, *recordings)),
            ):
                await server.serve(
                    own.listen,
                    [lambda grpc_server: add_InterventionServiceServicer_to_server(servicer, grpc_server)],
                    [intervention_pb2.DESCRIPTOR.services_by_name["InterventionService"].full_name],
                    {"store": lambda: redis.ping(client)},
                    traced,
                    site,
                )


if __name__ == "__main__":
    lifecycle.run(main())
