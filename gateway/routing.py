"""What a route is, and how a request finds its own."""

import re
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from google.protobuf import descriptor

from gateway.core import Core
from gateway.web import Answer, Request, Socket, Stream
from mesh.errors import InvalidArgument

Serve = Callable[[Core, Request], Awaitable[Answer | Stream | Socket]]

# What an answer or a body is made of: a message of the contracts, a type msgspec knows, a media type alone, or the
# function that makes its JSON schema and adds what it refers to.
Shape = descriptor.Descriptor | type | str | Callable[[dict[str, Any]], dict[str, Any]]
NOTHING: Final = ""
"""The answer of a route that answers with its status alone."""

SWITCHING: Final = 101
"""The status of a route that is a WebSocket."""


class Parameter(NamedTuple):
    """A query parameter: its name, its JSON schema and what it means."""

    name: str
    schema: Mapping[str, Any]
    meaning: str


def up_to(name: str, default: int, maximum: int) -> Parameter:
    """A parameter that is a number from 1 to the maximum."""
    schema = {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}
    return Parameter(name, schema, f"How many, 1 to {maximum}.")


def text(name: str, meaning: str, **limits: str | int) -> Parameter:
    """A parameter that is a text within limits in the words of JSON Schema."""
    return Parameter(name, {"type": "string", **limits}, meaning)


class Route(NamedTuple):
    """One line of the REST surface."""

    method: str
    path: str
    summary: str
    serve: Serve
    answer: Shape
    status: int = 200
    reasons: tuple[str, ...] = ()
    query: tuple[Parameter, ...] = ()
    body: Shape | None = None
    # A request that may be tried as it stands, for the page.
    example: str = ""
    needs_body: bool = True
    # Served also when more is under way than may be: a gateway that is busy is not dead.
    is_always_served: bool = False
    # A way in for clients: beacons and published clients add parameters of their own, which are not looked at.
    ignores_query: bool = False
    # Other types of body than JSON, and what they are made of.
    other_bodies: Mapping[str, Shape] = MappingProxyType({})


class Found(NamedTuple):
    """The routes of a path by method, and what the path's parameters are."""

    routes: Mapping[str, Route]
    parameters: Mapping[str, str]


_SEGMENT: Final = b"/v1/"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


class Router:
    """Finds routes by path. A path is matched before it is decoded, so that a parameter may hold any character."""

    def __init__(self, table: Sequence[Route]) -> None:
        by_path: dict[str, dict[str, Route]] = {}
        for route in table:
            by_path.setdefault(route.path, {})[route.method] = route
        self._fixed = {path.encode(): Found(routes, {}) for path, routes in by_path.items() if "{" not in path}
        self._patterns = [(_pattern(path), routes) for path, routes in by_path.items() if "{" in path]

    def find(self, raw_path: bytes) -> Found | None:
        """The routes of a path; None where there are none. Slashes around a path of Segment's are left out.

        Raises:
            InvalidArgument: `INVALID_PARAMETER`, a parameter is no UTF-8.
        """
        bare = b"/" + raw_path.strip(b"/")
        raw_path = bare if bare.startswith(_SEGMENT) else raw_path
        found = self._fixed.get(raw_path)
        if found is not None:
            return found
        path = raw_path.decode("latin-1")
        for pattern, routes in self._patterns:
            match = pattern.fullmatch(path)
            if match:
                return Found(routes, {name: _decoded(value) for name, value in match.groupdict().items()})
        return None


def allowed(routes: Mapping[str, Route]) -> list[str]:
    """The methods a path takes."""
    methods = set(routes)
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def _pattern(path: str) -> re.Pattern[str]:
    parts = _PARAMETER.split(path)
    # Names and literal text take turns.
    return re.compile("".join(f"(?P<{part}>[^/]+)" if i % 2 else re.escape(part) for i, part in enumerate(parts)))


def _decoded(value: str) -> str:
    try:
        return urllib.parse.unquote(value, encoding="utf-8", errors="strict")
    except UnicodeDecodeError:
        raise InvalidArgument("INVALID_PARAMETER", "The path holds what is no UTF-8.") from None
