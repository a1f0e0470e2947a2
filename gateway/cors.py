"""Cross-origin requests: which pages of other origins may call the gateway."""

from collections.abc import Collection
from typing import Final

from gateway.web import Answer, Headers, Scope, header

_ALLOWED_HEADERS: Final = b"authorization, content-encoding, content-type, last-event-id, traceparent"
_EXPOSED_HEADERS: Final = b"retry-after, x-trace-id"
_PREFLIGHT_SECONDS: Final = b"600"


def origins(setting: str) -> frozenset[str]:
    """The origins a setting names; empty where none may."""
    return frozenset(origin.strip().rstrip("/") for origin in setting.split(",") if origin.strip())


def headers(scope: Scope, allowed: frozenset[str]) -> Headers:
    """What an answer says to a page of another origin; nothing where its origin is not allowed."""
    if not allowed:
        return ()
    origin = header(scope, b"origin")
    if not origin or not ("*" in allowed or origin in allowed):
        return ((b"vary", b"origin"),)
    return (
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _EXPOSED_HEADERS),
        (b"vary", b"origin"),
    )


def may_connect(scope: Scope, allowed: frozenset[str]) -> bool:
    """Whether who opens a WebSocket may: browsers let every page do so, without a word of the server before.

    Pages of the gateway's own origin may, those of an allowed one, and whoever is no page and sends no origin.
    """
    origin = header(scope, b"origin")
    is_own = origin.partition("://")[2] == header(scope, b"host")
    return not origin or is_own or "*" in allowed or origin in allowed


def is_preflight(scope: Scope) -> bool:
    """Whether a browser asks before the request itself."""
    return scope["method"] == "OPTIONS" and bool(header(scope, b"access-control-request-method"))


def preflight(methods: Collection[str]) -> Answer:
    """What a browser is told before the request itself; only an allowed origin gets it."""
    return Answer(
        204,
        b"",
        "",
        (
            (b"access-control-allow-methods", ", ".join(methods).encode()),
            (b"access-control-allow-headers", _ALLOWED_HEADERS),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
        ),
    )
