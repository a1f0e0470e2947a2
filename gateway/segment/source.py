"""What a client of Segment's reads before it sends: the settings of its source. They lead it back to this gateway."""

from typing import Any, Final

import msgspec

from gateway.core import Core
from gateway.heads import is_host
from gateway.web import Answer, Request, Scope, header, json
from mesh.errors import InvalidArgument

_SCHEMES: Final = ("http", "https")

_ENABLED: Final = {"__default": {"enabled": True, "integrations": {}}}


class Source(msgspec.Struct, rename="camel"):
    """The settings of a source, in the form of Segment's: there is nothing but this gateway to send to."""

    integrations: dict[str, dict[str, Any]]
    plan: dict[str, Any]
    edge_function: dict[str, Any]
    middleware_settings: dict[str, Any]
    enabled_middleware: dict[str, Any]
    metrics: dict[str, Any]
    remote_plugins: list[Any]
    analytics_next_enabled: bool
    legacy_video_plugins_enabled: bool


async def settings(_core: Core, request: Request) -> Answer:
    """The settings of a source, whatever its write key."""
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


def _asked(scope: Scope) -> tuple[str, str]:
    """By which scheme and host the gateway was asked, as the client wrote them.

    Raises:
        InvalidArgument: `INVALID_PARAMETER`, the host is none.
    """
    host = header(scope, b"host")
    if not is_host(host.encode("latin-1")):
        raise InvalidArgument("INVALID_PARAMETER", "The `Host` of the request is none.")
    forwarded = header(scope, b"x-forwarded-proto").partition(",")[0].strip().lower()
    return forwarded if forwarded in _SCHEMES else str(scope.get("scheme", "http")), host
