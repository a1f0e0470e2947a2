"""The gRPC face of the intervention service: translate, call, translate."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from journeymesh.intervention.v1 import intervention_pb2 as wire
from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceServicer

from mesh.observability.metrics import Metrics
from mesh.state import applied, erasing
from services.intervention.batch.deciding import Deciding
from services.intervention.erasing import Erasing
from services.intervention.exporting import Exporting
from services.intervention.language.usecases.analysis import Analyses
from services.intervention.language.usecases.copywriting import Copywriter
from services.intervention.language.usecases.models import Models
from services.intervention.live.usecases import Live
from services.intervention.reading import READS_AT_ONCE, Reading, in_turns
from services.intervention.translation import counts, decisions, interventions, listing, reports, rows, words

if TYPE_CHECKING:
    from journeymesh.intervention.v1.intervention_pb2_grpc import _ServicerContext as Context


class InterventionServicer(InterventionServiceServicer):
    """Serves `InterventionService`."""

    def __init__(  # noqa: PLR0913, PLR0917 - the use cases
        self,
        deciding: Deciding,
        reading: Reading,
        analyses: Analyses,
        models: Models,
        copywriter: Copywriter,
        erasing: Erasing,
        exporting: Exporting,
        live: Live,
        metrics: Metrics,
    ) -> None:
        self._deciding, self._reading, self._live = deciding, reading, live
        self._analyses, self._models, self._copywriter = analyses, models, copywriter
        self._erasing, self._exporting = erasing, exporting
        self._metrics = metrics
        self._places = asyncio.Semaphore(READS_AT_ONCE)

    async def DecideInterventions(
        self, request: wire.DecideInterventionsRequest, _context: "Context"
    ) -> wire.DecideInterventionsResponse:
        """Decides for every row of a batch."""
        result = await self._deciding.decide(applied.batch(request.position), rows.rows_of(request))
        if not request.position.is_retraction:
            counts.count(self._metrics, result)
        return decisions.decided_message(result)

    async def GetPendingIntervention(
        self, request: wire.GetPendingInterventionRequest, _context: "Context"
    ) -> wire.GetPendingInterventionResponse:
        """Reads what waits for a user."""
        return interventions.pending_message(await self._reading.waiting(request.user_id))

    async def WatchPendingIntervention(
        self, request: wire.WatchPendingInterventionRequest, _context: "Context"
    ) -> AsyncIterator[wire.WatchPendingInterventionResponse]:
        """Streams what waits for a user, and every change."""
        cursor = words.cursor_of(request.cursor) if request.cursor else None
        async for waiting in self._reading.watch(request.user_id, cursor, wants_unchanged=request.wants_unchanged):
            yield interventions.watch_message(waiting)

    async def WatchHappenings(
        self, request: wire.WatchHappeningsRequest, _context: "Context"
    ) -> AsyncIterator[wire.WatchHappeningsResponse]:
        """Streams what happens to a tenant's users."""
        async for each in self._live.watch(request.tenant):
            yield interventions.happenings_message(each)

    async def GetIntervention(
        self, request: wire.GetInterventionRequest, _context: "Context"
    ) -> wire.GetInterventionResponse:
        """Reads an intervention with its outcome so far."""
        return interventions.followed_message(await self._reading.intervention(request.id))

    async def GetDecision(self, request: wire.GetDecisionRequest, _context: "Context") -> wire.GetDecisionResponse:
        """Reads one decision."""
        async with self._places:
            decision = await self._reading.decision(request.id)
            status = await self._reading.status(decision)
        return wire.GetDecisionResponse(decision=decisions.decision_message(decision, status))

    async def DeriveDecision(
        self, request: wire.DeriveDecisionRequest, _context: "Context"
    ) -> wire.DeriveDecisionResponse:
        """Decides again by another policy."""
        async with self._places:
            return decisions.derived_message(await self._reading.derived(request.id, request.policy))

    async def ListDecisions(
        self, request: wire.ListDecisionsRequest, _context: "Context"
    ) -> wire.ListDecisionsResponse:
        """Lists decisions by user, by trace or by position."""
        async with self._places:
            found = await listing.listed(self._reading, request)
            status = [await self._reading.status(each) for each in found]
            return wire.ListDecisionsResponse(decisions=await in_turns(map(decisions.decision_message, found, status)))

    async def ReadLedger(self, request: wire.ReadLedgerRequest, _context: "Context") -> wire.ReadLedgerResponse:
        """Reads the decisions of whole records."""
        pages = await self._reading.pages(words.references_of(request))
        return wire.ReadLedgerResponse(records=await in_turns(decisions.ledger_record(*page) for page in pages))

    async def ListPolicies(self, request: wire.ListPoliciesRequest, _context: "Context") -> wire.ListPoliciesResponse:
        """Reads the policies in force, before and to come."""
        return reports.policies_message(self._reading.policies, request.tenant)

    async def ListPrompts(self, _request: wire.ListPromptsRequest, _context: "Context") -> wire.ListPromptsResponse:
        """Reads the prompts that word help, now and before."""
        return reports.prompts_message(await self._copywriter.prompts.listed())

    async def GetLift(self, request: wire.GetLiftRequest, _context: "Context") -> wire.GetLiftResponse:
        """Reads what help changed."""
        async with self._places:
            return reports.lift_message(await self._reading.lifts(request.experiment))

    async def AnalyzeUser(self, request: wire.AnalyzeUserRequest, context: "Context") -> wire.AnalyzeUserResponse:
        """Looks at one user and says what stands out."""
        left = context.time_remaining()
        found = await self._analyses.analyze(
            request.user_id, words.depth_of(request.depth), math.inf if left is None else left
        )
        return reports.analysis_message(found)

    async def GetModelUsage(
        self, request: wire.GetModelUsageRequest, _context: "Context"
    ) -> wire.GetModelUsageResponse:
        """Reads what language models were asked and cost."""
        usage = await self._models.usage(request.tenant, words.day_count_of(request))
        return reports.usage_message(usage, self._copywriter.waiting_count, request.tenant)

    async def EraseUser(self, request: wire.EraseUserRequest, _context: "Context") -> wire.EraseUserResponse:
        """Erases what is kept of a person, or counts it."""
        erasing.require_person(request.user_ids)
        if not request.counts_only:
            await self._erasing.erase(request.user_ids, request.pseudonym)
        return reports.erased_message(await self._erasing.kept(request.user_ids))

    async def ExportUser(self, request: wire.ExportUserRequest, _context: "Context") -> wire.ExportUserResponse:
        """Reads all that is kept of a person."""
        erasing.require_person(request.user_ids)
        return reports.exported_message(await self._exporting.export(request.user_ids, decisions.exported))
