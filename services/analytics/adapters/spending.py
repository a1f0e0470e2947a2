"""What language models cost a tenant, as the intervention service counted it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from journeymesh.intervention.v1 import intervention_pb2

if TYPE_CHECKING:
    from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceAsyncStub

_MICRO: Final = 1_000_000
_SECONDS: Final = 2.0


class PeerSpending:
    """Asks the intervention service."""

    def __init__(self, stub: "InterventionServiceAsyncStub") -> None:
        self._stub = stub

    async def usd_by_day(self, tenant: str, day_count: int) -> Mapping[int, float]:
        """See `ports.Spending`."""
        request = intervention_pb2.GetModelUsageRequest(tenant=tenant, day_count=day_count)
        told = await self._stub.GetModelUsage(request, timeout=_SECONDS)
        return {day.start_time.seconds * _MICRO: day.cost_micro_usd / _MICRO for day in told.days}
