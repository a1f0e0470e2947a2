"""Routes about policies, prompts, lift, the analysis of a user, and the use of language models."""

from typing import Annotated, Final

import msgspec
from journeymesh.intervention.v1 import intervention_pb2

from gateway.contract.route import Route, text
from gateway.core import Core
from gateway.formats.json.refusal import decoded
from gateway.formats.rendering import render
from gateway.formats.schema import enum_numbers
from gateway.http import parameters
from gateway.http.asgi import Answer, Request, json
from gateway.routes.questions import CALLS_REASONS
from mesh.errors import InvalidArgument
from records.tenants import qualified

# In a deep analysis, a model converses with the mesh.
_ANALYSIS_SECONDS: Final = 30.0

_DEPTHS: Final = enum_numbers(intervention_pb2.AnalysisDepth.DESCRIPTOR)


class AnalysisOrder(msgspec.Struct, forbid_unknown_fields=True):
    """How deep to look at a user."""

    depth: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(_DEPTHS)})] = "quick"


async def policies(core: Core, request: Request) -> Answer:
    """The policies that decided, decide and will decide."""
    asked = intervention_pb2.ListPoliciesRequest(tenant=request.caller.tenant)
    return json(render(await core.peers.intervention.ListPolicies(asked)))


async def prompts(core: Core, _request: Request) -> Answer:
    """The prompts that word help, now and before."""
    return json(render(await core.peers.intervention.ListPrompts(intervention_pb2.ListPromptsRequest())))


async def lift(core: Core, request: Request) -> Answer:
    """What help changed."""
    experiment = qualified(request.caller.tenant, request.query.get("experiment", ""))
    asked = intervention_pb2.GetLiftRequest(experiment=experiment)
    return json(render(await core.peers.intervention.GetLift(asked)))


async def analysis(core: Core, request: Request) -> Answer:
    """What stands out about a user, in words."""
    order = decoded(await request.json_body(), AnalysisOrder, '{"depth":"quick"}')
    if order.depth not in _DEPTHS:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`depth` must be one of {', '.join(_DEPTHS)}.")
    asked = intervention_pb2.AnalyzeUserRequest(
        user_id=request.parameters["userId"],
        depth=intervention_pb2.AnalysisDepth.ValueType(_DEPTHS[order.depth]),
    )
    return json(render(await core.peers.intervention.AnalyzeUser(asked, timeout=_ANALYSIS_SECONDS)))


async def model_usage(core: Core, request: Request) -> Answer:
    """What the language models were used for, and what is left of the budget."""
    days = parameters.number(request.query.get("days"), "days", 1, 92)
    asked = intervention_pb2.GetModelUsageRequest(tenant=request.caller.tenant, day_count=days)
    return json(render(await core.peers.intervention.GetModelUsage(asked)))


POLICY_ROUTES: Final = (
    Route(
        "GET",
        "/api/policies",
        "The policies that decided, decide and will decide, newest first.",
        policies,
        intervention_pb2.ListPoliciesResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    Route(
        "GET",
        "/api/prompts",
        "The prompts by which language models word help, now and before, and what is wrong with documents.",
        prompts,
        intervention_pb2.ListPromptsResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    Route(
        "GET",
        "/api/lift",
        "What help changed: those who were helped against those who were held out.",
        lift,
        intervention_pb2.GetLiftResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
        query=(text("experiment", "The salt of a holdout; absent: that of the policy that decides now."),),
    ),
)
