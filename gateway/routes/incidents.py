"""The routes of watched key figures: their incidents, what people do about them, and how the watch is doing."""

from typing import Any, Final

from journeymesh.analytics.v1 import insights_pb2 as wire

from gateway.contract.route import NOTHING, SWITCHING, Route, text
from gateway.core import Core
from gateway.formats import asking
from gateway.formats.rendering import describe, render
from gateway.http import parameters
from gateway.http.asgi import Answer, Request, json
from gateway.push import incidents as pushing
from gateway.routes.questions import BODY_REASONS, CALLS_REASONS

_PATH: Final = "/api/insights"
_TOLD_BEFORE: Final = "/api/analytics/insights"
# They follow from the key and the path.
_NOT_IN_BODY: Final = ("tenant", "insight_id", "by")
_SNOOZE: Final = '{"until":"2026-12-24T08:00:00Z","reason":"a release"}'
_NOTED: Final = '{"what":"deploy","name":"web 1.2.3"}'
_SEEN: Final = "The sequence seen last; only what changed after it is told."


async def incidents(core: Core, request: Request) -> Answer:
    """Lists the incidents."""
    asked = wire.ListInsightsRequest(tenant=request.caller.tenant)
    return json(render(await core.peers.insights.ListInsights(asked)))


async def insights_status(core: Core, request: Request) -> Answer:
    """Tells how the watch is doing."""
    asked = wire.GetInsightsStatusRequest(tenant=request.caller.tenant)
    found = await core.peers.insights.GetInsightsStatus(asked)
    return json({**render(found), "wouldHaveTold": _TOLD_BEFORE})


async def acknowledge(core: Core, request: Request) -> Answer:
    """Remembers that the caller has seen an incident."""
    asked = wire.AcknowledgeInsightRequest(
        tenant=request.caller.tenant, insight_id=request.parameters["id"], by=request.caller.key_id
    )
    return json(render((await core.peers.insights.AcknowledgeInsight(asked)).incident))


async def snooze(core: Core, request: Request) -> Answer:
    """Snoozes an incident: it is not told for a while."""
    asked = asking.read(await request.json_body(), wire.SnoozeInsightRequest, _NOT_IN_BODY)
    asked.tenant, asked.insight_id, asked.by = request.caller.tenant, request.parameters["id"], request.caller.key_id
    return json(render((await core.peers.insights.SnoozeInsight(asked)).incident))


async def changes(core: Core, request: Request) -> Answer:
    """Lists what changed."""
    asked = wire.ListChangesRequest(tenant=request.caller.tenant)
    return json(render(await core.peers.insights.ListChanges(asked)))


async def insights_digest(core: Core, request: Request) -> Answer:
    """Tells what a day brought."""
    day = parameters.date(request.query.get("day"), "day")
    asked = wire.GetInsightsDigestRequest(tenant=request.caller.tenant, day=day)
    return json(render(await core.peers.insights.GetInsightsDigest(asked)))


async def note_change(core: Core, request: Request) -> Answer:
    """Remembers a change that the mesh cannot see."""
    asked = asking.read(await request.json_body(), wire.NoteChangeRequest, _NOT_IN_BODY)
    asked.tenant, asked.by = request.caller.tenant, request.caller.key_id
    return json(render((await core.peers.insights.NoteChange(asked)).change))


def _status(components: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a status."""
    described = describe(wire.GetInsightsStatusResponse.DESCRIPTOR, components)
    its = components[wire.GetInsightsStatusResponse.DESCRIPTOR.name]
    its["properties"] |= {"wouldHaveTold": {"const": _TOLD_BEFORE}}
    its["required"] = list(its["properties"])
    return described


def _snooze(components: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a snooze."""
    described = asking.describe(wire.SnoozeInsightRequest.DESCRIPTOR, components, _NOT_IN_BODY)
    components["SnoozeInsightRequest"]["properties"]["reason"] = {"type": ["string", "null"], "maxLength": 500}
    return described


def _noted(components: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a change that is noted."""
    return asking.describe(wire.NoteChangeRequest.DESCRIPTOR, components, _NOT_IN_BODY) | {"required": ["what", "name"]}


INCIDENT_ROUTES: Final = (
    Route(
        "GET",
        _PATH,
        "The last 100 incidents of the key figures that are watched, and what people did about them.",
        incidents,
        wire.ListInsightsResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    Route(
        "GET",
        f"{_PATH}/status",
        "How the watch is doing: since and until when it has judged, how far it is behind, and how it is set. "
        "`wouldHaveTold` is where to ask what it would have told before.",
        insights_status,
        _status,
        reasons=CALLS_REASONS,
    ),
    Route(
        "GET",
        f"{_PATH}/digest",
        "What a day brought: the incidents that opened, that closed, and that were open at its end.",
        insights_digest,
        wire.GetInsightsDigestResponse.DESCRIPTOR,
        reasons=("INVALID_PARAMETER", "INVALID_TIME", *CALLS_REASONS),
        query=(text("day", "The day, in the zone of the watch; yesterday by default.", format="date"),),
    ),
    Route(
        "GET",
        f"{_PATH}/stream",
        "Incidents pushed as server-sent events; goes on after `Last-Event-ID`.",
        pushing.stream_incidents,
        "text/event-stream",
        reasons=("TOO_MANY_STREAMS", *CALLS_REASONS),
        query=(text("lastEventId", _SEEN, pattern=parameters.CURSOR),),
    ),
    Route(
        "GET",
        f"{_PATH}/socket",
        "The same over a WebSocket; `/asyncapi.json` has its frames.",
        pushing.connect_incidents,
        NOTHING,
        SWITCHING,
        reasons=("TOO_MANY_STREAMS", *CALLS_REASONS),
        query=(text("sequence", _SEEN, pattern=parameters.CURSOR),),
    ),
    Route(
        "GET",
        f"{_PATH}/changes",
        "What changed in the last 14 days: policies, models, experiments, releases of the mesh, and what was noted. "
        "The latest first.",
        changes,
        wire.ListChangesResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    Route(
        "POST",
        f"{_PATH}/changes",
        "Notes a change that the mesh cannot see, such as a release of your site: it is told beside incidents that "
        "open soon after.",
        note_change,
        wire.Change.DESCRIPTOR,
        reasons=("MISSING_FIELD", "VALUE_OUT_OF_RANGE", "INVALID_TIME", *BODY_REASONS, *CALLS_REASONS),
        body=_noted,
        example=_NOTED,
    ),
    Route(
        "POST",
        f"{_PATH}/{{id}}/acknowledge",
        "Says that somebody has seen an incident. Who did so first is kept.",
        acknowledge,
        wire.WatchedInsight.DESCRIPTOR,
        reasons=("INSIGHT_NOT_FOUND", *CALLS_REASONS),
        needs_body=False,
    ),
    Route(
        "POST",
        f"{_PATH}/{{id}}/snooze",
        "Snoozes an incident `until` a time in the next 90 days, for a `reason`; without `until` it is told again.",
        snooze,
        wire.WatchedInsight.DESCRIPTOR,
        reasons=(
            "INSIGHT_NOT_FOUND",
            "MISSING_FIELD",
            "VALUE_OUT_OF_RANGE",
            "INVALID_TIME",
            *BODY_REASONS,
            *CALLS_REASONS,
        ),
        body=_snooze,
        example=_SNOOZE,
    ),
)
