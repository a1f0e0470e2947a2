"""Routes of events: tracking them, and their receipts."""

from journeymesh.ingest.v1 import ingest_pb2
from journeymesh.intervention.v1 import intervention_pb2

from gateway.accepting.acceptance import accept, refusal_of
from gateway.core import Core
from gateway.formats import cloudevents, native
from gateway.formats.rendering import render
from gateway.http import problems
from gateway.http.asgi import Answer, Request, json


async def track(core: Core, request: Request) -> Answer:
    """Accepts one event or a batch, in our format or as CloudEvents."""
    if cloudevents.is_meant(request):
        raws = cloudevents.split(request, await request.decompressed_body())
        request.require_plausible_count(len(raws))
        tracked = await accept(core.coalescer, request, raws, cloudevents.read)
    else:
        raws = native.split(await request.lenient_body())
        request.require_plausible_count(len(raws))
        tracked = await accept(core.coalescer, request, raws)
    error = refusal_of(tracked)
    if error is None:
        return json(tracked, 202)
    return problems.answer(error, request.trace_id, rejected=tracked.rejected)


async def receipt(core: Core, request: Request) -> Answer:
    """What became of an event, and which decision it led to."""
    response = await core.peers.ingest.GetReceipt(ingest_pb2.GetReceiptRequest(event_id=request.parameters["eventId"]))
    found = response.receipt
    if found.state == ingest_pb2.RECEIPT_STATE_APPLIED and found.HasField("position"):
        ledger = await core.peers.intervention.ListDecisions(
            intervention_pb2.ListDecisionsRequest(position=found.position, page_size=1)
        )
        own = [each for each in ledger.decisions if request.caller.owns(each.user_id)]
        found.decision_id = own[0].id if own else ""
    return json(render(found))
