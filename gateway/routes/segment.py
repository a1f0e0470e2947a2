"""Routes of the published Segment clients: their calls, and the settings they read before their first one.

The write key is a key of this gateway, if it asks for one; browsers send it in the body. As with Segment, exceeding a
limit is answered with 400, and bodies may be declared as text, which browsers send anywhere without a preflight.
"""

from typing import Any, Final

import msgspec

from gateway.accepting.acceptance import Tracked, Warned, accept, refusal_of
from gateway.contract.route import Serve
from gateway.core import Core
from gateway.formats.json.refusal import DECODE_ERRORS
from gateway.formats.json.splicing import with_members
from gateway.formats.segment import batch
from gateway.formats.segment.batch import Cut
from gateway.formats.segment.reader import Reader
from gateway.http import problems
from gateway.http.asgi import Answer, Request, Scope, header, json
from gateway.http.caller import NOBODY
from gateway.http.problems import Rejected
from gateway.transport.heads import is_host
from mesh.errors import InvalidArgument, PermissionDenied
from mesh.keys import Kind
from mesh.keys import Scope as KeyScope

_SCHEMES: Final = ("http", "https")
_FOR_SERVERS: Final = tuple(f"jm_{kind}_" for kind in Kind if kind is not Kind.PUBLIC)


class _Keyed(msgspec.Struct, rename="camel"):
    write_key: str = ""


_decode_write_key: Final = msgspec.json.Decoder(_Keyed).decode

_ENABLED: Final = {"__default": {"enabled": True, "integrations": {}}}


class Taken(msgspec.Struct, rename="camel"):
    """Segment's answer, and a verdict on each message of the request."""

    success: bool
    accepted: int
    duplicates: int
    rejected: list[Rejected]
    event_ids: list[str | None]
    trace_id: str
    warnings: list[Warned]


class Heard(msgspec.Struct):
    """Segment's answer."""

    success: bool


class Source(msgspec.Struct, rename="camel"):
    """The settings of a source in Segment's form, with this gateway as the only destination."""

    integrations: dict[str, dict[str, Any]]
    plan: dict[str, Any]
    edge_function: dict[str, Any]
    middleware_settings: dict[str, Any]
    enabled_middleware: dict[str, Any]
    metrics: dict[str, Any]
    remote_plugins: list[Any]
    analytics_next_enabled: bool
    legacy_video_plugins_enabled: bool


def one(kind: str) -> Serve:
    """Accepts one message of the kind that the path names."""

    async def take(core: Core, request: Request) -> Answer:
        try:
            body = await _admitted_body(core, request)
        except InvalidArgument as error:
            return _refused(error, request)
        # The last member of a name counts, so the body cannot override the path.
        return await _accepted(core, request, Cut([with_members(body, {"type": kind})], Reader()))

    return take


async def many(core: Core, request: Request) -> Answer:
    """Accepts a batch of messages."""
    try:
        cut = batch.split(await _admitted_body(core, request))
        request.require_plausible_count(len(cut.messages))
    except InvalidArgument as error:
        return _refused(error, request)
    return await _accepted(core, request, cut)


async def metrics(_core: Core, request: Request) -> Answer:
    """Accepts a client's own metrics, and discards them."""
    await request.body()
    return json(Heard(success=True))


async def settings(_core: Core, request: Request) -> Answer:
    """The settings of a source, whatever its write key, unless that is one for servers: anybody reads pages.

    Raises:
        PermissionDenied: `NOT_PERMITTED`.
    """
    if request.parameters["writeKey"].startswith(_FOR_SERVERS):
        raise PermissionDenied("NOT_PERMITTED", "A page needs a public key. Rotate this one: it stood in a URL.")
    scheme, host = _asked(request.scope)
    api = f"{host}/v1"
    segment: dict[str, Any] = {
        "apiKey": request.parameters["writeKey"],
        "apiHost": api,
        "protocol": scheme,
        "addBundledMetadata": True,
        "unbundledIntegrations": [],
        "maybeBundledConfigIds": {},
    }
    source = Source(
        integrations={"Segment.io": segment},
        plan={"track": _ENABLED, "identify": _ENABLED, "group": _ENABLED},
        edge_function={},
        middleware_settings={"routingRules": []},
        enabled_middleware={},
        metrics={"sampleRate": 0, "host": api, "protocol": scheme},
        remote_plugins=[],
        analytics_next_enabled=True,
        legacy_video_plugins_enabled=False,
    )
    return json(source)


async def _accepted(core: Core, request: Request, cut: Cut) -> Answer:
    tracked: Tracked = await accept(core.coalescer, request, cut.messages, cut.reader.read)
    error = refusal_of(tracked)
    if error is not None:
        return problems.answer(error, request.trace_id, rejected=tracked.rejected)
    return json(Taken(True, *msgspec.structs.astuple(tracked)))


async def _admitted_body(core: Core, request: Request) -> bytes:
    """The body of a request whose caller may send events; the key is in the body if it is not in the head.

    Raises:
        MeshError: as `Request.lenient_body`, `Door.admit` and `Request.admit`.
    """
    body = await request.lenient_body()
    if request.caller is NOBODY:
        request.caller = core.door.admit_with(request, _write_key(body), KeyScope.WRITE_EVENTS)
        request.admit()
    return body


def _write_key(body: bytes) -> str:
    """The write key in a body; empty if there is none."""
    try:
        return _decode_write_key(body).write_key
    except DECODE_ERRORS:
        return ""


def _refused(error: InvalidArgument, request: Request) -> Answer:
    return problems.answer(error, request.trace_id, code=400 if error.reason == "REQUEST_TOO_LARGE" else None)


def _asked(scope: Scope) -> tuple[str, str]:
    """The scheme and host of the request, as the client wrote them.

    Raises:
        InvalidArgument: `INVALID_PARAMETER`, the host is invalid.
    """
    host = header(scope, b"host")
    if not is_host(host.encode("latin-1")):
        raise InvalidArgument("INVALID_PARAMETER", "The `Host` of the request is none.")
    forwarded = header(scope, b"x-forwarded-proto").partition(",")[0].strip().lower()
    return forwarded if forwarded in _SCHEMES else str(scope.get("scheme", "http")), host
