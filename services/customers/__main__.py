"""Composition root of the customers service."""

from journeymesh.customers.v1 import customers_pb2, predictions_pb2, segments_pb2
from journeymesh.customers.v1.customers_pb2_grpc import add_CustomersServiceServicer_to_server
from journeymesh.customers.v1.predictions_pb2_grpc import add_CustomerPredictionsServiceServicer_to_server
from journeymesh.customers.v1.segments_pb2_grpc import add_CustomerSegmentsServiceServicer_to_server

from mesh import clock
from mesh.process import lifecycle, server
from mesh.process.started import started
from mesh.settings import read_or_exit
from mesh.state.redis import RedisState
from services.customers.adapters.fits import RedisFits
from services.customers.foretelling import Foretelling
from services.customers.predictions import PredictionsServicer
from services.customers.segments import CustomerSegmentsServicer
from services.customers.servicer import CustomersServicer
from services.customers.settings import Settings
from services.customers.usecases import Purchases


async def main() -> None:
    """Serves until the process is asked to stop."""
    settings = read_or_exit(Settings)
    async with started("customers") as (client, telemetry, site):
        state = RedisState(client, "customers", settings.lifetime_seconds)
        learnt = RedisFits(client)
        foretelling = Foretelling(state, learnt)
        servicer = CustomersServicer(Purchases(state, learnt), clock.system_clock)
        predictions = PredictionsServicer(foretelling, clock.system_clock)
        segments = CustomerSegmentsServicer(foretelling, clock.system_clock)
        await server.serve(
            settings.listen,
            [
                lambda grpc_server: add_CustomersServiceServicer_to_server(servicer, grpc_server),
                lambda grpc_server: add_CustomerPredictionsServiceServicer_to_server(predictions, grpc_server),
                lambda grpc_server: add_CustomerSegmentsServiceServicer_to_server(segments, grpc_server),
            ],
            [
                customers_pb2.DESCRIPTOR.services_by_name["CustomersService"].full_name,
                predictions_pb2.DESCRIPTOR.services_by_name["CustomerPredictionsService"].full_name,
                segments_pb2.DESCRIPTOR.services_by_name["CustomerSegmentsService"].full_name,
            ],
            {"store": state.ping},
            telemetry,
            site,
        )


if __name__ == "__main__":
    lifecycle.run(main())
