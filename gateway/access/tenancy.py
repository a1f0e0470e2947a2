"""What callers of a tenant reach: ids that they give become their tenant's, and what is another's is not found."""

from collections.abc import Mapping
from typing import Final

from gateway.access.permissions import OF_TENANTS
from gateway.http.caller import Caller
from mesh.errors import NotFound, PermissionDenied
from records import tenants

_IDS: Final = frozenset({"eventId", "userId", "videoId"})
"""The parameters that are ids which clients made; others are made by the mesh."""


def require_route(caller: Caller, method: str, path: str) -> None:
    """Returns if a route is for the caller's tenant. Those that are about the mesh as a whole are the default one's.

    Raises:
        PermissionDenied: `NOT_PERMITTED`.
    """
    if caller.tenant != tenants.DEFAULT and (method, path) not in OF_TENANTS:
        raise PermissionDenied("NOT_PERMITTED", "This is about the mesh as a whole, and not for keys of one tenant.")


def owned(caller: Caller, parameters: Mapping[str, str]) -> Mapping[str, str]:
    """The parameters of a request, with the caller's tenant in those that are ids."""
    if _IDS.isdisjoint(parameters):
        return parameters
    return {name: tenants.qualified(caller.tenant, text) if name in _IDS else text for name, text in parameters.items()}


def require_own(caller: Caller, some_id: str, what: str) -> None:
    """Returns if something is the caller's tenant's, by an id that is part of it.

    Raises:
        NotFound: it is another's; `what` names it, and its reason, as `decision`.
    """
    if not caller.owns(some_id):
        reason = f"{what.upper().replace(' ', '_')}_NOT_FOUND"
        detail = f"No {what} with this id."
        raise NotFound(reason, detail)
