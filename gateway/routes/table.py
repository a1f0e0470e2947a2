"""The whole REST surface as one table: requests are served from it, and the documents are generated from it."""

import functools
from typing import Final

from journeymesh.access.v1 import people_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.ingest.v1 import erasure_pb2, export_pb2, ingest_pb2
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.scoring.v1 import scoring_pb2
from journeymesh.video.v1 import video_pb2

from gateway.accepting.acceptance import Tracked
from gateway.accepting.outcomes import OutcomeTaken
from gateway.contract import asyncapi, docs, openapi, segment_shapes, shapes
from gateway.contract.route import NOTHING, SWITCHING, Parameter, Route, Serve, text, up_to
from gateway.core import Core
from gateway.formats import cloudevents
from gateway.formats.segment.message import TYPES
from gateway.http.asgi import JSON, PUBLIC_CACHE, TEXT, Answer, Request
from gateway.http.parameters import CURSOR, LIST_CURSOR
from gateway.push import socket, sse
from gateway.routes import (
    audit,
    events,
    failed,
    insights,
    interventions,
    operation,
    people,
    privacy,
    segment,
    signing_in,
    users,
    web,
)
from gateway.routes.budget import BUDGET_ROUTES
from gateway.routes.customers import CUSTOMER_ROUTES
from gateway.routes.decided import DECIDED_ROUTES
from gateway.routes.experiments import EXPERIMENT_ROUTES
from gateway.routes.foretold import FORETOLD_ROUTES
from gateway.routes.incidents import INCIDENT_ROUTES
from gateway.routes.inference import INFERENCE_ROUTES
from gateway.routes.insights import POLICY_ROUTES
from gateway.routes.jobs import JOB_ROUTES
from gateway.routes.models import MODEL_ROUTES
from gateway.routes.pushed import PUSHED_ROUTES
from gateway.routes.questions import BODY_REASONS, CALLS_REASONS, QUESTION_ROUTES
from gateway.routes.saved import SAVED_ROUTES
from gateway.routes.tenants import TENANT_ROUTES
from mesh.errors import NotFound
from records.tenants import NAME

_get: Final = functools.partial(Route, "GET")
_post: Final = functools.partial(Route, "POST")
_delete: Final = functools.partial(Route, "DELETE")

_HTML: Final = "text/html"
_SCRIPT: Final = "text/javascript"
_SEEN_LAST: Final = "The last cursor seen, for clients that cannot set `Last-Event-ID`."
_AN_EVENT: Final = (
    '{"userId":"demo-user","eventType":"struggle_signal",'
    '"properties":{"page":"/calculator","attempts":3},"context":{"platform":"web"}}'
)

_EVENT_REASONS: Final = (
    *BODY_REASONS,
    "EVENT_TOO_LARGE",
    "MISSING_FIELD",
    "UNKNOWN_EVENT_TYPE",
    "INVALID_IDENTIFIER",
    "PLACEHOLDER_ID",
    "RESERVED_ID",
    "UNREADABLE_AMOUNT",
    "INVALID_TIME",
    "TIME_IN_FUTURE",
    "VALUE_OUT_OF_RANGE",
    "RATE_LIMITED",
    "USER_ERASED",
    "BUFFER_FULL",
    *CALLS_REASONS,
)
_USER_REASONS: Final = ("USER_NOT_FOUND", *CALLS_REASONS)

# Members we do not know are ignored, so none is unknown.
_MESSAGE_REASONS: Final = tuple(reason for reason in _EVENT_REASONS if reason != "UNKNOWN_FIELD")

_MESSAGE_EXAMPLES: Final = {
    "track": '{"userId":"demo-user","event":"Checkout Started"}',
    "page": '{"userId":"demo-user","properties":{"path":"/calculator"}}',
    "screen": '{"userId":"demo-user","name":"Calculator"}',
    "identify": '{"userId":"demo-user","anonymousId":"a-1"}',
    "group": '{"userId":"demo-user","groupId":"g-1"}',
    "alias": '{"userId":"demo-user","previousId":"a-1"}',
}
_BATCH_PATHS: Final = {
    "/v1/batch": "Takes a batch as Segment's clients send it, also compressed by gzip.",
    "/v1/import": "Takes a batch of the past, as `/v1/batch` does.",
    "/v1/b": "The same as `/v1/batch`, where Segment's clients for phones and browsers send it.",
}


def _message_route(kind: str, path: str, summary: str) -> Route:
    return _post(
        path,
        summary,
        segment.one(kind),
        segment.Taken,
        reasons=_MESSAGE_REASONS,
        body=segment_shapes.MessageShape(kind),
        example=_MESSAGE_EXAMPLES[kind],
        ignores_query=True,
        may_have_key_in_body=True,
    )


def _file_route(path: str, summary: str, serve: Serve, kind: str) -> Route:
    return _get(path, summary, serve, kind, reasons=("PATH_NOT_FOUND",), ignores_query=True)


_FILE_ROUTES: Final = (
    _file_route("/t.js", "The tracker, for pages.", web.tracker, _SCRIPT),
    _file_route("/t/{part}", "What the tracker loads later.", web.part_of_tracker, _SCRIPT),
    _file_route("/widget.js", "The widget that shows help, for pages.", web.widget, _SCRIPT),
    _file_route("/app", "The dashboard.", web.dashboard, _HTML),
    _file_route("/app/{file}", "A view of the dashboard, or a file that it loads.", web.file_of_dashboard, _HTML),
    _file_route("/demo", "A small shop with tracker and widget, to try the mesh.", web.demo, _HTML),
    _file_route("/demo/{file}", "A file that the demo shop loads.", web.file_of_demo, _SCRIPT),
)

_SEGMENT_ROUTES: Final = (
    *(_message_route(kind, f"/v1/{kind}", f"Takes one `{kind}` as Segment's clients send it.") for kind in TYPES),
    *(
        _message_route(kind, f"/v1/{kind[0]}", f"The same as `/v1/{kind}`, where Segment's browser client sends it.")
        for kind in TYPES
    ),
    *(
        _post(
            path,
            summary,
            segment.many,
            segment.Taken,
            reasons=(*_MESSAGE_REASONS, "EMPTY_BATCH"),
            body=segment_shapes.batch,
            example='{"batch":[{"type":"page","userId":"demo-user","name":"Calculator"}]}',
            ignores_query=True,
            may_have_key_in_body=path != "/v1/import",
        )
        for path, summary in _BATCH_PATHS.items()
    ),
    _post(
        "/v1/m",
        "Takes what Segment's clients count of themselves, and keeps nothing of it.",
        segment.metrics,
        segment.Heard,
        reasons=("REQUEST_TOO_LARGE",),
        body=segment_shapes.metrics,
        needs_body=False,
        ignores_query=True,
    ),
    _get(
        "/v1/projects/{writeKey}/settings",
        "The settings that Segment's clients read first; they lead back to this gateway.",
        segment.settings,
        segment.Source,
        reasons=("NOT_PERMITTED",),
        ignores_query=True,
    ),
)


async def contract(_core: Core, _request: Request) -> Answer:
    """The OpenAPI document."""
    return _openapi()


async def contract_of_pushes(_core: Core, _request: Request) -> Answer:
    """The AsyncAPI document."""
    return _asyncapi()


async def page(core: Core, _request: Request) -> Answer:
    """The contract as a page to read."""
    if "docs" not in core.settings.served_pages:
        raise NotFound("PATH_NOT_FOUND", "The page is switched off; `/openapi.json` is the contract.")
    return _page()


@functools.cache
def _openapi() -> Answer:
    return Answer(200, openapi.document(ROUTES), headers=PUBLIC_CACHE)


@functools.cache
def _asyncapi() -> Answer:
    return Answer(200, asyncapi.document(), headers=PUBLIC_CACHE)


@functools.cache
def _page() -> Answer:
    return Answer(200, docs.page(ROUTES), f"{_HTML}; charset=utf-8", docs.HEADERS)


ROUTES: Final = (
    _post(
        "/api/events/track",
        "Takes one event or a batch; every event gets a verdict of its own.",
        events.track,
        Tracked,
        202,
        (*_EVENT_REASONS, "EMPTY_BATCH"),
        body=shapes.tracked_body,
        example=_AN_EVENT,
        ignores_query=True,
        other_bodies={cloudevents.STRUCTURED: shapes.cloud_event, cloudevents.BATCHED: shapes.cloud_events},
    ),
    *_SEGMENT_ROUTES,
    _get(
        "/api/events/{eventId}",
        "The receipt of an event: how far it has come, and which decision it led to.",
        events.receipt,
        ingest_pb2.Receipt.DESCRIPTOR,
        reasons=("EVENT_NOT_FOUND", *CALLS_REASONS),
    ),
    _get(
        "/api/users/{userId}",
        "A user's features and the exit risk that rests on them, of one moment, in one call.",
        users.user,
        shapes.user,
        reasons=_USER_REASONS,
    ),
    _get(
        "/api/users/{userId}/events",
        "A user's last events, newest first.",
        users.events,
        shapes.recent_events,
        reasons=_USER_REASONS,
        query=(up_to("limit", 20, 20),),
    ),
    _get(
        "/api/users/{userId}/features",
        "A user's behavioural features as of the last event.",
        users.features,
        shapes.feature_vector,
        reasons=_USER_REASONS,
    ),
    _get(
        "/api/users/{userId}/profile",
        "What is known about a user in sum.",
        users.profile,
        features_pb2.GetProfileResponse.DESCRIPTOR,
        reasons=_USER_REASONS,
    ),
    _get(
        "/api/users/{userId}/risk",
        "A user's exit risk, what it rests on, the signals that count, and its history.",
        users.risk,
        scoring_pb2.GetRiskResponse.DESCRIPTOR,
        reasons=_USER_REASONS,
    ),
    _get(
        "/api/users/{userId}/videos",
        "What a user watched, how, and what to offer next.",
        users.videos,
        video_pb2.GetViewerResponse.DESCRIPTOR,
        reasons=_USER_REASONS,
    ),
    _get(
        "/api/videos/{videoId}",
        "How a video is watched: retention second by second, drop-offs, hot spots.",
        users.video,
        video_pb2.GetVideoResponse.DESCRIPTOR,
        reasons=("VIDEO_NOT_FOUND", *CALLS_REASONS),
    ),
    _get(
        "/api/features",
        "What each feature means.",
        users.definitions,
        features_pb2.ListFeatureDefinitionsResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    _get(
        "/api/interventions/{userId}/pending",
        "What help waits for a user; `cursor` grows with every change, and is that of the stream and the socket.",
        interventions.pending,
        intervention_pb2.GetPendingInterventionResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    _get(
        "/api/interventions/{userId}/stream",
        "The same pushed as server-sent events; goes on after `Last-Event-ID`.",
        sse.stream,
        "text/event-stream",
        reasons=("TOO_MANY_STREAMS", *CALLS_REASONS),
        query=(
            text("lastEventId", _SEEN_LAST, pattern=CURSOR),
            text("ticket", "What a page got from `ticket`, as it can set no headers; only if keys are required."),
        ),
    ),
    _post(
        "/api/interventions/{userId}/ticket",
        "A ticket that opens the user's stream for a minute: an `EventSource` cannot send a key.",
        interventions.ticket,
        interventions.Ticket,
        reasons=("NOT_PERMITTED",),
        ignores_query=True,
    ),
    _get(
        "/api/interventions/{userId}/socket",
        "The same over a WebSocket, which also takes outcomes; `/asyncapi.json` has its frames.",
        socket.connect,
        NOTHING,
        SWITCHING,
        reasons=("TOO_MANY_STREAMS", *CALLS_REASONS),
        query=(text("cursor", "The last cursor seen; what came after it is sent first.", pattern=CURSOR),),
        example=socket.EXAMPLE,
    ),
    _get(
        "/api/interventions/{id}",
        "An intervention, what came of it, and how its messages came.",
        interventions.intervention,
        intervention_pb2.GetInterventionResponse.DESCRIPTOR,
        reasons=("INTERVENTION_NOT_FOUND", *CALLS_REASONS),
    ),
    _post(
        "/api/interventions/{id}/outcome",
        "Reports the outcome of an intervention.",
        interventions.outcome,
        OutcomeTaken,
        202,
        (
            "INTERVENTION_NOT_FOUND",
            "INTERVENTION_ENDED",
            "VALUE_OUT_OF_RANGE",
            *BODY_REASONS,
            "BUFFER_FULL",
            *CALLS_REASONS,
        ),
        body=interventions.OutcomeReport,
        example='{"outcome":"accepted"}',
        ignores_query=True,
    ),
    *CUSTOMER_ROUTES,
    *FORETOLD_ROUTES,
    *DECIDED_ROUTES,
    *POLICY_ROUTES,
    *QUESTION_ROUTES,
    *SAVED_ROUTES,
    *PUSHED_ROUTES,
    *BUDGET_ROUTES,
    *INCIDENT_ROUTES,
    *JOB_ROUTES,
    *MODEL_ROUTES,
    *INFERENCE_ROUTES,
    *EXPERIMENT_ROUTES,
    *TENANT_ROUTES,
    _post(
        "/api/users/{userId}/analysis",
        "What stands out about a user and what to do, in words of a language model where there is one.",
        insights.analysis,
        intervention_pb2.AnalyzeUserResponse.DESCRIPTOR,
        reasons=("VALUE_OUT_OF_RANGE", *BODY_REASONS, *_USER_REASONS),
        body=insights.AnalysisOrder,
        example='{"depth":"quick"}',
    ),
    _get(
        "/api/models/usage",
        "What the language models were asked, what it cost, also by day, and what is left of the budget.",
        insights.model_usage,
        intervention_pb2.GetModelUsageResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
        query=(up_to("days", 1, 92),),
    ),
    _get(
        "/api/failed-events",
        "Events that could not be accepted or applied, newest first, each with the first KiB of what was sent.",
        failed.list_failed,
        shapes.failed_events,
        reasons=CALLS_REASONS,
        query=(
            up_to("limit", 20, 100),
            text("cursor", "`nextCursor` of the page before.", pattern=LIST_CURSOR),
            Parameter("reason", {"enum": sorted(failed.REASONS)}, "Only those that failed for this reason."),
        ),
    ),
    _post(
        "/api/failed-events:replay",
        "Sends a page of failed events again, as they were; those refused again stay, and are named.",
        failed.replay_many,
        failed.Replayed,
        202,
        (*BODY_REASONS, "VALUE_OUT_OF_RANGE", "BUFFER_FULL", *CALLS_REASONS),
        body=failed.ReplayOrder,
        example='{"reason":"POISON","limit":100}',
    ),
    _post(
        "/api/failed-events/{id}:replay",
        "Sends a failed event again: mended, as the body has it, or without a body as it was.",
        failed.replay,
        Tracked,
        202,
        ("FAILED_EVENT_NOT_FOUND", "STILL_INVALID", *_EVENT_REASONS),
        body=shapes.client_event,
        needs_body=False,
        example=_AN_EVENT,
    ),
    _get(
        "/api/failed-events/{id}",
        "One failed event: what was sent, and why it failed.",
        failed.failed_event,
        ingest_pb2.FailedEvent.DESCRIPTOR,
        reasons=("FAILED_EVENT_NOT_FOUND", *CALLS_REASONS),
    ),
    _delete(
        "/api/failed-events/{id}",
        "Discards a failed event; repeating it is no error.",
        failed.discard,
        NOTHING,
        204,
        CALLS_REASONS,
    ),
    _post(
        "/api/privacy/erasures",
        "Erases a person: their events are refused within two seconds, what is kept of them goes in the background.",
        privacy.erase,
        erasure_pb2.Erasure.DESCRIPTOR,
        202,
        (*BODY_REASONS, "INVALID_IDENTIFIER", *CALLS_REASONS),
        body=privacy.ErasureOrder,
        example=privacy.EXAMPLE,
    ),
    _get(
        "/api/privacy/erasures/{id}",
        "How far an erasure is; once all is erased, its receipt.",
        privacy.erasure,
        erasure_pb2.Erasure.DESCRIPTOR,
        reasons=("ERASURE_NOT_FOUND", *CALLS_REASONS),
    ),
    _delete(
        "/api/privacy/erasures/{id}",
        "Accepts events of an erased person again; repeating it is no error.",
        privacy.end_suppression,
        NOTHING,
        204,
        ("ERASURE_NOT_FOUND", "ERASURE_UNFINISHED", *CALLS_REASONS),
    ),
    _post(
        "/api/privacy/exports",
        "Exports a person: what is kept of them is collected in the background, and can be read for 24 hours.",
        privacy.export,
        export_pb2.Export.DESCRIPTOR,
        202,
        (*BODY_REASONS, "INVALID_IDENTIFIER", "USER_ERASED", *CALLS_REASONS),
        body=privacy.ExportOrder,
        example=privacy.EXAMPLE,
    ),
    _get(
        "/api/privacy/exports/{id}",
        "How far an export is; once it is ready, its data can be read.",
        privacy.read_export,
        export_pb2.Export.DESCRIPTOR,
        reasons=("EXPORT_NOT_FOUND", *CALLS_REASONS),
    ),
    _get(
        "/api/privacy/exports/{id}/data",
        "The data of an export: a JSON document, or a ZIP file with a CSV file per store.",
        privacy.export_data,
        JSON,
        reasons=("EXPORT_NOT_FOUND", "EXPORT_UNFINISHED", *CALLS_REASONS),
        query=(Parameter("format", {"enum": [*privacy.FORMATS], "default": "json"}, "The form of the data."),),
    ),
    _get(
        "/api/audit",
        "What was done with keys to data about people and to the mesh, newest first; users as pseudonyms.",
        audit.entries,
        shapes.audit_entries,
        reasons=CALLS_REASONS,
        query=(
            up_to("limit", 20, 100),
            text("cursor", "`nextCursor` of the page before.", pattern=LIST_CURSOR),
            text("actor", "Only what was done with this key, by its id."),
            text("userId", "Only what was done to this user's data."),
        ),
    ),
    _get(
        "/api/people/sessions",
        "Who is signed in, newest first.",
        people.sessions,
        people_pb2.ListSessionsResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    _delete(
        "/api/people/{person}/sessions",
        "Ends all sessions of a person, as `/api/people/sessions` names them, within five seconds.",
        people.end_sessions,
        NOTHING,
        204,
        CALLS_REASONS,
    ),
    _get(
        "/api/pipeline",
        "How far each reader of the stream has come on each shard, and what keeps it.",
        operation.pipeline,
        ingest_pb2.GetPipelineResponse.DESCRIPTOR,
        reasons=CALLS_REASONS,
    ),
    _get(
        "/auth/sign-in",
        "Sends a browser to the company's OpenID provider, and from there back to a path of this host.",
        signing_in.sign_in,
        NOTHING,
        status=302,
        reasons=("PATH_NOT_FOUND", "DEPENDENCY_UNAVAILABLE"),
        query=(
            text("to", "The path to be led to afterwards."),
            text(
                "tenant",
                "The tenant to work in, for people with roles in several; `default` is one.",
                pattern=f"^{NAME}$",
            ),
        ),
    ),
    _get(
        "/auth/callback",
        "Where the provider sends the browser back; a session begins, as a cookie.",
        signing_in.callback,
        NOTHING,
        status=302,
        reasons=("PATH_NOT_FOUND", "SIGN_IN_FAILED", "NO_ROLE", "TENANT_REQUIRED", "DEPENDENCY_UNAVAILABLE"),
        query=tuple(text(name, meaning) for name, meaning in signing_in.ANSWER.items()),
    ),
    _get(
        "/auth/local",
        "Signs the operator of this machine in, with the link that `journeymesh sign-in` prints.",
        signing_in.local,
        NOTHING,
        status=302,
        reasons=("PATH_NOT_FOUND", "SIGN_IN_FAILED", "DEPENDENCY_UNAVAILABLE"),
        query=(text("token", "What the link holds; it counts once, for five minutes."),),
    ),
    _get(
        "/auth/session",
        "Who has signed in, with which roles, and the token that changes must bring.",
        signing_in.session,
        signing_in.SignedIn,
        reasons=("SIGN_IN_REQUIRED", "DEPENDENCY_UNAVAILABLE"),
    ),
    _post(
        "/auth/sign-out",
        "Ends the session in this browser, or everywhere.",
        signing_in.sign_out,
        NOTHING,
        status=204,
        reasons=("CSRF_TOKEN_INVALID", "DEPENDENCY_UNAVAILABLE"),
        needs_body=False,
        query=(text("everywhere", "`true`: all sessions of the person end.", pattern="^(true|false)$"),),
    ),
    _get("/healthz", "The process lives.", operation.healthz, operation.State, is_always_served=True),
    _get(
        "/startupz",
        "Every service was reached once, or waited for a minute; if not, `services` names those that were not.",
        operation.startupz,
        operation.State,
        reasons=CALLS_REASONS,
        is_always_served=True,
    ),
    _get(
        "/readyz",
        "Every service serves; if not, `services` names those that do not. `warnings` tells of readers in trouble.",
        operation.readyz,
        operation.State,
        reasons=CALLS_REASONS,
        is_always_served=True,
    ),
    _get(
        "/metrics",
        "What the gateway has counted since its start, for Prometheus; not to others where it has an address for that.",
        operation.counts,
        TEXT,
        reasons=("PATH_NOT_FOUND",),
        is_always_served=True,
    ),
    _get("/openapi.json", "This contract as OpenAPI 3.1.", contract, dict),
    _get("/asyncapi.json", "What is pushed, as AsyncAPI 3.0.", contract_of_pushes, dict),
    _get("/docs", "This contract as a page.", page, _HTML, reasons=("PATH_NOT_FOUND",)),
    *_FILE_ROUTES,
)
