"""The experiments that compare models and prompts, asked by gRPC."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.wrappers_pb2 import DoubleValue
from journeymesh.experiments.v1 import experiments_pb2 as wire
from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceStub

from mesh.errors import MeshError
from mesh.rpc.timestamps import timestamp
from records.tenants import plain, tenant_of
from services.intervention.language.ports import Came, Trial, TrialArm

if TYPE_CHECKING:  # this name stands in the stubs only
    from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceAsyncStub

_SECONDS: Final = 1.0
_log = logging.getLogger(__name__)


class MeshTrials:
    """Asks the experiments service, over a channel that the caller opens and closes.

    Args:
        channel: to the service.
        of_models: the experiment that compares models; empty for none.
        of_prompts: the one that compares prompts.
    """

    def __init__(self, channel: grpc.aio.Channel, of_models: str, of_prompts: str) -> None:
        self._stub: "ExperimentsServiceAsyncStub" = ExperimentsServiceStub(channel)
        self._of_models = of_models
        self._of_prompts = of_prompts

    async def begin(self, user_id: str) -> Trial:
        """See `services.intervention.language.ports.Trials`."""
        asked = wire.AssignUnitsRequest(
            tenant=tenant_of(user_id),
            experiment_ids=[each for each in (self._of_models, self._of_prompts) if each],
            units=[wire.ExperimentUnit(unit=plain(user_id))],
        )
        try:
            found = await self._stub.AssignUnits(asked, timeout=_SECONDS)
        except MeshError as error:
            _log.warning("models and prompts are not compared now: %s", error)
            return Trial()
        arms = {
            each.experiment_id: TrialArm(each.experiment_id, each.arm, each.value, each.takes_part)
            for each in found.assignments
        }
        return Trial(arms.get(self._of_models), arms.get(self._of_prompts))

    async def meet(self, user_id: str, arms: Sequence[TrialArm], before: float, at_us: int) -> Sequence[TrialArm]:
        """See `services.intervention.language.ports.Trials`."""
        counted = []
        for arm in arms:
            if not arm.takes_part:
                continue
            met = wire.UnitExposure(
                unit=plain(user_id),
                arm=arm.name,
                before=DoubleValue(value=before),
                exposure_time=timestamp(at_us),
            )
            asked = wire.RecordExposuresRequest(
                tenant=tenant_of(user_id), experiment_id=arm.experiment_id, exposures=[met]
            )
            try:
                await self._stub.RecordExposures(asked, timeout=_SECONDS)
            except MeshError as error:
                _log.warning("a user of the experiment %s does not count: %s", arm.experiment_id, error)
            else:
                counted.append(arm)
        return counted

    async def report(self, user_id: str, arms: Sequence[TrialArm], came: Came) -> None:
        """See `services.intervention.language.ports.Trials`."""
        known = {
            "quality": float(came.is_used),
            "latency_ms": came.latency_ms,
            "cost_usd": came.cost_usd,
            "confidence": came.confidence,
        }
        outcomes = {name: value for name, value in known.items() if value is not None}
        if came.outcome:
            outcomes[came.outcome] = 1.0
        report = wire.OutcomeOfUnit(unit=plain(user_id), report_id=came.intervention_id, outcomes=outcomes)
        for arm in arms:
            asked = wire.RecordOutcomesRequest(
                tenant=tenant_of(user_id), experiment_id=arm.experiment_id, reports=[report]
            )
            try:
                await self._stub.RecordOutcomes(asked, timeout=_SECONDS)
            except MeshError as error:
                _log.warning("what came of words is not counted by %s: %s", arm.experiment_id, error)
