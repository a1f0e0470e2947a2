"""Composition root of the experiments service."""

from journeymesh.experiments.v1 import experiments_pb2
from journeymesh.experiments.v1.experiments_pb2_grpc import add_ExperimentsServiceServicer_to_server

from mesh.clock import monotonic_clock, system_clock
from mesh.process import lifecycle, server
from mesh.process.started import started
from mesh.settings import read_or_exit
from mesh.store import redis
from services.experiments import bootstrap
from services.experiments.adapters.redis import RedisExperiments
from services.experiments.settings import Settings


async def main() -> None:
    """Serves until the process is asked to stop."""
    settings = read_or_exit(Settings)
    async with started("experiments") as (client, telemetry, site):
        use_cases = bootstrap.over(
            RedisExperiments(client),
            system_clock,
            monotonic_clock,
            settings.most_units,
            bootstrap.signer(settings.key_file),
        )
        async with (
            bootstrap.background(use_cases, settings, telemetry, site.tls) as work,
            lifecycle.in_background(*work),
        ):
            await server.serve(
                settings.listen,
                [lambda grpc_server: add_ExperimentsServiceServicer_to_server(use_cases.servicer, grpc_server)],
                [experiments_pb2.DESCRIPTOR.services_by_name["ExperimentsService"].full_name],
                {"store": lambda: redis.ping(client)},
                telemetry,
                site,
            )


if __name__ == "__main__":
    lifecycle.run(main())
