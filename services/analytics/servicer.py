"""The gRPC face of analytics: translate, call, translate."""

from collections.abc import AsyncIterator
from typing import Final, TypeVar

from google.protobuf.message import Message
from journeymesh.analytics.v1 import analytics_pb2 as wire
from journeymesh.analytics.v1.analytics_pb2_grpc import AnalyticsServiceServicer

from mesh.clock import Clock
from mesh.errors import InvalidArgument
from mesh.rpc.context import ServerContext
from services.analytics import translation
from services.analytics.domain.question import Question
from services.analytics.ports import Files
from services.analytics.usecases import Answered, Asking, Costing, Saving

_CHUNK_BYTES: Final = 1_048_576
_Response = TypeVar("_Response", bound=Message)


class AnalyticsServicer(AnalyticsServiceServicer):
    """Serves `AnalyticsService`."""

    def __init__(self, asking: Asking, costing: Costing, segments: Saving, files: Files, clock: Clock) -> None:
        self._asking = asking
        self._costing = costing
        self._segments = segments
        self._files = files
        self._clock = clock

    async def AskKpis(self, request: wire.AskKpisRequest, _context: ServerContext) -> wire.AskKpisResponse:
        """Answers with key figures."""
        question = translation.kpis_of(request.question, self._clock())
        return await self._filled(wire.AskKpisResponse(), request.tenant, question)

    async def AskTrend(self, request: wire.AskTrendRequest, _context: ServerContext) -> wire.AskTrendResponse:
        """Answers with a figure over time."""
        question = translation.trend_of(request.question, self._clock())
        return await self._filled(wire.AskTrendResponse(), request.tenant, question)

    async def AskFunnel(self, request: wire.AskFunnelRequest, _context: ServerContext) -> wire.AskFunnelResponse:
        """Answers with a funnel."""
        question = translation.funnel_of(request.question, self._clock())
        return await self._filled(wire.AskFunnelResponse(), request.tenant, question)

    async def AskRetention(
        self, request: wire.AskRetentionRequest, _context: ServerContext
    ) -> wire.AskRetentionResponse:
        """Answers with who comes back."""
        question = translation.retention_of(request.question, self._clock())
        return await self._filled(wire.AskRetentionResponse(), request.tenant, question)

    async def AskPaths(self, request: wire.AskPathsRequest, _context: ServerContext) -> wire.AskPathsResponse:
        """Answers with the ways that sessions take."""
        question = translation.paths_of(request.question, self._clock())
        return await self._filled(wire.AskPathsResponse(), request.tenant, question)

    async def AskStruggles(
        self, request: wire.AskStrugglesRequest, _context: ServerContext
    ) -> wire.AskStrugglesResponse:
        """Answers with where users struggle."""
        question = translation.struggles_of(request.question, self._clock())
        return await self._filled(wire.AskStrugglesResponse(), request.tenant, question)

    async def AskJourney(self, request: wire.AskJourneyRequest, _context: ServerContext) -> wire.AskJourneyResponse:
        """Answers with a user's journey."""
        question = translation.journey_of(request.question, self._clock())
        return await self._filled(wire.AskJourneyResponse(), request.tenant, question)

    async def AskList(self, request: wire.AskListRequest, _context: ServerContext) -> wire.AskListResponse:
        """Answers with users or decisions."""
        question = translation.listing_of(request.question, self._clock())
        return await self._filled(wire.AskListResponse(), request.tenant, question)

    async def AskEffect(self, request: wire.AskEffectRequest, _context: ServerContext) -> wire.AskEffectResponse:
        """Answers with what help changed."""
        question = translation.effect_of(request.question, self._clock())
        return await self._filled(wire.AskEffectResponse(), request.tenant, question)

    async def AskCalibration(
        self, request: wire.AskCalibrationRequest, _context: ServerContext
    ) -> wire.AskCalibrationResponse:
        """Answers with whether what a model said came true."""
        question = translation.calibration_of(request.question, self._clock())
        return await self._filled(wire.AskCalibrationResponse(), request.tenant, question)

    async def AskDrift(self, request: wire.AskDriftRequest, _context: ServerContext) -> wire.AskDriftResponse:
        """Answers with what moved."""
        question = translation.drift_of(request.question, self._clock())
        return await self._filled(wire.AskDriftResponse(), request.tenant, question)

    async def AskInsights(self, request: wire.AskInsightsRequest, _context: ServerContext) -> wire.AskInsightsResponse:
        """Answers with when key figures were unusual."""
        question = translation.insights_of(request.question, self._clock())
        return await self._filled(wire.AskInsightsResponse(), request.tenant, question)

    async def AskCosts(self, request: wire.AskCostsRequest, _context: ServerContext) -> wire.AskCostsResponse:
        """Answers with what the mesh cost."""
        question = translation.costs_of(request.question, self._clock())
        return await self._filled(wire.AskCostsResponse(), request.tenant, question)

    async def GetBudget(self, request: wire.GetBudgetRequest, _context: ServerContext) -> wire.GetBudgetResponse:
        """Tells a tenant's budget."""
        found = await self._costing.budget(request.tenant)
        return wire.GetBudgetResponse(budget=translation.budget_message(found))

    async def SetBudget(self, request: wire.SetBudgetRequest, _context: ServerContext) -> wire.SetBudgetResponse:
        """Sets a tenant's budget."""
        daily_usd = request.daily_usd.value if request.HasField("daily_usd") else None
        after = await self._costing.set_budget(request.tenant, daily_usd, request.by)
        return wire.SetBudgetResponse(budget=translation.budget_message(after))

    async def ExportAnswer(
        self, request: wire.ExportAnswerRequest, _context: ServerContext
    ) -> AsyncIterator[wire.ExportAnswerResponse]:
        """Answers with a file."""
        which = request.WhichOneof("question")
        if which is None:
            raise InvalidArgument("MISSING_FIELD", "It needs a question.")
        question = translation.EXPORTED[which].read(getattr(request, which), self._clock())
        answer, receipt = await self._ask(request.tenant, question)
        is_parquet = request.format == wire.EXPORT_FORMAT_PARQUET
        content = self._files.parquet(answer, receipt) if is_parquet else self._files.csv(answer)
        yield wire.ExportAnswerResponse(content=content[:_CHUNK_BYTES], receipt=translation.receipt_of(receipt))
        for start in range(_CHUNK_BYTES, len(content), _CHUNK_BYTES):
            yield wire.ExportAnswerResponse(content=content[start : start + _CHUNK_BYTES])

    async def _filled(self, message: _Response, tenant: str, question: Question) -> _Response:
        answer, receipt = await self._ask(tenant, question)
        translation.fill(message, answer)
        translation.fill_receipt(message, receipt)
        return message

    async def _ask(self, tenant: str, question: Question) -> Answered:
        known = await self._costing.looked_up(tenant, await self._segments.looked_up(tenant, question))
        return await self._asking.ask(tenant, known)
