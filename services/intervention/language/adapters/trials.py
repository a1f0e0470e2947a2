"""The experiment that compares models, asked by gRPC."""

import logging
from typing import TYPE_CHECKING, Final

import grpc
from journeymesh.experiments.v1 import experiments_pb2 as wire
from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceStub

from mesh.errors import MeshError
from records.tenants import plain, tenant_of
from services.intervention.language.ports import Came, Trial

if TYPE_CHECKING:  # this name stands in the stubs only
    from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceAsyncStub

_SECONDS: Final = 1.0
_log = logging.getLogger(__name__)


class MeshTrials:
    """Asks the experiments service, over a channel that the caller opens and closes."""

    def __init__(self, channel: grpc.aio.Channel, experiment_id: str) -> None:
        self._stub: "ExperimentsServiceAsyncStub" = ExperimentsServiceStub(channel)
        self._experiment_id = experiment_id

    async def begin(self, user_id: str) -> Trial:
        """See `services.intervention.language.ports.Trials`."""
        asked = wire.AssignUnitsRequest(
            tenant=tenant_of(user_id),
            experiment_ids=[self._experiment_id],
            units=[wire.ExperimentUnit(unit=plain(user_id))],
            is_exposure=True,
        )
        try:
            found = await self._stub.AssignUnits(asked, timeout=_SECONDS)
        except MeshError as error:
            _log.warning("models are not compared now: %s", error)
            return Trial()
        told = next(iter(found.assignments), None)
        return Trial(told.value, told.takes_part) if told else Trial()

    async def report(self, user_id: str, came: Came) -> None:
        """See `services.intervention.language.ports.Trials`."""
        known = {"quality": float(came.is_used), "latency_ms": came.latency_ms, "cost_usd": came.cost_usd}
        outcomes = {name: value for name, value in known.items() if value is not None}
        report = wire.OutcomeOfUnit(unit=plain(user_id), report_id=came.intervention_id, outcomes=outcomes)
        asked = wire.RecordOutcomesRequest(
            tenant=tenant_of(user_id), experiment_id=self._experiment_id, reports=[report]
        )
        try:
            await self._stub.RecordOutcomes(asked, timeout=_SECONDS)
        except MeshError as error:
            _log.warning("what came of a model is not counted: %s", error)
