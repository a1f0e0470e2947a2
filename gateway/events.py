"""Routes of events: tracking them, their receipts, and those that failed."""

from journeymesh.ingest.v1 import ingest_pb2
from journeymesh.intervention.v1 import intervention_pb2

from gateway import batch, problems
from gateway.acceptance import accept
from gateway.core import Core
from gateway.rendering import render
from gateway.web import Answer, Request, json, number
from mesh.errors import FailedPrecondition, InvalidArgument


async def track(core: Core, request: Request) -> Answer:
    """Takes one event or a batch."""
    body = await request.json_body()
    tracked = await accept(core, request, batch.split(body))
    if len(tracked.rejected) < len(tracked.event_ids):
        return json(tracked, 202)
    first = tracked.rejected[0]
    return problems.answer(InvalidArgument(first.reason, first.detail), request.trace_id, rejected=tracked.rejected)


async def receipt(core: Core, request: Request) -> Answer:
    """Tells what became of an event, and which decision it led to."""
    response = await core.peers.ingest.GetReceipt(ingest_pb2.GetReceiptRequest(event_id=request.parameters["eventId"]))
    found = response.receipt
    if found.state == ingest_pb2.RECEIPT_STATE_APPLIED and found.HasField("position"):
        ledger = await core.peers.intervention.ListDecisions(
            intervention_pb2.ListDecisionsRequest(position=found.position, page_size=1)
        )
        found.decision_id = ledger.decisions[0].id if ledger.decisions else ""
    return json(render(found))


async def list_failed(core: Core, request: Request) -> Answer:
    """Lists failed events, newest first."""
    response = await core.peers.ingest.ListFailedEvents(
        ingest_pb2.ListFailedEventsRequest(
            page_size=number(request.query.get("limit"), "limit", 20, 100), page_token=request.query.get("cursor", "")
        )
    )
    failed = [render(event) for event in response.failed_events]
    return json({"failedEvents": failed, "nextCursor": response.next_page_token or None})


async def replay(core: Core, request: Request) -> Answer:
    """Sends a failed event again, as it was or mended, and strikes it off once it is accepted."""
    failed_id = request.parameters["id"]
    mended = await request.body()
    if mended:
        request.require_json()
    response = await core.peers.ingest.GetFailedEvent(ingest_pb2.GetFailedEventRequest(id=failed_id))
    raw = mended or response.failed_event.payload.encode()
    tracked = await accept(core, request, [raw], keeps_unreadable=False)
    if tracked.rejected:
        error = FailedPrecondition("STILL_INVALID", "The event was refused again.")
        return problems.answer(error, request.trace_id, rejected=tracked.rejected)
    await core.peers.ingest.ResolveFailedEvent(ingest_pb2.ResolveFailedEventRequest(id=failed_id))
    return json(tracked, 202)
