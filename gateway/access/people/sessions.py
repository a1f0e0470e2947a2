"""What a browser keeps of a person: a cookie for the way to the provider and back, and one for the session.

Both are tokens (JWT, HS256) signed with the gateways' session secret, so every gateway reads what another has written,
and none keeps anything. Which sessions were ended before their time, the access service tells. The cookies' names begin
with `__Host-`: browsers take them from this host alone, for all paths, over HTTPS or, as Chromium and Firefox do, from
this machine over plain HTTP.
"""

import hmac
from http.cookies import CookieError, SimpleCookie
from typing import Annotated, Final, Literal, NamedTuple, TypeVar

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from gateway.access.people.roles import Role, scopes_of
from gateway.http import cors
from gateway.http.asgi import Request, header
from gateway.http.caller import Caller
from mesh.errors import PermissionDenied, Unauthenticated

SESSION: Final = "__Host-journeymesh-session"
ATTEMPT: Final = "__Host-journeymesh-sign-in"
SESSION_SECONDS: Final = 3600
"""How long a session lasts. Then the provider is asked again: what it takes away is gone after this time."""
ATTEMPT_SECONDS: Final = 600
"""How long somebody may take to sign in."""
CSRF: Final = b"x-journeymesh-csrf"
"""The header with which a page shows that a change is its own: other sites cannot read the token for it."""

_SECOND_US: Final = 1_000_000
_ALGORITHM: Final = "HS256"
_LONGEST: Final = 4096
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class Attempt(msgspec.Struct, frozen=True, tag_field="use", tag="sign-in"):
    """Somebody is on the way to the provider; `exp` in Unix seconds."""

    state: _Text
    nonce: _Text
    verifier: _Text
    to: _Text
    exp: int
    tenant: str = ""
    """The name of the tenant to work in; empty: the only one."""


class Person(NamedTuple):
    """Who is to be signed in, as the audit log and as people know them, and with which roles in which tenant."""

    subject: str
    name: str
    roles: tuple[Role, ...]
    tenant: str


class Session(msgspec.Struct, frozen=True, tag_field="use", tag="session"):
    """Somebody has signed in; `exp` in Unix seconds. `sid` is the id by which the access service knows it."""

    subject: _Text
    name: str
    roles: tuple[Role, ...]
    csrf: _Text
    exp: int
    sid: _Text
    tenant: str = ""


_Kept = TypeVar("_Kept", Attempt, Session)


class Cookies(NamedTuple):
    """Writes and reads the cookies."""

    secret: bytes

    def written(self, name: Literal["__Host-journeymesh-session", "__Host-journeymesh-sign-in"], kept: _Kept) -> str:
        """The `Set-Cookie` of a value."""
        seconds = SESSION_SECONDS if name == SESSION else ATTEMPT_SECONDS
        token = jwt.encode({"alg": _ALGORITHM}, msgspec.to_builtins(kept), OctKey.import_key(self.secret))
        return f"{name}={token}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}"

    def attempt(self, request: Request) -> Attempt:
        """The attempt that a request continues.

        Raises:
            Unauthenticated: `SIGN_IN_FAILED`, it continues none, or it took too long.
        """
        found = self._read(request, ATTEMPT, Attempt)
        if found is None:
            raise Unauthenticated(
                "SIGN_IN_FAILED", "Nobody was about to sign in here, or it took too long. Begin again."
            )
        return found

    def session(self, request: Request) -> Session | None:
        """The session of a request; None without one, and for pages of other origins: the session is not theirs."""
        return self._read(request, SESSION, Session) if cors.is_own(request.scope) else None

    def _read(self, request: Request, name: str, kept: type[_Kept]) -> _Kept | None:
        text = _cookie(header(request.scope, b"cookie"), name)
        if not text or len(text) > _LONGEST:
            return None
        try:
            claims = jwt.decode(text, OctKey.import_key(self.secret), algorithms=[_ALGORITHM]).claims
            found = msgspec.convert(claims, kept)
        except (JoseError, ValueError, msgspec.ValidationError):
            return None
        return found if found.exp > request.received_us // _SECOND_US else None


def gone(name: str) -> str:
    """The `Set-Cookie` that removes a cookie."""
    return f"{name}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"


def caller_of(session: Session, request: Request) -> Caller:
    """The person who sends a request; a change must bring the session's token.

    Raises:
        PermissionDenied: `CSRF_TOKEN_INVALID`, it brings another token or none.
    """
    if request.scope["method"] not in _SAFE:
        presented = header(request.scope, CSRF)
        if not hmac.compare_digest(presented.encode(), session.csrf.encode()):
            raise PermissionDenied("CSRF_TOKEN_INVALID", "A change needs the token of `GET /auth/session`.")
    return Caller(
        scopes_of(session.roles),
        key_id=session.subject,
        tenant=session.tenant,
        ends_us=session.exp * _SECOND_US,
        is_person=True,
        session_id=session.sid,
    )


def _cookie(text: str, name: str) -> str:
    try:
        found = SimpleCookie(text).get(name)
    except CookieError:
        return ""
    return found.value if found else ""
