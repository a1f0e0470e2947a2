"""What scoring models are used for, asked and changed by gRPC."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

import grpc
from journeymesh.scoring.v1 import models_pb2 as wire
from journeymesh.scoring.v1.models_pb2_grpc import ModelsServiceStub

from services.experiments.domain.canary import Move, Staged

if TYPE_CHECKING:  # this name stands in the stubs only
    from journeymesh.scoring.v1.models_pb2_grpc import ModelsServiceAsyncStub

_SECONDS: Final = 2.0
# A model is loaded and tried before it becomes live.
_LOAD_SECONDS: Final = 20.0


class MeshStages:
    """Asks scoring over a channel that the caller opens and closes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: "ModelsServiceAsyncStub" = ModelsServiceStub(channel)

    async def of(self, tenants: Collection[str]) -> Mapping[str, Staged]:
        """See `services.experiments.ports.Stages`."""
        answer = await self._stub.ListModels(wire.ListModelsRequest(stages_only=True), timeout=_SECONDS)
        own = {each.tenant: each for each in answer.stages}
        everybody = answer.stages[0]
        return {tenant: _staged(own.get(tenant, everybody), answer) for tenant in tenants}

    async def move(self, tenant: str, move: Move, actor: str, why: str) -> None:
        """See `services.experiments.ports.Stages`."""
        asked = wire.SetModelStageRequest(
            model_version=move.version,
            stage=wire.MODEL_STAGE_LIVE if move.is_live else wire.MODEL_STAGE_CANDIDATE,
            tenant=tenant,
            actor=actor,
            why=why,
        )
        await self._stub.SetModelStage(asked, timeout=_LOAD_SECONDS)


def _staged(stages: wire.ModelStages, answer: wire.ListModelsResponse) -> Staged:
    # Only the last changes are kept, of all tenants: what is not among them was before, but nobody knows how long.
    since, by = min((each.change_time.seconds for each in answer.changes), default=0), ""
    for each in reversed(answer.changes):  # the newest comes last, and counts
        if each.tenant != stages.tenant:
            continue
        if each.stage == wire.MODEL_STAGE_CANARY and each.model_version == stages.canary:
            since = each.change_time.seconds
        if each.stage == wire.MODEL_STAGE_LIVE:
            by = each.actor
    before = stages.earlier[0] if stages.earlier else ""
    return Staged(stages.live, stages.canary, stages.canary_percent / 100, since, by, before)
