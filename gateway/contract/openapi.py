"""The OpenAPI 3.1 document, generated from the table of routes and the types they use."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.access.permissions import NEEDS
from gateway.contract import shapes
from gateway.contract.route import NOTHING, Route
from gateway.http import asgi, problems
from mesh.keys import Scope

PATH_PARAMETER: Final = re.compile(r"\{(\w+)\}")

# The reasons any route may answer with; the second only under admission control.
_ALWAYS: Final = ("INVALID_PARAMETER", "INTERNAL")
_WHERE_BOUND: Final = ("BUFFER_FULL", "ADDRESS_BUSY", "TENANT_BUSY")

_OF_HOSTS: Final = ("HOST_NOT_ALLOWED",)
_OF_KEYS: Final = (
    "KEY_REQUIRED",
    "KEY_UNKNOWN",
    "KEY_EXPIRED",
    "KEY_ROTATED",
    "KEY_REVOKED",
    "TENANT_DELETED",
    "ORIGIN_NOT_ALLOWED",
    "NOT_PERMITTED",
    "USER_PROOF_INVALID",
    "RATE_LIMITED",
)
_OF_USERS: Final = ("USER_PROOF_REQUIRED",)
_SECURITY: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key, such as `jm_sk_…`."},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "A key as the user name, as Segment's clients send it.",
    },
}

_COMPONENTS: Final = "#/components/{kind}/{name}"
_TRACE_ID: Final = "X-Trace-Id"
_RETRY_AFTER: Final = "Retry-After"
_HEADERS: Final = {
    _TRACE_ID: {
        "description": "The trace of the request.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    },
    _RETRY_AFTER: {"description": "Seconds to wait.", "schema": {"type": "string"}},
}


def document(routes: Sequence[Route]) -> bytes:
    """The document as JSON."""
    schemas: shapes.Schema = {}
    shapes.of(problems.Problem, schemas)
    responses: dict[str, shapes.Schema] = {}
    paths: dict[str, shapes.Schema] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas, responses)
    about = "Sees struggle and helps in time. Every answer carries the id of its trace. Errors are RFC 9457 problems."
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Journeymesh", "version": "1", "description": about},
            "paths": paths,
            "components": {
                "schemas": schemas,
                "responses": responses,
                "headers": _HEADERS,
                "securitySchemes": _SECURITY,
            },
        }
    )


def media_type(route: Route) -> str:
    """The content type of a route's answer."""
    return route.answer if isinstance(route.answer, str) else asgi.JSON


def _operation(route: Route, schemas: shapes.Schema, responses: dict[str, shapes.Schema]) -> shapes.Schema:
    is_segments = route.path.startswith("/v1/")
    name = f"segment_{route.path.rpartition('/')[2]}" if is_segments else getattr(route.serve, "__name__", "")
    succeeds: dict[str, Any] = {"description": route.summary, "headers": _headers(_TRACE_ID)}
    if route.answer != NOTHING:
        succeeds["content"] = {media_type(route): {"schema": shapes.of(route.answer, schemas)}}
        succeeds["content"] |= {name: {"schema": {"type": "string"}} for name in route.other_answers}
    operation: dict[str, Any] = {
        "operationId": name.strip("_"),
        "summary": route.summary,
        "security": _security(route),
        "parameters": _parameters(route),
        "responses": {
            str(route.status): succeeds,
            **_problems(route, responses),
        },
    }
    if route.body is not None:
        bodies = {asgi.JSON: route.body, **route.other_bodies}
        taken = {name: {"schema": shapes.of(shape, schemas)} for name, shape in bodies.items()}
        operation["requestBody"] = {"required": route.needs_body, "content": taken}
    return operation


def _security(route: Route) -> list[dict[str, list[str]]]:
    """How a caller shows who it is; nothing is one way, as a gateway may ask for no keys."""
    needs = NEEDS[route.method, route.path]
    return [{}] if needs is None else [{}, {"bearer": [str(needs)]}, {"basic": [str(needs)]}]


def _parameters(route: Route) -> list[shapes.Schema]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in PATH_PARAMETER.findall(route.path)
    ]
    asked = [
        {"name": each.name, "in": "query", "description": each.meaning, "schema": dict(each.schema)}
        for each in route.query
    ]
    return found + asked


def _problems(route: Route, responses: dict[str, shapes.Schema]) -> shapes.Schema:
    """References to answers that tell of problems, by status; what many routes answer stands in `responses` once."""
    by_status: dict[int, list[str]] = defaultdict(list)
    always = _ALWAYS if route.is_always_served else (*_ALWAYS, *_WHERE_BOUND)
    needs = NEEDS[route.method, route.path]
    always = (*always, *_OF_HOSTS, *(_OF_KEYS if needs else ()), *(_OF_USERS if needs is Scope.HELP else ()))
    for reason in dict.fromkeys((*always, *route.reasons)):
        meaning, statuses = problems.REASONS[reason]
        for status in statuses:
            by_status[status].append(f"`{reason}`: {meaning}")
    found = {}
    for status, reasons in sorted(by_status.items()):
        problem = _problem(status, reasons)
        name = f"{status}-{hashlib.sha256(problem['description'].encode()).hexdigest()[:8]}"
        responses[name] = problem
        found[str(status)] = _reference("responses", name)
    return found


def _problem(status: int, reasons: Sequence[str]) -> shapes.Schema:
    schema = {"$ref": shapes.REFERENCE.format(name="Problem")}
    return {
        "description": "\n".join(reasons),
        "headers": _headers(_TRACE_ID, *([_RETRY_AFTER] if status in problems.RETRY_STATUSES else [])),
        "content": {problems.CONTENT_TYPE: {"schema": schema}},
    }


def _headers(*names: str) -> shapes.Schema:
    return {name: _reference("headers", name) for name in names}


def _reference(kind: str, name: str) -> shapes.Schema:
    return {"$ref": _COMPONENTS.format(kind=kind, name=name)}
