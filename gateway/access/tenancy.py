"""What callers of a tenant reach: ids that they give become their tenant's, and what is another's is not found."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from gateway.access.permissions import OF_TENANTS
from gateway.http.caller import Caller
from mesh.errors import NotFound, PermissionDenied
from records import tenants

_MOST_READS: Final = 10

Read = Callable[[int, str], Awaitable[tuple[Sequence[Any], str]]]
"""Reads at most so many entries of all tenants after a cursor; returns them and where to go on, empty at the end."""

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


async def own_page(read: Read, is_own: Callable[[Any], bool], limit: int, cursor: str) -> tuple[list[Any], str]:
    """Up to `limit` of the caller's own entries of a list that is all tenants', and where to go on, empty at the end.

    Where others' are left out it reads on, ten times at most. So a page may be short, or empty, although more follow.

    Raises:
        MeshError: as `read`.
    """
    found: list[Any] = []
    for _ in range(_MOST_READS):
        page, cursor = await read(limit - len(found), cursor)
        own = [each for each in page if is_own(each)]
        found += own
        if not cursor or len(found) == limit or len(own) == len(page):
            break
    return found, cursor
