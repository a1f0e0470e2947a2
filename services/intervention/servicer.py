"""The gRPC face of the intervention service: translate, call, translate."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from journeymesh.intervention.v1 import intervention_pb2 as wire
from journeymesh.intervention.v1.intervention_pb2_grpc import InterventionServiceServicer

from mesh import applied
from mesh.errors import InvalidArgument
from services.intervention import translation
from services.intervention.domain.facts import Position
from services.intervention.ports import Reference
from services.intervention.usecases import Interventions, decision_id

if TYPE_CHECKING:
    from journeymesh.intervention.v1.intervention_pb2_grpc import _ServicerContext as Context

_PAGE_SIZE: Final = 20
_LARGEST_PAGE_SIZE: Final = 100
_MOST_RECORDS: Final = 200


class InterventionServicer(InterventionServiceServicer):
    """Serves `InterventionService`."""

    def __init__(self, interventions: Interventions) -> None:
        self._interventions = interventions

    async def DecideInterventions(
        self, request: wire.DecideInterventionsRequest, _context: "Context"
    ) -> wire.DecideInterventionsResponse:
        """Decides for every row of a batch."""
        made = await self._interventions.decide(applied.batch(request.position), translation.rows_of(request))
        return wire.DecideInterventionsResponse(
            interventions=[
                wire.MadeIntervention(
                    row=each.row,
                    decision_id=decision_id(each.decision.facts.position),
                    intervention_id=each.intervention.id,
                )
                for each in made
            ]
        )

    async def GetPendingIntervention(
        self, request: wire.GetPendingInterventionRequest, _context: "Context"
    ) -> wire.GetPendingInterventionResponse:
        """Reads what waits for a user."""
        return translation.pending_message(await self._interventions.waiting(request.user_id))

    async def WatchPendingIntervention(
        self, request: wire.WatchPendingInterventionRequest, _context: "Context"
    ) -> AsyncIterator[wire.WatchPendingInterventionResponse]:
        """Tells what waits for a user, and every change."""
        cursor = translation.number_of(request.cursor, "cursor") if request.cursor else None
        async for waiting in self._interventions.watch(request.user_id, cursor):
            yield translation.watch_message(waiting)

    async def GetIntervention(
        self, request: wire.GetInterventionRequest, _context: "Context"
    ) -> wire.GetInterventionResponse:
        """Reads an intervention with its outcome so far."""
        return translation.followed_message(await self._interventions.intervention(request.id))

    async def GetDecision(self, request: wire.GetDecisionRequest, _context: "Context") -> wire.GetDecisionResponse:
        """Reads one decision."""
        decision = await self._interventions.decision(request.id)
        return wire.GetDecisionResponse(decision=translation.decision_message(decision))

    async def ListDecisions(
        self, request: wire.ListDecisionsRequest, _context: "Context"
    ) -> wire.ListDecisionsResponse:
        """Lists decisions by user, by trace or by position."""
        limit = min(request.page_size or _PAGE_SIZE, _LARGEST_PAGE_SIZE)
        match request.WhichOneof("by"):
            case "user_id":
                found = await self._interventions.decisions_of_user(request.user_id, limit)
            case "trace_id":
                trace_id = translation.trace_id_of(request.trace_id)
                found = await self._interventions.decisions_of_trace(trace_id, limit)
            case "position":
                at = request.position
                sequence = translation.number_of(at.sequence, "sequence")
                found = await self._interventions.decisions_at(Position(at.shard, sequence, at.event_index))
            case _:
                raise InvalidArgument("MISSING_FIELD", "Decisions are listed by user, trace or position.")
        return wire.ListDecisionsResponse(decisions=map(translation.decision_message, found))

    async def ReadLedger(self, request: wire.ReadLedgerRequest, _context: "Context") -> wire.ReadLedgerResponse:
        """Reads the decisions of whole records."""
        if len(request.sequences) > _MOST_RECORDS:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"At most {_MOST_RECORDS} records are read at once.")
        sequences = [translation.number_of(each, "sequence number") for each in request.sequences]
        found = await self._interventions.blocks([Reference(request.shard, each) for each in sequences])
        return wire.ReadLedgerResponse(records=[translation.ledger_record(at, block) for at, block in found])
