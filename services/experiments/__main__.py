"""Composition root of the experiments service."""

import uvloop
from journeymesh.experiments.v1 import experiments_pb2
from journeymesh.experiments.v1.experiments_pb2_grpc import add_ExperimentsServiceServicer_to_server

from mesh.process import server
from mesh.process.started import started
from mesh.settings import read_or_exit
from mesh.state.redis import RedisState
from services.experiments.servicer import ExperimentsServicer
from services.experiments.settings import Settings


async def main() -> None:
    """Serves until the process is asked to stop."""
    settings = read_or_exit(Settings)
    async with started("experiments") as (client, telemetry, site):
        state = RedisState(client, "experiments", 90 * 86_400)
        servicer = ExperimentsServicer()
        await server.serve(
            settings.listen,
            [lambda grpc_server: add_ExperimentsServiceServicer_to_server(servicer, grpc_server)],
            [experiments_pb2.DESCRIPTOR.services_by_name["ExperimentsService"].full_name],
            {"store": state.ping},
            telemetry,
            site,
        )


if __name__ == "__main__":
    uvloop.run(main())
