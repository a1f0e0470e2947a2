"""Tells the experiments service, by gRPC."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.wrappers_pb2 import DoubleValue
from journeymesh.experiments.v1 import experiments_pb2 as wire
from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceStub

from mesh.rpc.timestamps import timestamp
from services.intervention.lift.domain.report import Kind, Report, kind

if TYPE_CHECKING:  # this name stands in the stubs only
    from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceAsyncStub

_SECONDS: Final = 10.0


class ToldExperiments:
    """Tells over a channel that the caller opens and closes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: "ExperimentsServiceAsyncStub" = ExperimentsServiceStub(channel)

    async def tell(self, reports: Sequence[Report]) -> None:
        """See `services.intervention.lift.ports.Told`."""
        tenant, experiment_id = reports[0].tenant, reports[0].experiment_id
        told_of = kind(reports[0])
        if told_of is Kind.MET:
            met = [
                wire.UnitExposure(
                    unit=each.unit,
                    arm=each.arm,
                    before=DoubleValue(value=each.before),
                    exposure_time=timestamp(each.at_us) if each.at_us else None,
                )
                for each in reports
            ]
            asked = wire.RecordExposuresRequest(tenant=tenant, experiment_id=experiment_id, exposures=met)
            await self._stub.RecordExposures(asked, timeout=_SECONDS)
            return
        came = [
            wire.OutcomeOfUnit(
                unit=each.unit,
                outcomes={each.outcome: 1.0},
                outcome_time=timestamp(each.at_us) if each.at_us else None,
            )
            for each in reports
        ]
        told = wire.RecordOutcomesRequest(
            tenant=tenant, experiment_id=experiment_id, reports=came, is_of_anybody=told_of is Kind.THERE
        )
        await self._stub.RecordOutcomes(told, timeout=_SECONDS)
