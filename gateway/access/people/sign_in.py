"""Signing in, as it is set up: with a provider, or on this machine by a link of the command.

Only a gateway with a provider loads what asks it.
"""

import contextlib
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from gateway.access.people.roles import NoRoles, grants_of_groups
from gateway.access.people.sessions import Cookies
from gateway.settings import Settings
from mesh.settings import SettingError, secret

if TYPE_CHECKING:
    import httpx

    from gateway.access.people.provider import Provider

_SECRET_LENGTH: Final = 32


@contextlib.asynccontextmanager
async def asking(settings: Settings) -> "AsyncIterator[httpx.AsyncClient | None]":
    """The client that asks the provider, for the length of the block; None without a provider."""
    if not settings.oidc_issuer:
        yield None
        return
    import httpx

    async with httpx.AsyncClient() as client:
        yield client


class SignIn(NamedTuple):
    """The provider, and the cookies that it leads to. Without one, the operator of this machine signs in by a link."""

    provider: "Provider | None"
    cookies: Cookies

    @classmethod
    def wanted(cls, settings: Settings, client: "httpx.AsyncClient | None") -> Self | None:
        """None if nobody signs in: no key is required, or there is neither a provider nor an encrypted or local way in.

        Raises:
            SettingError: a setting is missing or wrong.
        """
        session_secret = secret(settings.session_secret_file) or ""
        if client is None or not settings.oidc_issuer:
            is_safe = settings.is_local or settings.is_tls
            own_secret = session_secret.encode() or os.urandom(_SECRET_LENGTH)
            return cls(None, Cookies(own_secret)) if settings.keys == "required" and is_safe else None
        from gateway.access.people.provider import CALLBACK, Provider, ProviderSettings

        client_secret = secret(settings.oidc_client_secret_file) or ""
        trouble = _trouble(settings, session_secret, client_secret)
        if trouble:
            raise SettingError(trouble)
        known = ProviderSettings(
            settings.oidc_issuer,
            settings.oidc_client_id,
            client_secret,
            settings.public_url.rstrip("/") + CALLBACK,
            settings.oidc_groups_claim,
            grants_of_groups(settings.oidc_roles),
        )
        return cls(Provider(known, os.urandom, client), Cookies(session_secret.encode()))


def _trouble(settings: Settings, session_secret: str, client_secret: str) -> str:
    """What is wrong, in a sentence; empty if nothing is."""
    from gateway.access.people.provider import is_secure

    if settings.keys != "required":
        return "JOURNEYMESH_OIDC_ISSUER needs JOURNEYMESH_KEYS=required: otherwise everybody may do everything."
    if not (is_secure(settings.oidc_issuer) and is_secure(settings.public_url)):
        return "JOURNEYMESH_OIDC_ISSUER and JOURNEYMESH_PUBLIC_URL must be https URLs, or lead to this machine."
    if not (settings.oidc_client_id and client_secret):
        return "JOURNEYMESH_OIDC_ISSUER needs JOURNEYMESH_OIDC_CLIENT_ID and _CLIENT_SECRET_FILE."
    if len(session_secret) < _SECRET_LENGTH:
        return "The file of JOURNEYMESH_SESSION_SECRET_FILE must hold 32 characters or more, the same for all gateways."
    try:
        has_role = bool(grants_of_groups(settings.oidc_roles))
    except NoRoles as error:
        return f"JOURNEYMESH_OIDC_ROLES must be pairs such as admin=mesh-admins, not {str(error)!r}."
    return "" if has_role else "JOURNEYMESH_OIDC_ROLES must give a role to a group, as admin=mesh-admins does."
