"""What a route is: one line of the REST surface, from which requests are served and documents generated."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from google.protobuf import descriptor

from gateway.core import Core
from gateway.http.asgi import Answer, Request, Socket, Stream

Serve = Callable[[Core, Request], Awaitable[Answer | Stream | Socket]]

# What an answer or a body consists of: a message of the contracts, a type that msgspec knows, a media type alone, or a
# function that returns its JSON schema and adds what that refers to.
Shape = descriptor.Descriptor | type | str | Callable[[dict[str, Any]], dict[str, Any]]
NOTHING: Final = ""
"""The answer of a route that answers with a status alone."""

SWITCHING: Final = 101
"""The status of a route that is a WebSocket."""


class Parameter(NamedTuple):
    """A query parameter."""

    name: str
    schema: Mapping[str, Any]
    meaning: str


def up_to(name: str, default: int, maximum: int) -> Parameter:
    """A parameter that is a number from 1 to the maximum."""
    schema = {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}
    return Parameter(name, schema, f"How many, 1 to {maximum}.")


def text(name: str, meaning: str, **limits: str | int) -> Parameter:
    """A parameter that is a text, within limits of JSON Schema."""
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
    # A request to try as it stands, for the page.
    example: str = ""
    needs_body: bool = True
    # Exempt from admission control: a busy gateway is not a dead one.
    is_always_served: bool = False
    # Beacons and published clients add parameters of their own, which are ignored.
    ignores_query: bool = False
    # Segment's browser client sends its key in the body only; the route itself admits the caller then.
    may_have_key_in_body: bool = False
    # Content types besides JSON, and what bodies of them consist of.
    other_bodies: Mapping[str, Shape] = MappingProxyType({})
    # Content types that the answer may have besides that of its shape.
    other_answers: tuple[str, ...] = ()
