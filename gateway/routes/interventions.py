"""Routes of interventions and of the ledger of decisions."""

import re
from typing import Annotated, Final

import msgspec
from journeymesh.intervention.v1 import intervention_pb2

from gateway.accepting.outcomes import report
from gateway.access.proof import TICKET_SECONDS
from gateway.access.tenancy import require_own
from gateway.core import Core
from gateway.formats.json.refusal import decoded
from gateway.formats.rendering import render
from gateway.formats.schema import OUTCOMES
from gateway.http.asgi import Answer, Request, json
from gateway.http.parameters import number
from mesh.errors import InvalidArgument

_MOST_DECISIONS: Final = 100
DERIVE_EXAMPLE: Final = '{"policy":"version: mine\\ntrigger: {score: 60}"}'
"""What a body of `derive` may be, but for the rest of the policy."""
_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{32}")


class OutcomeReport(msgspec.Struct, forbid_unknown_fields=True):
    """What became of an intervention."""

    outcome: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(OUTCOMES)})]


class PolicyTried(msgspec.Struct, forbid_unknown_fields=True):
    """A policy to try out, as a YAML document of at most 16 KiB."""

    policy: Annotated[str, msgspec.Meta(max_length=16 * 1024)]


class Ticket(msgspec.Struct, rename="camel"):
    """What opens one user's stream, and for how long."""

    ticket: str
    expires_in_seconds: int


async def pending(core: Core, request: Request) -> Answer:
    """What waits for a user."""
    request.caller.require_user(request.parameters["userId"])
    asked = intervention_pb2.GetPendingInterventionRequest(user_id=request.parameters["userId"])
    return json(render(await core.peers.intervention.GetPendingIntervention(asked)))


async def ticket(core: Core, request: Request) -> Answer:
    """A ticket with which a page opens the user's stream without headers."""
    user_id = request.parameters["userId"]
    request.caller.require_user(user_id)
    return json(Ticket(core.door.new_ticket(request, user_id), TICKET_SECONDS))


async def intervention(core: Core, request: Request) -> Answer:
    """An intervention and what came of it."""
    asked = intervention_pb2.GetInterventionRequest(id=request.parameters["id"])
    found = await core.peers.intervention.GetIntervention(asked)
    require_own(request.caller, found.user_id, "intervention")
    return json(render(found))


async def outcome(core: Core, request: Request) -> Answer:
    """Accepts the outcome of an intervention."""
    body = decoded(await request.lenient_body(), OutcomeReport, '{"outcome":"accepted"}')
    return json(await report(core.peers, core.coalescer, request, request.parameters["id"], body.outcome), 202)


async def decision(core: Core, request: Request) -> Answer:
    """One decision."""
    asked = intervention_pb2.GetDecisionRequest(id=request.parameters["decisionId"])
    found = (await core.peers.intervention.GetDecision(asked)).decision
    require_own(request.caller, found.user_id, "decision")
    return json(render(found))


async def derive(core: Core, request: Request) -> Answer:
    """What another policy would have decided."""
    order = decoded(await request.json_body(), PolicyTried, DERIVE_EXAMPLE)
    asked = intervention_pb2.DeriveDecisionRequest(id=request.parameters["decisionId"], policy=order.policy)
    derived = await core.peers.intervention.DeriveDecision(asked)
    require_own(request.caller, derived.decision.user_id, "decision")
    return json(render(derived))


async def decisions(core: Core, request: Request) -> Answer:
    """Decisions of a user or of a trace, newest first."""
    trace_id, user_id = request.query.get("traceId"), request.query.get("userId")
    if bool(trace_id) == bool(user_id):
        raise InvalidArgument("INVALID_PARAMETER", "Give one of `traceId` and `userId`.")
    if trace_id and not _TRACE_ID.fullmatch(trace_id):
        raise InvalidArgument("INVALID_PARAMETER", "`traceId` must be 32 hexadecimal digits.")
    page_size = number(request.query.get("limit"), "limit", 20, _MOST_DECISIONS)
    if trace_id:
        # Clients choose trace ids, so those of several tenants may be alike.
        asked = intervention_pb2.ListDecisionsRequest(trace_id=trace_id.lower(), page_size=_MOST_DECISIONS)
    else:
        asked = intervention_pb2.ListDecisionsRequest(user_id=user_id or "", page_size=page_size)
    found = await core.peers.intervention.ListDecisions(asked)
    own = [each for each in found.decisions if request.caller.owns(each.user_id)]
    return json(render(intervention_pb2.ListDecisionsResponse(decisions=own[:page_size])))
