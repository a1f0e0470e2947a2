"""The gRPC face of the experiments service: translate, call, translate."""

from journeymesh.experiments.v1 import experiments_pb2 as wire
from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceServicer

from mesh.rpc.context import ServerContext


class ExperimentsServicer(ExperimentsServiceServicer):
    """Serves `ExperimentsService`."""

    async def ListExperiments(
        self, _request: wire.ListExperimentsRequest, _context: ServerContext
    ) -> wire.ListExperimentsResponse:
        """Lists the experiments of a tenant."""
        return wire.ListExperimentsResponse()
