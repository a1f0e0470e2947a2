"""Routes of what is foretold of customers and of their segments, and their rows of the table."""

from typing import Final

from journeymesh.customers.v1 import predictions_pb2, segments_pb2

from gateway.contract.route import Route, text, up_to
from gateway.core import Core
from gateway.formats.rendering import render
from gateway.http.asgi import Answer, Request, json
from gateway.http.parameters import number
from gateway.routes.questions import CALLS_REASONS

_DAYS: Final = 30
_MOST_DAYS: Final = 365
_RECOMMENDED: Final = 10
_MOST_RECOMMENDED: Final = 50
_MEMBERS: Final = 100
_MOST_MEMBERS: Final = 1_000


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


async def migration(core: Core, request: Request) -> Answer:
    """Who moved between segments."""
    asked = segments_pb2.GetMigrationRequest(tenant=request.caller.tenant)
    return json(render(await core.peers.customer_segments.GetMigration(asked)))


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
        reasons=("SEGMENT_NOT_FOUND", *CALLS_REASONS),
        query=(up_to("limit", _MEMBERS, _MOST_MEMBERS), text("after", "The last id seen: what comes after it.")),
    ),
    Route(
        "GET",
        "/api/segments/migration",
        "Who moved between segments since the fit before. The shares of a row add up to 1.",
        migration,
        segments_pb2.GetMigrationResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
)
