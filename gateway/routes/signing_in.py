"""The routes by which people sign in and out."""

import os
from typing import Final

import msgspec
from journeymesh.access.v1 import people_pb2

from gateway.access.people import sessions
from gateway.access.people.roles import Role, name_of_tenant
from gateway.access.people.sessions import ATTEMPT, SESSION, SESSION_SECONDS, Person, Session, gone
from gateway.access.people.sign_in import SignIn
from gateway.core import Core
from gateway.http.asgi import Answer, Headers, Request, json
from mesh import keys
from mesh.errors import InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from records import tenants

_SECOND_US: Final = 1_000_000
LOCAL: Final = Person("local", "the operator of this machine", (Role.ADMIN,), tenants.DEFAULT)
"""Who signs in by a link that the command made."""

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


class SignedIn(msgspec.Struct, rename="camel"):
    """Who has signed in: a name to show, the tenant, roles, and the token that changes must bring."""

    name: str
    tenant: str
    roles: list[Role]
    csrf_token: str
    ends_at: int


async def sign_in(core: Core, request: Request) -> Answer:
    """Sends a browser to the provider."""
    if core.sign_in is None or core.sign_in.provider is None:
        raise NotFound("PATH_NOT_FOUND", "There is no provider here: JOURNEYMESH_OIDC_ISSUER is not set.")
    to, tenant = request.query.get("to", _home(core)), request.query.get("tenant", "")
    if not is_own_path(to):
        raise InvalidArgument("INVALID_PARAMETER", "`to` must be a path of this host.")
    if tenant and not tenants.is_name(tenant):
        raise InvalidArgument("INVALID_PARAMETER", "`tenant` must be the name of a tenant.")
    location, attempt = await core.sign_in.provider.begin(to, tenant, request.received_us // _SECOND_US)
    return _moved(location, core.sign_in.cookies.written(ATTEMPT, attempt))


async def callback(core: Core, request: Request) -> Answer:
    """Takes the provider's answer, and begins a session."""
    if core.sign_in is None or core.sign_in.provider is None:
        raise NotFound("PATH_NOT_FOUND", "There is no provider here: JOURNEYMESH_OIDC_ISSUER is not set.")
    attempt = core.sign_in.cookies.attempt(request)
    person = await core.sign_in.provider.end(attempt, request.query, request.received_us // _SECOND_US)
    return _moved(attempt.to, await _begun(core, core.sign_in, person, request), gone(ATTEMPT))


async def local(core: Core, request: Request) -> Answer:
    """Signs in whoever brings a token of the command, as admin."""
    if core.sign_in is None or core.sign_in.provider is not None:
        raise NotFound("PATH_NOT_FOUND", "People sign in with the provider here, or not at all.")
    token = request.query.get("token", "")
    await core.peers.people.RedeemSignInToken(people_pb2.RedeemSignInTokenRequest(token=token))
    return _moved(_home(core), await _begun(core, core.sign_in, LOCAL, request))


async def session(core: Core, request: Request) -> Answer:
    """Who has signed in."""
    found = core.door.session(request)
    if found is None:
        raise Unauthenticated("SIGN_IN_REQUIRED", "Nobody has signed in. Begin at /auth/sign-in.")
    return json(SignedIn(found.name, name_of_tenant(found.tenant), list(found.roles), found.csrf, found.exp))


async def sign_out(core: Core, request: Request) -> Answer:
    """Ends the session in this browser, or all of the person."""
    is_everywhere = request.query.get("everywhere", "false")
    if is_everywhere not in {"true", "false"}:
        raise InvalidArgument("INVALID_PARAMETER", "`everywhere` must be true or false.")
    found = core.door.session(request)
    if found is None:
        return Answer(204, b"", "")
    caller = sessions.caller_of(found, request)
    if is_everywhere == "true":
        actor = tenants.qualified(caller.tenant, caller.key_id)
        await core.peers.people.EndSessions(
            people_pb2.EndSessionsRequest(person=found.subject, tenant=found.tenant, actor=actor)
        )
    return Answer(204, b"", "", ((b"set-cookie", gone(SESSION).encode()),))


def is_own_path(text: str) -> bool:
    """Whether a text is a path of this host, and no browser takes it for another's."""
    return text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()


async def _begun(core: Core, sign_in: SignIn, person: Person, request: Request) -> str:
    """The cookie of a new session, which the access service knows.

    Raises:
        PermissionDenied: `NO_ROLE`, there is no such tenant.
        Unavailable: the access service cannot be reached.
    """
    new = people_pb2.BeginSessionRequest(
        person=person.subject, tenant=person.tenant, roles=person.roles, lifetime_seconds=SESSION_SECONDS
    )
    try:
        sid = (await core.peers.people.BeginSession(new)).session_id
    except NotFound as error:
        raise PermissionDenied("NO_ROLE", "The tenant in which you have a role does not exist.") from error
    ends = request.received_us // _SECOND_US + SESSION_SECONDS
    csrf = keys.new_secret(os.urandom)
    made = Session(person.subject, person.name, person.roles, csrf, ends, sid, person.tenant)
    return sign_in.cookies.written(SESSION, made)


def _home(core: Core) -> str:
    """Where somebody goes who has signed in and asked for nothing else."""
    return "/app" if "app" in core.settings.served_pages else "/docs"


def _moved(location: str, *cookies: str) -> Answer:
    headers: Headers = ((b"location", location.encode()), *((b"set-cookie", each.encode()) for each in cookies))
    return Answer(302, b"", headers=headers)
