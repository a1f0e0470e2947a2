"""Proof of who the user of a page is: a token (JWT, HS256), signed with the identity secret of a public key.

As with Intercom's identity verification, a page cannot make a token: it gets one from a server that knows who is logged
in. An `EventSource` cannot set headers, so for a stream the gateway turns a token into a ticket. A ticket may stand in
a URL because it opens streams only, and only for a minute.
"""

from typing import Annotated, Final, NamedTuple

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from gateway.access.keyring import Keyring, KnownKey
from mesh.errors import Unauthenticated

MAX_TOKEN_SECONDS: Final = 31 * 86_400
"""How long a user's token may be valid from now on."""
TICKET_SECONDS: Final = 60
"""How long a ticket is valid."""

_SECOND_US: Final = 1_000_000
# How far the clocks of servers may be apart.
_LEEWAY_SECONDS: Final = 60
_LONGEST: Final = 4096
_ALGORITHM: Final = "HS256"
_TICKET: Final = "ticket"

_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e11)]


class _Claims(msgspec.Struct):
    sub: Annotated[str, msgspec.Meta(min_length=1)]
    exp: _Seconds
    nbf: _Seconds = 0
    use: str = ""
    until: _Seconds = 0


class Proven(NamedTuple):
    """A user who is proven, and until when, in Unix microseconds."""

    user_id: str
    ends_us: int


NOBODY: Final = Proven("", 0)
"""No user is proven."""


def user_of_token(token: str, key: KnownKey, now_us: int) -> Proven:
    """The user whom a token proves, in a request with this key.

    Raises:
        Unauthenticated: `USER_PROOF_INVALID`, it proves nobody: it is not signed with the key's identity secret, has
            expired or never does, is not valid yet, or names no user.
    """
    claims = _claims(token, key.identity_secret)
    if claims.use:
        raise _invalid("It is a ticket, which only opens streams.")
    return Proven(_user_id(claims, now_us, MAX_TOKEN_SECONDS), int((claims.exp + _LEEWAY_SECONDS) * _SECOND_US))


def new_ticket(user: Proven, key: KnownKey, now_us: int) -> str:
    """A ticket with which a proven user may open a stream for a minute; the stream ends with what proved the user."""
    now = now_us // _SECOND_US
    claims = {"sub": user.user_id, "exp": now + TICKET_SECONDS, "use": _TICKET, "until": user.ends_us / _SECOND_US}
    return jwt.encode({"alg": _ALGORITHM, "kid": key.key_id}, claims, OctKey.import_key(key.identity_secret))


def user_of_ticket(ticket: str, keyring: Keyring, now_us: int) -> tuple[Proven, KnownKey]:
    """The user of a ticket, and the key it was issued for.

    Raises:
        Unauthenticated: `USER_PROOF_INVALID`, it is no ticket of a key that is still valid, or has expired.
    """
    key = keyring.known.get(_key_id(ticket))
    if key is None or not key.identity_secret or key.has_ended(now_us):
        raise _invalid("It is no ticket of a valid key.")
    claims = _claims(ticket, key.identity_secret)
    if claims.use != _TICKET:
        raise _invalid("It is no ticket.")
    return Proven(_user_id(claims, now_us, TICKET_SECONDS), int(claims.until * _SECOND_US)), key


def _claims(token: str, secret: str) -> _Claims:
    if len(token) > _LONGEST:
        raise _invalid("It is too long.")
    try:
        claims = jwt.decode(token, OctKey.import_key(secret), algorithms=[_ALGORITHM]).claims
    except (JoseError, ValueError) as error:
        raise _invalid("It is not signed with the identity secret of this key.") from error
    try:
        return msgspec.convert(claims, _Claims)
    except msgspec.ValidationError as error:
        raise _invalid("Its `sub` must be the user's id, its `exp` seconds since 1970.") from error


def _user_id(claims: _Claims, now_us: int, max_seconds: int) -> str:
    now = now_us // _SECOND_US
    if claims.exp + _LEEWAY_SECONDS <= now:
        raise _invalid("It has expired.")
    if claims.exp > now + max_seconds + _LEEWAY_SECONDS:
        raise _invalid("It would be valid for too long.")
    if claims.nbf > now + _LEEWAY_SECONDS:
        raise _invalid("It is not valid yet.")
    return claims.sub


def _key_id(ticket: str) -> str:
    """The id of the key that a ticket claims to be issued for; empty if it names none."""
    try:
        return str(jws.extract_compact(ticket.encode()).headers().get("kid", "")) if len(ticket) <= _LONGEST else ""
    except (JoseError, ValueError):
        return ""


def _invalid(why: str) -> Unauthenticated:
    return Unauthenticated("USER_PROOF_INVALID", f"The user's token proves nothing. {why}")
