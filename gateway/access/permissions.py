"""What each route needs: the table that decides who may call it. A route without a row cannot be served."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.formats.segment.message import TYPES
from mesh.keys import Scope

OPEN: Final = None
"""Needs no key."""

_SEGMENT_PATHS: Final = (
    *(f"/v1/{kind}" for kind in TYPES),
    *(f"/v1/{kind[0]}" for kind in TYPES),
    "/v1/batch",
    "/v1/b",
)

# Questions to analytics, and their answers as files: those about many people at once, and those that name people.
_ABOUT_MANY: Final = tuple(
    ("POST", f"/api/analytics/{kind}{suffix}")
    for kind in (
        "kpis",
        "trends",
        "funnels",
        "retention",
        "paths",
        "struggles",
        "effects",
        "calibration",
        "drift",
        "insights",
        "costs",
    )
    for suffix in ("", "/export")
)
_ABOUT_EACH: Final = tuple(
    ("POST", f"/api/analytics/{kind}{suffix}") for kind in ("journeys/{userId}", "lists") for suffix in ("", "/export")
)

_SEGMENTS: Final = {
    ("GET", "/api/analytics/segments"): Scope.READ_FIGURES,
    ("GET", "/api/analytics/segments/{segmentId}"): Scope.READ_FIGURES,
    ("POST", "/api/analytics/segments"): Scope.ANALYSE,
    ("PUT", "/api/analytics/segments/{segmentId}"): Scope.ANALYSE,
    ("DELETE", "/api/analytics/segments/{segmentId}"): Scope.ANALYSE,
}

_EXPERIMENTS: Final = {
    ("GET", "/api/experiments"): Scope.READ_FIGURES,
    ("GET", "/api/experiments/{experimentId}"): Scope.READ_FIGURES,
    ("GET", "/api/experiments/{experimentId}/results"): Scope.READ_FIGURES,
    ("POST", "/api/experiments"): Scope.OPERATE,
    ("POST", "/api/experiments/{experimentId}:start"): Scope.OPERATE,
    ("POST", "/api/experiments/{experimentId}:pause"): Scope.OPERATE,
    ("POST", "/api/experiments/{experimentId}:stop"): Scope.OPERATE,
    ("POST", "/api/experiments/{experimentId}:promote"): Scope.OPERATE,
    ("POST", "/api/experiments/{experimentId}:rollback"): Scope.OPERATE,
    ("POST", "/api/experiments:pause"): Scope.OPERATE,
    # Servers assign, and say what came of it.
    ("POST", "/api/experiments:assign"): Scope.WRITE_FACTS,
    ("GET", "/api/experiments:configuration"): Scope.WRITE_FACTS,
    ("POST", "/api/experiments/{experimentId}/exposures"): Scope.WRITE_FACTS,
    ("POST", "/api/experiments/{experimentId}/outcomes"): Scope.WRITE_FACTS,
}

_FORETOLD: Final = {
    ("GET", "/api/customers/{userId}/predictions"): Scope.READ_PEOPLE,
    ("GET", "/api/customers/{userId}/recommendations"): Scope.READ_PEOPLE,
    ("GET", "/api/segments"): Scope.READ_FIGURES,
    ("GET", "/api/segments/migration"): Scope.READ_FIGURES,
    ("GET", "/api/segments/performance"): Scope.READ_FIGURES,
    ("POST", "/api/segments:assign"): Scope.READ_PEOPLE,
    ("GET", "/api/segments/{name}"): Scope.READ_FIGURES,
    ("GET", "/api/segments/{name}/performance"): Scope.READ_FIGURES,
    ("GET", "/api/segments/{name}/members"): Scope.READ_PEOPLE,
}

_INCIDENTS: Final = {
    ("GET", "/api/insights"): Scope.READ_FIGURES,
    ("GET", "/api/insights/status"): Scope.READ_FIGURES,
    ("GET", "/api/insights/stream"): Scope.READ_FIGURES,
    ("GET", "/api/insights/socket"): Scope.READ_FIGURES,
    ("GET", "/api/insights/digest"): Scope.READ_FIGURES,
    ("GET", "/api/insights/changes"): Scope.READ_FIGURES,
    ("POST", "/api/insights/changes"): Scope.ANALYSE,
    ("POST", "/api/insights/{id}/acknowledge"): Scope.ANALYSE,
    ("POST", "/api/insights/{id}/snooze"): Scope.ANALYSE,
}

_BUDGET: Final = {
    ("GET", "/api/analytics/budget"): Scope.READ_FIGURES,
    ("POST", "/api/analytics/budget"): Scope.OPERATE,
}

_JOBS: Final = {
    ("GET", "/api/jobs"): Scope.READ_FIGURES,
    ("GET", "/api/jobs/{jobId}"): Scope.READ_FIGURES,
    ("GET", "/api/jobs/{jobId}/file"): Scope.READ_PEOPLE,
    ("POST", "/api/jobs"): Scope.OPERATE,
    ("POST", "/api/jobs/{jobId}:cancel"): Scope.OPERATE,
}

NEEDS: Final[Mapping[tuple[str, str], Scope | None]] = MappingProxyType(
    {
        ("POST", "/api/events/track"): Scope.WRITE_EVENTS,
        **{("POST", path): Scope.WRITE_EVENTS for path in _SEGMENT_PATHS},
        # Events of the past come from servers.
        ("POST", "/v1/import"): Scope.WRITE_FACTS,
        # A client's own counts, which are discarded; and settings that name nothing but this gateway.
        ("POST", "/v1/m"): OPEN,
        ("GET", "/v1/projects/{writeKey}/settings"): OPEN,
        ("GET", "/api/interventions/{userId}/pending"): Scope.HELP,
        ("GET", "/api/interventions/{userId}/stream"): Scope.HELP,
        ("GET", "/api/interventions/{userId}/socket"): Scope.HELP,
        ("POST", "/api/interventions/{userId}/ticket"): Scope.HELP,
        ("POST", "/api/interventions/{id}/outcome"): Scope.HELP,
        ("GET", "/api/interventions/{id}"): Scope.READ_PEOPLE,
        ("GET", "/api/events/{eventId}"): Scope.READ_PEOPLE,
        ("GET", "/api/users/{userId}"): Scope.READ_PEOPLE,
        ("GET", "/api/users/{userId}/events"): Scope.READ_PEOPLE,
        ("GET", "/api/users/{userId}/features"): Scope.READ_PEOPLE,
        ("GET", "/api/users/{userId}/profile"): Scope.READ_PEOPLE,
        ("GET", "/api/users/{userId}/risk"): Scope.READ_PEOPLE,
        ("GET", "/api/users/{userId}/videos"): Scope.READ_PEOPLE,
        ("GET", "/api/customers/{userId}"): Scope.READ_PEOPLE,
        ("GET", "/api/customers/{userId}/purchases"): Scope.READ_PEOPLE,
        **_FORETOLD,
        ("GET", "/api/happenings/stream"): Scope.READ_PEOPLE,
        ("GET", "/api/decisions"): Scope.READ_PEOPLE,
        ("GET", "/api/decisions/{decisionId}"): Scope.READ_PEOPLE,
        ("POST", "/api/decisions/{decisionId}:derive"): Scope.READ_PEOPLE,
        ("GET", "/api/videos/{videoId}"): Scope.READ_FIGURES,
        ("GET", "/api/lift"): Scope.READ_FIGURES,
        ("GET", "/api/policies"): Scope.READ_FIGURES,
        ("GET", "/api/prompts"): Scope.READ_FIGURES,
        ("GET", "/api/models/usage"): Scope.READ_FIGURES,
        ("GET", "/api/models/live/card"): Scope.READ_FIGURES,
        ("GET", "/api/models"): Scope.READ_FIGURES,
        ("POST", "/api/models/{version}/stage"): Scope.OPERATE,
        ("POST", "/api/models:rollback"): Scope.OPERATE,
        # Probes, which send no key; the rest is about the models of all tenants.
        ("GET", "/v2/health/live"): OPEN,
        ("GET", "/v2/health/ready"): OPEN,
        ("GET", "/v2"): Scope.READ_FIGURES,
        ("GET", "/v2/models/{model}"): Scope.READ_FIGURES,
        ("GET", "/v2/models/{model}/ready"): Scope.READ_FIGURES,
        ("GET", "/v2/models/{model}/versions/{version}"): Scope.READ_FIGURES,
        ("GET", "/v2/models/{model}/versions/{version}/ready"): Scope.READ_FIGURES,
        ("POST", "/v2/models/{model}/infer"): Scope.READ_FIGURES,
        ("POST", "/v2/models/{model}/versions/{version}/infer"): Scope.READ_FIGURES,
        ("GET", "/api/features"): Scope.READ_FIGURES,
        ("POST", "/api/users/{userId}/analysis"): Scope.ANALYSE,
        **dict.fromkeys(_ABOUT_MANY, Scope.READ_FIGURES),
        **dict.fromkeys(_ABOUT_EACH, Scope.READ_PEOPLE),
        **_SEGMENTS,
        **_EXPERIMENTS,
        **_INCIDENTS,
        **_BUDGET,
        **_JOBS,
        ("GET", "/api/failed-events"): Scope.OPERATE,
        ("POST", "/api/failed-events:replay"): Scope.OPERATE,
        ("GET", "/api/failed-events/{id}"): Scope.OPERATE,
        ("POST", "/api/failed-events/{id}:replay"): Scope.OPERATE,
        ("DELETE", "/api/failed-events/{id}"): Scope.OPERATE,
        ("POST", "/api/privacy/erasures"): Scope.PRIVACY,
        ("GET", "/api/privacy/erasures/{id}"): Scope.PRIVACY,
        ("DELETE", "/api/privacy/erasures/{id}"): Scope.PRIVACY,
        ("POST", "/api/privacy/exports"): Scope.PRIVACY,
        ("GET", "/api/privacy/exports/{id}"): Scope.PRIVACY,
        ("GET", "/api/privacy/exports/{id}/data"): Scope.PRIVACY,
        ("GET", "/api/privacy/retention"): Scope.PRIVACY,
        ("GET", "/api/tenants"): Scope.OPERATE,
        ("POST", "/api/tenants/{tenant}/retention"): Scope.PRIVACY,
        ("POST", "/api/tenants/{tenant}/masking"): Scope.PRIVACY,
        ("GET", "/api/audit"): Scope.OPERATE,
        ("GET", "/api/people/sessions"): Scope.OPERATE,
        ("DELETE", "/api/people/{person}/sessions"): Scope.OPERATE,
        ("GET", "/api/pipeline"): Scope.OPERATE,
        ("GET", "/metrics"): Scope.OPERATE,
        # Probes, which send no key.
        ("GET", "/healthz"): OPEN,
        ("GET", "/startupz"): OPEN,
        ("GET", "/readyz"): OPEN,
        # They lead to a session, tell of it and end it.
        ("GET", "/auth/sign-in"): OPEN,
        ("GET", "/auth/callback"): OPEN,
        ("GET", "/auth/local"): OPEN,
        ("GET", "/auth/session"): OPEN,
        ("POST", "/auth/sign-out"): OPEN,
        # What browsers load is the same for all and tells nobody's data.
        ("GET", "/t.js"): OPEN,
        ("GET", "/t/{part}"): OPEN,
        ("GET", "/widget.js"): OPEN,
        ("GET", "/app"): OPEN,
        ("GET", "/app/{file}"): OPEN,
        ("GET", "/demo"): OPEN,
        ("GET", "/demo/{file}"): OPEN,
        ("GET", "/docs"): OPEN,
        ("GET", "/openapi.json"): OPEN,
        ("GET", "/asyncapi.json"): OPEN,
    }
)
"""The scope that each route needs, by method and path."""

OF_TENANTS: Final = frozenset(
    {
        # What is sent is the sender's; what is open tells nobody's data.
        *(route for route, scope in NEEDS.items() if scope in {Scope.WRITE_EVENTS, Scope.WRITE_FACTS, OPEN}),
        ("GET", "/api/interventions/{userId}/pending"),
        ("GET", "/api/interventions/{userId}/stream"),
        ("GET", "/api/interventions/{userId}/socket"),
        ("POST", "/api/interventions/{userId}/ticket"),
        ("POST", "/api/interventions/{id}/outcome"),
        ("GET", "/api/interventions/{id}"),
        ("GET", "/api/events/{eventId}"),
        ("GET", "/api/users/{userId}"),
        ("GET", "/api/users/{userId}/events"),
        ("GET", "/api/users/{userId}/features"),
        ("GET", "/api/users/{userId}/profile"),
        ("GET", "/api/users/{userId}/risk"),
        ("GET", "/api/users/{userId}/videos"),
        ("GET", "/api/customers/{userId}"),
        ("GET", "/api/customers/{userId}/purchases"),
        *_FORETOLD,
        ("GET", "/api/happenings/stream"),
        ("GET", "/api/decisions"),
        ("GET", "/api/decisions/{decisionId}"),
        ("POST", "/api/decisions/{decisionId}:derive"),
        ("GET", "/api/videos/{videoId}"),
        ("GET", "/api/features"),
        ("GET", "/api/lift"),
        ("GET", "/api/models/usage"),
        ("GET", "/api/models/live/card"),
        ("GET", "/v2"),
        ("GET", "/v2/models/{model}"),
        ("GET", "/v2/models/{model}/ready"),
        ("GET", "/v2/models/{model}/versions/{version}"),
        ("GET", "/v2/models/{model}/versions/{version}/ready"),
        ("POST", "/v2/models/{model}/infer"),
        ("POST", "/v2/models/{model}/versions/{version}/infer"),
        ("GET", "/api/policies"),
        ("POST", "/api/users/{userId}/analysis"),
        *_ABOUT_MANY,
        *_ABOUT_EACH,
        *_SEGMENTS,
        *_EXPERIMENTS,
        *_INCIDENTS,
        *_BUDGET,
        *_JOBS,
        ("GET", "/api/failed-events"),
        ("POST", "/api/failed-events:replay"),
        ("GET", "/api/failed-events/{id}"),
        ("POST", "/api/failed-events/{id}:replay"),
        ("DELETE", "/api/failed-events/{id}"),
        ("GET", "/api/audit"),
        ("GET", "/api/people/sessions"),
        ("DELETE", "/api/people/{person}/sessions"),
        ("POST", "/api/privacy/erasures"),
        ("GET", "/api/privacy/erasures/{id}"),
        ("DELETE", "/api/privacy/erasures/{id}"),
        ("POST", "/api/privacy/exports"),
        ("GET", "/api/privacy/exports/{id}"),
        ("GET", "/api/privacy/exports/{id}/data"),
        ("GET", "/api/privacy/retention"),
    }
)
"""The routes that are for keys of every tenant; the others are about the mesh as a whole, and for the default one's."""

# What these scopes allow is about people or changes the mesh, but for the routes named here.
_AUDITED_SCOPES: Final = frozenset({Scope.READ_PEOPLE, Scope.ANALYSE, Scope.OPERATE, Scope.PRIVACY})
_ABOUT_NOBODY: Final = frozenset({("GET", "/api/pipeline"), ("GET", "/metrics")})

AUDITED: Final = frozenset(
    route for route, scope in NEEDS.items() if scope in _AUDITED_SCOPES and route not in _ABOUT_NOBODY
)
"""The routes whose calls are recorded before they are served, by method and path."""
