"""The company's OpenID provider: the authorization code flow with PKCE, state and nonce (OpenID Connect Core 1.0).

Each check has its place: `state` and the cookie tie the answer to this browser, the verifier ties the code to this
attempt, and the nonce ties the identity token to it. The token must be signed by a key of the provider, with an
asymmetric algorithm.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from gateway.access.people.roles import Grants, Role, name_of_tenant, roles_in, tenant_of_name
from gateway.access.people.sessions import ATTEMPT_SECONDS, Attempt, Person
from mesh import keys
from mesh.errors import PermissionDenied, Unauthenticated, Unavailable

CALLBACK: Final = "/auth/callback"

_TIMEOUT: Final = httpx.Timeout(10.0, connect=3.0)
_FRESH_SECONDS: Final = 3600.0
# An unknown key may be a new one of the provider's; it is asked again, but not more often than this.
_REFRESH_SECONDS: Final = 60.0
_LEEWAY_SECONDS: Final = 60
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
_MAX_BYTES: Final = 512 * 1024
_LONGEST_NAME: Final = 100
_LONGEST_SUBJECT: Final = 255
# As long as an actor of the audit log may be.
_LONGEST_ACTOR: Final = 64
_PERSON: Final = "person:"
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_AWAY: Final = "The company's sign-in cannot be reached now."


class ProviderSettings(NamedTuple):
    """How the gateway is known to the provider, and what its groups mean here."""

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str
    groups_claim: str
    grants: Grants


class _Metadata(msgspec.Struct, frozen=True):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str

    def require(self, issuer: str) -> None:
        """Returns if it is this issuer's and leads to safe addresses; raises `ValueError` otherwise."""
        endpoints = (self.authorization_endpoint, self.token_endpoint, self.jwks_uri)
        if self.issuer != issuer or not all(map(is_secure, endpoints)):
            raise ValueError(issuer)


class _Tokens(msgspec.Struct, frozen=True):
    id_token: Annotated[str, msgspec.Meta(min_length=1, max_length=64 * 1024)]


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: Annotated[str, msgspec.Meta(min_length=1, max_length=_LONGEST_SUBJECT)]
    aud: str | list[str]
    exp: float
    iat: float
    nonce: str
    azp: str = ""
    name: str = ""
    preferred_username: str = ""
    email: str = ""


class _Known(NamedTuple):
    """What the provider says of itself, and when it was asked, by the process's clock."""

    metadata: _Metadata
    key_set: KeySet
    asked_at: float


class Provider:
    """Signs people in."""

    def __init__(
        self,
        settings: ProviderSettings,
        random_bytes: keys.RandomBytes,
        client: httpx.AsyncClient,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._random_bytes = random_bytes
        self._client = client
        self._monotonic = monotonic
        self._known: _Known | None = None

    async def begin(self, to: str, tenant: str, now_s: int) -> tuple[str, Attempt]:
        """Where to send a browser, and what it must bring back; afterwards it is led to the path `to`.

        Args:
            to: a path.
            tenant: the name of the tenant to work in; empty: the only one in which the person has a role.
            now_s: Unix seconds.

        Raises:
            Unavailable: the provider cannot be reached.
        """
        state, nonce, verifier = (keys.new_secret(self._random_bytes) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._settings.client_id,
                "redirect_uri": self._settings.redirect_uri,
                "scope": "openid profile email",
                "state": state,
                "nonce": nonce,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            }
        )
        endpoint = (await self._knowledge()).metadata.authorization_endpoint
        separator = "&" if urlsplit(endpoint).query else "?"
        return f"{endpoint}{separator}{query}", Attempt(state, nonce, verifier, to, now_s + ATTEMPT_SECONDS, tenant)

    async def end(self, attempt: Attempt, answer: Mapping[str, str], now_s: int) -> Person:
        """Who comes back with the provider's answer, the query of its redirection.

        Raises:
            Unauthenticated: `SIGN_IN_FAILED`, the provider refused, or what came is not its answer to this attempt.
            PermissionDenied: `NO_ROLE`, the person is in no group that has a role here, or in the chosen tenant;
                `TENANT_REQUIRED`, there are several and none was chosen.
            Unavailable: the provider cannot be reached.
        """
        if not hmac.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
            raise _failed("It is the answer to another attempt.")
        if answer.get("iss", self._settings.issuer) != self._settings.issuer:  # RFC 9207
            raise _failed("Another provider has answered.")
        if "error" in answer or not answer.get("code"):
            raise _failed("The provider did not sign you in.")
        claims, everything = await self._proven(await self._redeemed(answer["code"], attempt.verifier), attempt, now_s)
        roles = roles_in(everything.get(self._settings.groups_claim), self._settings.grants)
        tenant = _chosen(attempt.tenant, roles)
        name = claims.name or claims.preferred_username or claims.email
        return Person(_subject(claims.sub), name[:_LONGEST_NAME], roles[tenant], tenant)

    async def _redeemed(self, code: str, verifier: str) -> str:
        """The identity token for a code."""
        settings = self._settings
        endpoint = (await self._knowledge()).metadata.token_endpoint
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": settings.redirect_uri,
            "code_verifier": verifier,
        }
        try:
            response = await self._client.post(
                endpoint, data=form, auth=(settings.client_id, settings.client_secret), timeout=_TIMEOUT
            )
        except httpx.HTTPError as error:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", _AWAY) from error
        if response.status_code >= 500:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", _AWAY)
        try:
            return msgspec.json.decode(response.content[:_MAX_BYTES], type=_Tokens).id_token
        except msgspec.MsgspecError as error:
            raise _failed("The provider did not accept its own code; it may have been used before.") from error

    async def _proven(self, token: str, attempt: Attempt, now_s: int) -> tuple[_Claims, Mapping[str, Any]]:
        """The claims of an identity token, once all of them hold."""
        try:
            everything = (await self._decoded(token)).claims
            claims = msgspec.convert(everything, _Claims)
        except (JoseError, ValueError, msgspec.ValidationError) as error:
            raise _failed("The identity token is not the provider's.") from error
        settings = self._settings
        audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        is_for_us = settings.client_id in audience and (len(audience) == 1 or claims.azp == settings.client_id)
        is_timely = now_s - _LEEWAY_SECONDS < claims.exp and claims.iat < now_s + _LEEWAY_SECONDS
        is_of_attempt = hmac.compare_digest(claims.nonce.encode(), attempt.nonce.encode())
        if not (claims.iss == settings.issuer and is_for_us and is_timely and is_of_attempt):
            raise _failed("The identity token is for another attempt, another client or another time.")
        return claims, everything

    async def _decoded(self, token: str) -> jwt.Token:
        known = await self._knowledge()
        try:
            return jwt.decode(token, known.key_set, algorithms=[*_ALGORITHMS])
        except InvalidKeyIdError:
            if self._monotonic() - known.asked_at < _REFRESH_SECONDS:
                raise
        self._known = None
        return jwt.decode(token, (await self._knowledge()).key_set, algorithms=[*_ALGORITHMS])

    async def _knowledge(self) -> _Known:
        known = self._known
        if known is None or self._monotonic() - known.asked_at > _FRESH_SECONDS:
            known = self._known = await self._ask()
        return known

    async def _ask(self) -> _Known:
        issuer = self._settings.issuer
        try:
            metadata = msgspec.json.decode(
                await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration"), type=_Metadata
            )
            metadata.require(issuer)
            key_set = KeySet.import_key_set(msgspec.json.decode(await self._get(metadata.jwks_uri)))
        except (httpx.HTTPError, JoseError, ValueError, KeyError, msgspec.MsgspecError) as error:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", _AWAY) from error
        return _Known(metadata, key_set, self._monotonic())

    async def _get(self, url: str) -> bytes:
        response = await self._client.get(url, timeout=_TIMEOUT)
        return response.raise_for_status().content[:_MAX_BYTES]


def _chosen(name: str, roles: Mapping[str, tuple[Role, ...]]) -> str:
    """The tenant to work in: the one of this name, or without a name the only one."""
    if name and tenant_of_name(name) in roles:
        return tenant_of_name(name)
    if not roles or name:
        raise PermissionDenied("NO_ROLE", "You are in no group that has a role here.")
    if len(roles) > 1:
        names = ", ".join(map(name_of_tenant, roles))
        detail = f"Begin again at /auth/sign-in?tenant=…, with one of {names}."
        raise PermissionDenied("TENANT_REQUIRED", detail)
    return next(iter(roles))


def _subject(sub: str) -> str:
    """Who acts, as the audit log knows it; a long id of the provider stands there as its hash."""
    is_short = len(sub) <= _LONGEST_ACTOR - len(_PERSON)
    return _PERSON + (sub if is_short else f"sha256:{hashlib.sha256(sub.encode()).hexdigest()[:32]}")


def is_secure(url: str) -> bool:
    """Whether a URL is https, or leads to this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)


def _failed(why: str) -> Unauthenticated:
    return Unauthenticated("SIGN_IN_FAILED", f"{why} Begin again at /auth/sign-in.")
