"""The routes by which people sign in and out."""

from typing import Final

import msgspec

from gateway.access.people import sessions
from gateway.access.people.roles import Role
from gateway.access.people.sessions import ATTEMPT, SESSION, gone
from gateway.core import Core
from gateway.http.asgi import Answer, Headers, Request, json
from mesh.errors import InvalidArgument, NotFound, Unauthenticated

_SECOND_US: Final = 1_000_000
_HOME: Final = "/docs"

ANSWER: Final = {
    "code": "What the provider gives for a token.",
    "state": "The attempt it answers.",
    "iss": "Which provider answers.",
    "error": "Why it did not sign anybody in.",
    "error_description": "The same in words.",
    "session_state": "Of no interest.",
    "scope": "Of no interest.",
}
"""The parameters of the provider's answer."""


class Person(msgspec.Struct, rename="camel"):
    """Who has signed in: a name to show, roles, and the token that changes must bring."""

    name: str
    roles: list[Role]
    csrf_token: str
    ends_at: int


async def sign_in(core: Core, request: Request) -> Answer:
    """Sends a browser to the provider."""
    if core.sign_in is None:
        raise NotFound("PATH_NOT_FOUND", "Nobody signs in here: JOURNEYMESH_OIDC_ISSUER is not set.")
    to = request.query.get("to", _HOME)
    if not is_own_path(to):
        raise InvalidArgument("INVALID_PARAMETER", "`to` must be a path of this host.")
    location, attempt = await core.sign_in.provider.begin(to, request.received_us // _SECOND_US)
    return _moved(location, core.sign_in.cookies.written(ATTEMPT, attempt))


async def callback(core: Core, request: Request) -> Answer:
    """Takes the provider's answer, and begins a session."""
    if core.sign_in is None:
        raise NotFound("PATH_NOT_FOUND", "Nobody signs in here: JOURNEYMESH_OIDC_ISSUER is not set.")
    attempt = core.sign_in.cookies.attempt(request)
    session = await core.sign_in.provider.end(attempt, request.query, request.received_us // _SECOND_US)
    return _moved(attempt.to, core.sign_in.cookies.written(SESSION, session), gone(ATTEMPT))


async def session(core: Core, request: Request) -> Answer:
    """Who has signed in."""
    found = core.sign_in.cookies.session(request) if core.sign_in else None
    if found is None:
        raise Unauthenticated("SIGN_IN_REQUIRED", "Nobody has signed in. Begin at /auth/sign-in.")
    return json(Person(found.name, list(found.roles), found.csrf, found.exp))


async def sign_out(core: Core, request: Request) -> Answer:
    """Ends the session in this browser."""
    found = core.sign_in.cookies.session(request) if core.sign_in else None
    if found is None:
        return Answer(204, b"", "")
    sessions.caller_of(found, request)
    return Answer(204, b"", "", ((b"set-cookie", gone(SESSION).encode()),))


def is_own_path(text: str) -> bool:
    """Whether a text is a path of this host, and no browser takes it for another's."""
    return text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()


def _moved(location: str, *cookies: str) -> Answer:
    headers: Headers = ((b"location", location.encode()), *((b"set-cookie", each.encode()) for each in cookies))
    return Answer(302, b"", headers=headers)
