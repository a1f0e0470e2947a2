"""The gRPC face of the limits: translate, call, translate."""

from journeymesh.access.v1 import limits_pb2 as wire
from journeymesh.access.v1.limits_pb2_grpc import LimitsServiceServicer

from mesh.rpc.context import ServerContext
from services.access.limits import translation
from services.access.limits.usecases import Limits


class LimitsServicer(LimitsServiceServicer):
    """Serves `LimitsService`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def SpendUnits(self, request: wire.SpendUnitsRequest, _context: ServerContext) -> wire.SpendUnitsResponse:
        """Counts units as spent, and returns where each limit stands after it."""
        return wire.SpendUnitsResponse(full_in_us=await self._limits.spend(translation.spent_of(request)))
