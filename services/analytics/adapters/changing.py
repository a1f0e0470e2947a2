"""What changed in the mesh, as the services know that keep it: policies, models and experiments."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp
from journeymesh.experiments.v1 import experiments_pb2
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.scoring.v1 import models_pb2

from services.analytics.domain.changes import Change

if TYPE_CHECKING:
    from journeymesh.experiments.v1.experiments_pb2_grpc import ExperimentsServiceAsyncStub
    from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceAsyncStub
    from journeymesh.scoring.v1.models_pb2_grpc import ModelsServiceAsyncStub

_SECONDS: Final = 2.0
_MOST_HISTORIES: Final = 20


class PeerChanges(NamedTuple):
    """Asks the services."""

    intervention: "InterventionServiceAsyncStub"
    models: "ModelsServiceAsyncStub"
    experiments: "ExperimentsServiceAsyncStub"

    async def between(self, tenant: str, start_us: int, end_us: int) -> Sequence[Change]:
        """See `ports.Changes`."""
        every = await asyncio.gather(
            self._of_policies(tenant), self._of_models(tenant), self._of_experiments(tenant, start_us)
        )
        return [each for of in every for each in of if start_us <= each.time_us < end_us]

    async def _of_policies(self, tenant: str) -> Sequence[Change]:
        told = await self.intervention.ListPolicies(intervention_pb2.ListPoliciesRequest(), timeout=_SECONDS)
        return [
            Change(_us(each.start_time), "policy", each.version or "the mesh's own", "")
            for each in told.policies
            if each.tenant in ("", tenant)
        ]

    async def _of_models(self, tenant: str) -> Sequence[Change]:
        told = await self.models.ListModels(models_pb2.ListModelsRequest(), timeout=_SECONDS)
        return [
            # Who acts for the operator is no tenant's business, and only the operator changes models.
            Change(_us(each.change_time), "model", each.model_version, _stage(each), "" if tenant else each.actor)
            for each in told.changes
            if each.tenant in ("", tenant)
        ]

    async def _of_experiments(self, tenant: str, start_us: int) -> Sequence[Change]:
        told = await self.experiments.ListExperiments(
            experiments_pb2.ListExperimentsRequest(tenant=tenant), timeout=_SECONDS
        )
        # Of each the last change alone is listed.
        moved = [each for each in told.experiments if each.history and _us(each.history[-1].change_time) >= start_us]
        moved.sort(key=lambda each: -_us(each.history[-1].change_time))
        return [
            each
            for one in moved[:_MOST_HISTORIES]
            for each in await self._history(tenant, one.definition.experiment_id)
        ]

    async def _history(self, tenant: str, experiment_id: str) -> Sequence[Change]:
        asked = experiments_pb2.GetExperimentRequest(tenant=tenant, experiment_id=experiment_id)
        found = (await self.experiments.GetExperiment(asked, timeout=_SECONDS)).experiment
        return [
            Change(_us(each.change_time), "experiment", experiment_id, _state(each), each.actor)
            for each in found.history
        ]


def _stage(of: models_pb2.ModelChange) -> str:
    stage = models_pb2.ModelStage.Name(of.stage).removeprefix("MODEL_STAGE_").lower()
    return f"{stage}, {of.canary_percent:g} %" if of.canary_percent else stage


def _state(of: experiments_pb2.ExperimentChange) -> str:
    state = experiments_pb2.ExperimentState.Name(of.state).removeprefix("EXPERIMENT_STATE_").lower()
    return f"{state}, {of.percent:g} %" if of.percent else state


def _us(of: Timestamp) -> int:
    return of.ToMicroseconds()
