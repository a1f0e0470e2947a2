"""Composition root of the customers service."""

import uvloop
from journeymesh.customers.v1 import customers_pb2
from journeymesh.customers.v1.customers_pb2_grpc import add_CustomersServiceServicer_to_server

from mesh import clock
from mesh.process import server
from mesh.process.started import started
from mesh.settings import read_or_exit
from mesh.state.redis import RedisState
from services.customers.servicer import CustomersServicer
from services.customers.settings import Settings
from services.customers.usecases import Purchases


async def main() -> None:
    """Serves until the process is asked to stop."""
    settings = read_or_exit(Settings)
    async with started("customers") as (client, telemetry, site):
        state = RedisState(client, "customers", settings.lifetime_seconds)
        servicer = CustomersServicer(Purchases(state), clock.system_clock)
        await server.serve(
            settings.listen,
            [lambda grpc_server: add_CustomersServiceServicer_to_server(servicer, grpc_server)],
            [customers_pb2.DESCRIPTOR.services_by_name["CustomersService"].full_name],
            {"store": state.ping},
            telemetry,
            site,
        )


if __name__ == "__main__":
    uvloop.run(main())
