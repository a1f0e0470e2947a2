"""The REST surface, as one table: the application serves from it, the OpenAPI document and the page tell of it."""

import functools
from typing import Final

from journeymesh.features.v1 import features_pb2
from journeymesh.ingest.v1 import ingest_pb2
from journeymesh.scoring.v1 import scoring_pb2
from journeymesh.video.v1 import video_pb2

from gateway import asyncapi, cloudevents, docs, events, failed, metrics, openapi, operation, shapes, users
from gateway.acceptance import Tracked
from gateway.core import Core
from gateway.help_routes import ROUTES as HELP_ROUTES
from gateway.parameters import LIST_CURSOR
from gateway.reasons import BODY, CALLS, EVENT, USER
from gateway.routing import NOTHING, Parameter, Route, text, up_to
from gateway.segment.routes import ROUTES as SEGMENT_ROUTES
from gateway.web import CACHED, Answer, Request

_HTML: Final = "text/html"


async def contract(_core: Core, _request: Request) -> Answer:
    """The OpenAPI document."""
    return Answer(200, _document(), headers=CACHED)


async def contract_of_pushes(_core: Core, _request: Request) -> Answer:
    """The AsyncAPI document."""
    return Answer(200, _document_of_pushes(), headers=CACHED)


async def page(_core: Core, _request: Request) -> Answer:
    """The contract as a page to read."""
    return Answer(200, _page(), f"{_HTML}; charset=utf-8", docs.HEADERS)


@functools.cache
def _document() -> bytes:
    return openapi.document(ROUTES)


@functools.cache
def _document_of_pushes() -> bytes:
    return asyncapi.document()


@functools.cache
def _page() -> bytes:
    return docs.page(ROUTES)


_AN_EVENT: Final = (
    '{"userId":"demo-user","eventType":"struggle_signal",'
    '"properties":{"page":"/calculator","attempts":3},"context":{"platform":"web"}}'
)

ROUTES: Final = (
    Route(
        "POST",
        "/api/events/track",
        "Takes one event or a batch; every event gets a verdict of its own.",
        events.track,
        Tracked,
        202,
        (*EVENT, "EMPTY_BATCH"),
        body=shapes.tracked_body,
        example=_AN_EVENT,
        ignores_query=True,
        other_bodies={cloudevents.STRUCTURED: shapes.cloud_event, cloudevents.BATCHED: shapes.cloud_events},
    ),
    *SEGMENT_ROUTES,
    Route(
        "GET",
        "/api/events/{eventId}",
        "The receipt of an event: how far it has come, and which decision it led to.",
        events.receipt,
        ingest_pb2.Receipt.DESCRIPTOR,
        reasons=("EVENT_NOT_FOUND", *CALLS),
    ),
    Route(
        "GET",
        "/api/users/{userId}",
        "A user's features and the exit risk that rests on them, of one moment, in one call.",
        users.user,
        shapes.user,
        reasons=USER,
    ),
    Route(
        "GET",
        "/api/users/{userId}/events",
        "A user's last events, newest first.",
        users.events,
        shapes.recent_events,
        reasons=USER,
        query=(up_to("limit", 20, 20),),
    ),
    Route(
        "GET",
        "/api/users/{userId}/features",
        "A user's behavioural features as of the last event.",
        users.features,
        shapes.feature_vector,
        reasons=USER,
    ),
    Route(
        "GET",
        "/api/users/{userId}/profile",
        "What is known of a user in sum.",
        users.profile,
        features_pb2.GetProfileResponse.DESCRIPTOR,
        reasons=USER,
    ),
    Route(
        "GET",
        "/api/users/{userId}/risk",
        "A user's exit risk, what it rests on, the signals that count, and its history.",
        users.risk,
        scoring_pb2.GetRiskResponse.DESCRIPTOR,
        reasons=USER,
    ),
    Route(
        "GET",
        "/api/users/{userId}/videos",
        "What a user watched, how, and what to offer next.",
        users.videos,
        video_pb2.GetViewerResponse.DESCRIPTOR,
        reasons=USER,
    ),
    Route(
        "GET",
        "/api/videos/{videoId}",
        "How a video is watched: retention second by second, drop-offs, hot spots.",
        users.video,
        video_pb2.GetVideoResponse.DESCRIPTOR,
        reasons=("VIDEO_NOT_FOUND", *CALLS),
    ),
    Route(
        "GET",
        "/api/features",
        "What each feature means.",
        users.definitions,
        features_pb2.ListFeatureDefinitionsResponse.DESCRIPTOR,
        reasons=CALLS,
    ),
    *HELP_ROUTES,
    Route(
        "GET",
        "/api/failed-events",
        "Events that could not be accepted or applied, newest first, each with the first KiB of what was sent.",
        failed.list_failed,
        shapes.failed_events,
        reasons=CALLS,
        query=(
            up_to("limit", 20, 100),
            text("cursor", "`nextCursor` of the page before.", pattern=LIST_CURSOR),
            Parameter("reason", {"enum": sorted(failed.REASONS)}, "Only those that failed for this reason."),
        ),
    ),
    Route(
        "POST",
        "/api/failed-events:replay",
        "Sends a page of failed events again, as they were; those refused again stay, and are named.",
        failed.replay_many,
        failed.Replayed,
        202,
        (*BODY, "VALUE_OUT_OF_RANGE", "BUFFER_FULL", *CALLS),
        body=failed.ReplayOrder,
        example='{"reason":"POISON","limit":100}',
    ),
    Route(
        "POST",
        "/api/failed-events/{id}:replay",
        "Sends a failed event again: mended, as the body has it, or without a body as it was.",
        failed.replay,
        Tracked,
        202,
        ("FAILED_EVENT_NOT_FOUND", "STILL_INVALID", *EVENT),
        body=shapes.client_event,
        needs_body=False,
        example=_AN_EVENT,
    ),
    Route(
        "GET",
        "/api/failed-events/{id}",
        "One failed event: what was sent, and why it failed.",
        failed.failed_event,
        ingest_pb2.FailedEvent.DESCRIPTOR,
        reasons=("FAILED_EVENT_NOT_FOUND", *CALLS),
    ),
    Route(
        "DELETE",
        "/api/failed-events/{id}",
        "Strikes a failed event off without sending it again; repeating it is no error.",
        failed.discard,
        NOTHING,
        204,
        CALLS,
    ),
    Route(
        "GET",
        "/api/pipeline",
        "How far each reader of the stream has come on each shard, and what keeps it.",
        operation.pipeline,
        ingest_pb2.GetPipelineResponse.DESCRIPTOR,
        reasons=CALLS,
    ),
    Route("GET", "/healthz", "The process lives.", operation.healthz, operation.State, is_always_served=True),
    Route(
        "GET",
        "/startupz",
        "Every service was reached once, or waited for a minute; if not, `services` names those that were not.",
        operation.startupz,
        operation.State,
        reasons=CALLS,
        is_always_served=True,
    ),
    Route(
        "GET",
        "/readyz",
        "Every service serves; if not, `services` names those that do not. `warnings` tells of readers in trouble.",
        operation.readyz,
        operation.State,
        reasons=CALLS,
        is_always_served=True,
    ),
    Route(
        "GET",
        "/metrics",
        "What the gateway has counted since its start, for Prometheus; not to others where it has an address for that.",
        operation.counts,
        metrics.MEDIA_TYPE,
        reasons=("PATH_NOT_FOUND",),
        is_always_served=True,
    ),
    Route("GET", "/openapi.json", "This contract as OpenAPI 3.1.", contract, dict),
    Route("GET", "/asyncapi.json", "What is pushed, as AsyncAPI 3.0.", contract_of_pushes, dict),
    Route("GET", "/docs", "This contract as a page.", page, _HTML),
)
