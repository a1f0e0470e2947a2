"""The gRPC face of the scoring service: translate, call, translate."""

import asyncio
from collections.abc import Sequence
from typing import Final

from journeymesh.common.v1 import erasure_pb2
from journeymesh.scoring.v1 import models_pb2
from journeymesh.scoring.v1 import scoring_pb2 as wire
from journeymesh.scoring.v1.models_pb2_grpc import ModelsServiceServicer
from journeymesh.scoring.v1.scoring_pb2_grpc import ScoringServiceServicer

from mesh.observability import registry
from mesh.observability.metrics import Metrics
from mesh.rpc.context import ServerContext
from mesh.state import applied, erasing
from services.scoring import translation
from services.scoring.domain.risk import Risk
from services.scoring.domain.rules import RULES_VERSION
from services.scoring.domain.schema import level_of
from services.scoring.usecases import Promotion, Scoring

_CHANGES: Final = {-1: "lower", 0: "same", 1: "higher"}


class ScoringServicer(ScoringServiceServicer):
    """Serves `ScoringService`."""

    def __init__(self, scoring: Scoring, metrics: Metrics) -> None:
        self._scoring = scoring
        self._metrics = metrics

    async def AssessUsers(self, request: wire.AssessUsersRequest, _context: ServerContext) -> wire.AssessUsersResponse:
        """Assesses every row of a batch."""
        rows = translation.rows_of(request)
        assessed = await self._scoring.assess(rows, applied.batch(request.position))
        if not request.position.is_retraction:
            self._count(rows.user_ids, [each.risk for each in assessed.assessments])
            self._compare(assessed.shadowed)
        return wire.AssessUsersResponse(
            assessments=map(translation.assessment_message, assessed.assessments, assessed.told),
            model_version=assessed.model_version,
            rules_version=RULES_VERSION,
            other_models=[
                wire.ModelRows(model_version=version, rows=its_rows) for version, its_rows in assessed.others.items()
            ],
            ignores_history=not assessed.takes_history,
            model_outcomes=[
                wire.ModelOutcome(model_version=version, outcome=outcome)
                for version, outcome in assessed.outcomes.items()
            ],
        )

    async def GetRisk(self, request: wire.GetRiskRequest, _context: ServerContext) -> wire.GetRiskResponse:
        """Reads a user's latest assessment with its explanation, and the history."""
        return translation.risk_message(request.user_id, await self._scoring.read(request.user_id), RULES_VERSION)

    async def GetUser(self, request: wire.GetUserRequest, _context: ServerContext) -> wire.GetUserResponse:
        """Reads a user's features and the assessment based on them."""
        return translation.user_message(request.user_id, await self._scoring.read(request.user_id), RULES_VERSION)

    async def GetModel(self, request: wire.GetModelRequest, _context: ServerContext) -> wire.GetModelResponse:
        """Reads which model is live."""
        return translation.model_message(self._scoring.model())

    async def EraseUser(self, request: wire.EraseUserRequest, _context: ServerContext) -> wire.EraseUserResponse:
        """Erases what is kept of a person, or counts it."""
        erasing.require_person(request.user_ids)
        if not request.counts_only:
            await self._scoring.erase(request.user_ids)
        kept = await self._scoring.kept(request.user_ids)
        return wire.EraseUserResponse(
            stores=[erasure_pb2.PersonalEntries(store=store, count=count) for store, count in kept.items()]
        )

    async def ExportUser(self, request: wire.ExportUserRequest, _context: ServerContext) -> wire.ExportUserResponse:
        """Reads all that is kept of a person."""
        erasing.require_person(request.user_ids)
        records = await self._scoring.export(request.user_ids)
        return wire.ExportUserResponse(
            records=[erasure_pb2.PersonalRecord(store=each.store, json=each.json) for each in records]
        )

    def _count(self, user_ids: Sequence[str], risks: Sequence[Risk]) -> None:
        self._metrics.count_each(registry.ASSESSMENTS, [risk.level.name.lower() for risk in risks])
        for risk in dict(zip(user_ids, risks, strict=True)).values():
            self._metrics.measure(registry.RISK_SCORE, risk.score)

    def _compare(self, shadowed: Sequence[tuple[Risk, float]]) -> None:
        for risk, score in shadowed:
            self._metrics.measure(registry.SHADOW_DIFFERENCE, abs(score - risk.score))
        pairs = [(level_of(score), risk.level) for risk, score in shadowed]
        changes = [_CHANGES[(would_be > is_now) - (would_be < is_now)] for would_be, is_now in pairs]
        self._metrics.count_each(registry.SHADOW_LEVELS, changes)


class ModelsServicer(ModelsServiceServicer):
    """Serves `ModelsService`. Files are read and written in threads."""

    def __init__(self, promotion: Promotion) -> None:
        self._promotion = promotion

    async def ListModels(
        self, request: models_pb2.ListModelsRequest, _context: ServerContext
    ) -> models_pb2.ListModelsResponse:
        """Lists the models, if they are wanted, what they are used for, and what was changed."""
        if request.stages_only:
            return translation.models_message((), await asyncio.to_thread(self._promotion.stages))
        return translation.models_message(*await asyncio.to_thread(self._promotion.models))

    async def SetModelStage(
        self, request: models_pb2.SetModelStageRequest, _context: ServerContext
    ) -> models_pb2.SetModelStageResponse:
        """Gives a model another stage."""
        after = await asyncio.to_thread(self._promotion.move, translation.wanted(request))
        return models_pb2.SetModelStageResponse(stages=translation.stages_message(request.tenant, after))

    async def RollBackModel(
        self, request: models_pb2.RollBackModelRequest, _context: ServerContext
    ) -> models_pb2.RollBackModelResponse:
        """Ends the canary, or makes the model live that was so before."""
        after = await asyncio.to_thread(self._promotion.roll_back, request.tenant, request.actor, request.why)
        return models_pb2.RollBackModelResponse(stages=translation.stages_message(request.tenant, after))
