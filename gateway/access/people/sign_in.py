"""Signing in, as it is set up; none if no provider is named."""

import os
from typing import Final, NamedTuple, Self

import httpx

from gateway.access.people.provider import CALLBACK, Provider, ProviderSettings, is_secure
from gateway.access.people.roles import NoRoles, roles_of_groups
from gateway.access.people.sessions import Cookies
from gateway.settings import Settings
from mesh.settings import SettingError, secret

_SECRET_LENGTH: Final = 32


class SignIn(NamedTuple):
    """The provider, and the cookies that it leads to."""

    provider: Provider
    cookies: Cookies

    @classmethod
    def wanted(cls, settings: Settings, client: httpx.AsyncClient) -> Self | None:
        """None without a provider.

        Raises:
            SettingError: a setting is missing or wrong.
        """
        if not settings.oidc_issuer:
            return None
        session_secret = secret(settings.session_secret_file) or ""
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
            roles_of_groups(settings.oidc_roles),
        )
        return cls(Provider(known, os.urandom, client), Cookies(session_secret.encode()))


def _trouble(settings: Settings, session_secret: str, client_secret: str) -> str:
    """What is wrong, in a sentence; empty if nothing is."""
    if settings.keys != "required":
        return "JOURNEYMESH_OIDC_ISSUER needs JOURNEYMESH_KEYS=required: otherwise everybody may do everything."
    if not (is_secure(settings.oidc_issuer) and is_secure(settings.public_url)):
        return "JOURNEYMESH_OIDC_ISSUER and JOURNEYMESH_PUBLIC_URL must be https URLs, or lead to this machine."
    if not (settings.oidc_client_id and client_secret):
        return "JOURNEYMESH_OIDC_ISSUER needs JOURNEYMESH_OIDC_CLIENT_ID and _CLIENT_SECRET_FILE."
    if len(session_secret) < _SECRET_LENGTH:
        return "The file of JOURNEYMESH_SESSION_SECRET_FILE must hold 32 characters or more, the same for all gateways."
    try:
        has_role = bool(roles_of_groups(settings.oidc_roles))
    except NoRoles as error:
        return f"JOURNEYMESH_OIDC_ROLES must be pairs such as admin=mesh-admins, not {str(error)!r}."
    return "" if has_role else "JOURNEYMESH_OIDC_ROLES must give a role to a group, as admin=mesh-admins does."
