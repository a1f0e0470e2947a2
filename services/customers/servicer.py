"""The gRPC face of the customers service: translate, call, translate."""

from journeymesh.customers.v1 import customers_pb2 as wire
from journeymesh.customers.v1.customers_pb2_grpc import CustomersServiceServicer

from mesh.errors import NotFound
from mesh.rpc.context import ServerContext


class CustomersServicer(CustomersServiceServicer):
    """Serves `CustomersService`."""

    async def GetCustomer(self, _request: wire.GetCustomerRequest, _context: ServerContext) -> wire.GetCustomerResponse:
        """Reads a customer."""
        raise NotFound("USER_NOT_FOUND", "This user has bought nothing.")
