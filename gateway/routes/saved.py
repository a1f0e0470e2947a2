"""The routes of saved segments: groups of users that questions can name by an id."""

from typing import Any, Final

from journeymesh.analytics.v1 import analytics_pb2
from journeymesh.analytics.v1 import segments_pb2 as wire

from gateway.contract.route import NOTHING, Route
from gateway.core import Core
from gateway.formats import asking
from gateway.formats.rendering import render
from gateway.http.asgi import Answer, Request, json
from gateway.routes.questions import BODY_REASONS, CALLS_REASONS

_PATH: Final = "/api/analytics/segments"
# They follow from the key and the path.
_NOT_IN_BODY: Final = ("tenant", "segment_id")
_MOST_REVISIONS: Final = (1 << 63) - 1
_DRAFT: Final = '{"name":"At risk","users":{"did":[{"field":"page","values":["/calculator"]}],"atLeast":"high"}}'
_WRITING: Final = ("MISSING_FIELD", "VALUE_OUT_OF_RANGE", "SEGMENT_NAME_TAKEN", *BODY_REASONS, *CALLS_REASONS)


async def create_segment(core: Core, request: Request) -> Answer:
    """Saves a new segment."""
    draft = asking.read(await request.json_body(), wire.SegmentDraft)
    asked = wire.CreateSegmentRequest(tenant=request.caller.tenant, segment=draft)
    return json(render((await core.peers.segments.CreateSegment(asked)).segment), 201)


async def segments(core: Core, request: Request) -> Answer:
    """Lists the saved segments."""
    return json(render(await core.peers.segments.ListSegments(wire.ListSegmentsRequest(tenant=request.caller.tenant))))


async def segment(core: Core, request: Request) -> Answer:
    """Shows a saved segment."""
    asked = wire.GetSegmentRequest(tenant=request.caller.tenant, segment_id=request.parameters["segmentId"])
    return json(render((await core.peers.segments.GetSegment(asked)).segment))


async def change_segment(core: Core, request: Request) -> Answer:
    """Replaces what a saved segment says."""
    asked = asking.read(await request.json_body(), wire.ChangeSegmentRequest, _NOT_IN_BODY)
    asked.tenant, asked.segment_id = request.caller.tenant, request.parameters["segmentId"]
    return json(render((await core.peers.segments.ChangeSegment(asked)).segment))


async def delete_segment(core: Core, request: Request) -> Answer:
    """Deletes a saved segment."""
    await core.peers.segments.DeleteSegment(
        wire.DeleteSegmentRequest(tenant=request.caller.tenant, segment_id=request.parameters["segmentId"])
    )
    return Answer(204, b"", "")


def _draft(components: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a segment to save."""
    described = asking.describe(wire.SegmentDraft.DESCRIPTOR, components)
    filtered = asking.describe(analytics_pb2.UserFilter.DESCRIPTOR, components)
    components["SegmentDraft"] |= {
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": r"\S"},
            "description": {"type": ["string", "null"], "maxLength": 500},
            "users": filtered,
        },
        "required": ["name", "users"],
    }
    return described


def _change(components: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a change."""
    return {
        "type": "object",
        "properties": {
            "revision": {"type": "integer", "minimum": 1, "maximum": _MOST_REVISIONS},
            "segment": _draft(components),
        },
        "required": ["revision", "segment"],
        "additionalProperties": False,
    }


SAVED_ROUTES: Final = (
    Route(
        "POST",
        _PATH,
        'Saves a group of users under a name. Questions name it by its id: `"segment": "…"`.',
        create_segment,
        wire.SavedSegment.DESCRIPTOR,
        status=201,
        reasons=("TOO_MANY_SEGMENTS", *_WRITING),
        body=_draft,
        example=_DRAFT,
    ),
    Route(
        "GET",
        _PATH,
        "The saved segments, by name.",
        segments,
        wire.ListSegmentsResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    Route(
        "GET",
        f"{_PATH}/{{segmentId}}",
        "A saved segment.",
        segment,
        wire.SavedSegment.DESCRIPTOR,
        reasons=("SEGMENT_NOT_FOUND", *CALLS_REASONS),
    ),
    Route(
        "PUT",
        f"{_PATH}/{{segmentId}}",
        "Replaces what a saved segment says. `revision` is the one that you have seen.",
        change_segment,
        wire.SavedSegment.DESCRIPTOR,
        reasons=("SEGMENT_NOT_FOUND", "SEGMENT_CHANGED", *_WRITING),
        body=_change,
        example=f'{{"revision":1,"segment":{_DRAFT}}}',
    ),
    Route(
        "DELETE",
        f"{_PATH}/{{segmentId}}",
        "Deletes a saved segment. Questions that name it are refused from now on.",
        delete_segment,
        NOTHING,
        status=204,
        reasons=("SEGMENT_NOT_FOUND", *CALLS_REASONS),
    ),
)
