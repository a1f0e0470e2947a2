"""Routes of what is foretold of customers and of their segments, and their rows of the table."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from journeymesh.customers.v1 import predictions_pb2, segments_pb2
from journeymesh.intervention.v1 import intervention_pb2

from gateway.contract import shapes
from gateway.contract.route import Parameter, Route, text, up_to
from gateway.core import Core
from gateway.formats.json.refusal import decoded
from gateway.formats.rendering import render
from gateway.http.asgi import Answer, Request, json
from gateway.http.parameters import number
from gateway.routes.questions import BODY_REASONS, CALLS_REASONS
from mesh.errors import InvalidArgument, MeshError
from records import tenants

_DAYS: Final = 30
_MOST_DAYS: Final = 365
_RECOMMENDED: Final = 10
_MOST_RECOMMENDED: Final = 50
_MEMBERS: Final = 100
_MOST_MEMBERS: Final = 1_000
_WINDOWS: Final = ("90", "30", "365")
"""In days, the usual one first."""
_ASSIGN_EXAMPLE: Final = '{"userIds":["u-1","u-2"]}'


class UsersToAssign(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The users whose segments are asked for."""

    user_ids: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=128)]], msgspec.Meta(min_length=1, max_length=1_000)
    ]


async def predictions(core: Core, request: Request) -> Answer:
    """What a customer will buy."""
    days = number(request.query.get("days"), "days", _DAYS, _MOST_DAYS)
    asked = predictions_pb2.GetPredictionsRequest(user_id=request.parameters["userId"], days=days)
    return json(render(await core.peers.predictions.GetPredictions(asked)))


async def recommendations(core: Core, request: Request) -> Answer:
    """Products to recommend to a user."""
    limit = number(request.query.get("limit"), "limit", _RECOMMENDED, _MOST_RECOMMENDED)
    asked = predictions_pb2.GetRecommendationsRequest(user_id=request.parameters["userId"], limit=limit)
    return json(render(await core.peers.predictions.GetRecommendations(asked)))


async def customer_segments(core: Core, request: Request) -> Answer:
    """The segments of customers."""
    asked = segments_pb2.ListCustomerSegmentsRequest(tenant=request.caller.tenant)
    return json(render(await core.peers.customer_segments.ListCustomerSegments(asked)))


async def segment_members(core: Core, request: Request) -> Answer:
    """The customers of a segment."""
    asked = segments_pb2.ListSegmentMembersRequest(
        tenant=request.caller.tenant,
        segment=request.parameters["name"],
        limit=number(request.query.get("limit"), "limit", _MEMBERS, _MOST_MEMBERS),
        after=request.query.get("after", ""),
    )
    return json(render(await core.peers.customer_segments.ListSegmentMembers(asked)))


async def customer_segment(core: Core, request: Request) -> Answer:
    """A segment."""
    asked = segments_pb2.GetCustomerSegmentRequest(tenant=request.caller.tenant, segment=request.parameters["name"])
    return json(render(await core.peers.customer_segments.GetCustomerSegment(asked)))


async def performance(core: Core, request: Request) -> Answer:
    """What all segments bring."""
    return await _performance(core, request, "")


async def segment_performance(core: Core, request: Request) -> Answer:
    """What a segment brings."""
    return await _performance(core, request, request.parameters["name"])


async def _performance(core: Core, request: Request, segment: str) -> Answer:
    days = request.query.get("days", _WINDOWS[0])
    if days not in _WINDOWS:
        raise InvalidArgument("INVALID_PARAMETER", "`days` must be 30, 90 or 365.")
    asked = segments_pb2.GetSegmentPerformanceRequest(tenant=request.caller.tenant, segment=segment, days=int(days))
    found, lifts = await asyncio.gather(
        core.peers.customer_segments.GetSegmentPerformance(asked), _lifts(core, request.caller.tenant)
    )
    told: dict[str, Any] = render(found)
    return json({**told, "segments": [{**each, "lift": lifts.get(each["segment"])} for each in told["segments"]]})


async def _lifts(core: Core, tenant: str) -> Mapping[str, object]:
    """What help changed, by segment; empty if that cannot be read now: what segments bring is told nevertheless."""
    try:
        asked = intervention_pb2.GetLiftRequest(experiment=tenants.qualified(tenant, ""))
        found = await core.peers.intervention.GetLift(asked)
    except MeshError:
        return {}
    return {each.name: render(each) for each in found.lifts if each.dimension == "segment"}


async def assign_segments(core: Core, request: Request) -> Answer:
    """The segments that users are in at this moment."""
    order = decoded(await request.json_body(), UsersToAssign, _ASSIGN_EXAMPLE)
    asked = segments_pb2.AssignSegmentsRequest(tenant=request.caller.tenant, user_ids=order.user_ids)
    return json(render(await core.peers.customer_segments.AssignSegments(asked)))


async def migration(core: Core, request: Request) -> Answer:
    """Who moved between segments."""
    asked = segments_pb2.GetMigrationRequest(tenant=request.caller.tenant)
    return json(render(await core.peers.customer_segments.GetMigration(asked)))


_OF_WINDOW: Final = (
    Parameter(
        "days", {"type": "integer", "enum": [*map(int, _WINDOWS)], "default": int(_WINDOWS[0])}, "The window, in days."
    ),
)

FORETOLD_ROUTES: Final = (
    Route(
        "GET",
        "/api/customers/{userId}/predictions",
        "What a user will buy: orders and money in 30, 90 and 365 days, and products that are due, each with an "
        "interval; the segment; how the same model did before.",
        predictions,
        predictions_pb2.GetPredictionsResponse.DESCRIPTOR,
        reasons=("USER_NOT_FOUND", *CALLS_REASONS),
        query=(up_to("days", _DAYS, _MOST_DAYS),),
    ),
    Route(
        "GET",
        "/api/customers/{userId}/recommendations",
        "Products to recommend to a user, best first, each with the reason.",
        recommendations,
        predictions_pb2.GetRecommendationsResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
        query=(up_to("limit", _RECOMMENDED, _MOST_RECOMMENDED),),
    ),
    Route(
        "GET",
        "/api/segments",
        "The eight segments of customers: what they mean, how many customers they have, what to do for them.",
        customer_segments,
        segments_pb2.ListCustomerSegmentsResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    Route(
        "GET",
        "/api/segments/{name}/members",
        "The customers of a segment, by their ids.",
        segment_members,
        segments_pb2.ListSegmentMembersResponse.DESCRIPTOR,
        reasons=("CUSTOMER_SEGMENT_NOT_FOUND", *CALLS_REASONS),
        query=(up_to("limit", _MEMBERS, _MOST_MEMBERS), text("after", "The last id seen: what comes after it.")),
    ),
    Route(
        "GET",
        "/api/segments/migration",
        "Who moved between segments, and between groups, since the fit before, and what became of groups. The shares "
        "of a row add up to 1.",
        migration,
        segments_pb2.GetMigrationResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    Route(
        "GET",
        "/api/segments/performance",
        "What each segment brings in a window: orders, money by currency with shares, and how many come again; and "
        "what help changed in it.",
        performance,
        shapes.segment_performance,
        reasons=CALLS_REASONS,
        query=_OF_WINDOW,
    ),
    Route(
        "POST",
        "/api/segments:assign",
        "The segments and groups that up to 1,000 users are in at this moment, and why.",
        assign_segments,
        segments_pb2.AssignSegmentsResponse.DESCRIPTOR,
        reasons=(*BODY_REASONS, *CALLS_REASONS),
        body=UsersToAssign,
        example=_ASSIGN_EXAMPLE,
    ),
    # Behind the paths that it would match too.
    Route(
        "GET",
        "/api/segments/{name}",
        "One segment: what it means, how many customers it has, what to do for them.",
        customer_segment,
        segments_pb2.GetCustomerSegmentResponse.DESCRIPTOR,
        reasons=("CUSTOMER_SEGMENT_NOT_FOUND", *CALLS_REASONS),
    ),
    Route(
        "GET",
        "/api/segments/{name}/performance",
        "What a segment brings in a window, and what help changed in it.",
        segment_performance,
        shapes.segment_performance,
        reasons=("CUSTOMER_SEGMENT_NOT_FOUND", *CALLS_REASONS),
        query=_OF_WINDOW,
    ),
)
