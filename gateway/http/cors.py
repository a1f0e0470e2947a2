"""Cross-origin requests: which pages of other origins may call the gateway."""

import functools
import re
from collections.abc import Collection
from typing import Final, NamedTuple

from gateway.http.asgi import Answer, Headers, Scope, header

_ALLOWED_HEADERS: Final = (
    "authorization, baggage, content-encoding, content-type, idempotency-key, last-event-id, traceparent, tracestate, "
    "x-requested-with"
)
_EXPOSED_HEADERS: Final = b"ratelimit, ratelimit-policy, retry-after, x-trace-id"
_PREFLIGHT_SECONDS: Final = b"600"

_ORIGIN_LENGTH: Final = 300
_ASKED_LENGTH: Final = 4096
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_WRITTEN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}|\*))?"
)
_TOKENS: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")


class NoOrigin(ValueError):
    """A setting contains this text, which is no origin."""


class Origins(NamedTuple):
    """The origins whose pages may call: all, or those named exactly or by a pattern."""

    are_all: bool
    named: frozenset[str]
    pattern: re.Pattern[str]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self.are_all or bool(self.named) or bool(self.pattern.pattern)

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may call."""
        return self.are_all or self.names(origin)

    def names(self, origin: str) -> bool:
        """Whether this origin is one of those named."""
        if not origin or len(origin) > _ORIGIN_LENGTH:
            return False
        return origin.lower() in self.named or self.pattern.fullmatch(origin.lower()) is not None


@functools.lru_cache(maxsize=4096)
def origins(setting: str) -> Origins:
    """The origins named by a setting, separated by commas.

    `*` names all of them, `https://*.shop.example` those of every subdomain, `http://localhost:*` those of every port.

    Raises:
        NoOrigin: one of them is no origin.
    """
    written = [origin.strip() for origin in setting.split(",") if origin.strip()]
    named = [_normal(origin) for origin in written if origin != "*"]
    patterns = [_pattern(origin) for origin in named if "*" in origin]
    exact = frozenset(origin for origin in named if "*" not in origin)
    return Origins("*" in written, exact, re.compile("|".join(patterns)))


def known_origins(texts: Collection[str]) -> Origins:
    """The origins among some texts; one that is none, as of a newer version, allows nothing."""
    return origins(",".join(text for text in texts if _is_origin(text)))


def _is_origin(text: str) -> bool:
    try:
        return bool(origins(text))
    except NoOrigin:
        return False


def headers(scope: Scope, allowed: Origins) -> Headers:
    """The headers for a page of another origin; none that allow anything if its origin may not call.

    Only named origins may send credentials, as beacons do.
    """
    if not allowed:
        return ()
    origin = header(scope, b"origin")
    if not origin or not allowed.allows(origin):
        return ((b"vary", b"origin"),)
    trusted = ((b"access-control-allow-credentials", b"true"),) if allowed.names(origin) else ()
    return (
        (b"access-control-allow-origin", origin.encode("latin-1")),
        *trusted,
        (b"access-control-expose-headers", _EXPOSED_HEADERS),
        (b"vary", b"origin"),
    )


def may_connect(scope: Scope, allowed: Origins) -> bool:
    """Whether a WebSocket may be opened: browsers let any page do so, without a preflight.

    Pages of the gateway's own origin and of allowed ones may, and clients that are no page and send no origin.
    """
    return is_own(scope) or allowed.allows(header(scope, b"origin"))


def is_own(scope: Scope) -> bool:
    """Whether a request comes from no page of another origin: from the gateway's own, or from none at all."""
    origin = header(scope, b"origin")
    return not origin or origin.partition("://")[2] == header(scope, b"host")


def is_preflight(scope: Scope) -> bool:
    """Whether this is a browser's preflight."""
    return scope["method"] == "OPTIONS" and bool(header(scope, b"access-control-request-method"))


def preflight(scope: Scope, methods: Collection[str]) -> Answer:
    """The answer to a preflight; `headers` adds whether the origin is allowed.

    Any header may be sent: clients add their tracing, and the gateway ignores what it does not know.
    """
    asked = header(scope, b"access-control-request-headers")
    is_list = len(asked) <= _ASKED_LENGTH and _TOKENS.fullmatch(asked)
    return Answer(
        204,
        b"",
        "",
        (
            (b"access-control-allow-methods", ", ".join(methods).encode()),
            (b"access-control-allow-headers", (asked if is_list else _ALLOWED_HEADERS).encode("latin-1")),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
            (b"vary", b"access-control-request-headers"),
        ),
    )


def _normal(written: str) -> str:
    """An origin as browsers write it: lower case, without trailing slash or default port."""
    origin = written.lower().removesuffix("/")
    try:
        scheme, _, host = origin.partition("://")
        origin = f"{scheme}://{host.encode('idna').decode()}" if not host.isascii() else origin
    except UnicodeError:
        raise NoOrigin(written) from None
    match = _WRITTEN.fullmatch(origin)
    if match is None or ((match["port"] or "").isdigit() and int(match["port"]) > 65_535):
        raise NoOrigin(written)
    port = match["port"]
    is_default = port is None or port == _DEFAULT_PORTS.get(match["scheme"])
    return f"{match['scheme']}://{match['host']}" + ("" if is_default else f":{port}")


def _pattern(origin: str) -> str:
    return re.escape(origin).replace(r"://\*\.", r"://(?:[a-z0-9_-]+\.)+").replace(r":\*", r"(?::[0-9]{1,5})?")
