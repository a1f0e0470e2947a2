"""Who sends a request, and what that allows for its route, its user and its events."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from journeymesh.common.v1 import event_pb2

from gateway.http.rates import Limit
from mesh.errors import PermissionDenied, Unauthenticated
from mesh.keys import Scope
from records import tenants

_IDENTIFY: Final = event_pb2.EVENT_TYPE_IDENTIFY
_FACTS: Final = frozenset(
    {
        event_pb2.EVENT_TYPE_PURCHASE,
        event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME,
        event_pb2.EVENT_TYPE_SEGMENT_CHANGE,
    }
)

Warn = Callable[[str, str], object]
"""Reports what was cleaned or left out of an event: the member, and why."""

Add = Callable[..., object]
"""Takes an event by its members, as `gateway.accepting.rows.Rows.add` does."""


class Caller(NamedTuple):
    """Who sends a request.

    No event types means any. A bound caller acts for one user only: the proven one, if any is. Without keys nobody has
    a key id. All data of the caller is the tenant's; the proven user's id is plain.
    """

    scopes: frozenset[Scope]
    event_types: frozenset[int] = frozenset()
    is_bound: bool = False
    proven_user_id: str = ""
    key_id: str = ""
    """Of a person: who has signed in."""
    tenant: str = tenants.DEFAULT
    ends_us: int = 0
    """When a user's token or a person's session ends, in Unix microseconds; 0 without one."""
    is_person: bool = False
    session_id: str = ""
    """Of a person: the id by which the session is ended before its time."""
    limits: tuple[Limit, ...] = ()
    """How much the key and its tenant may send and ask for."""

    @property
    def is_operator(self) -> bool:
        """Whether the caller runs the mesh, not only what is one tenant's."""
        return Scope.OPERATE in self.scopes and self.tenant == tenants.DEFAULT

    def owns(self, some_id: str) -> bool:
        """Whether something is of the caller's tenant, by an id that is part of it."""
        return tenants.tenant_of(some_id) == self.tenant

    def require(self, scope: Scope) -> None:
        """Returns if the caller may do this.

        Raises:
            PermissionDenied: `NOT_PERMITTED`.
        """
        if scope not in self.scopes:
            raise PermissionDenied("NOT_PERMITTED", f"This needs the scope `{scope}`.")

    def require_user(self, user_id: str) -> None:
        """Returns if the caller may act for this user.

        Raises:
            Unauthenticated: `USER_PROOF_REQUIRED`, nobody is proven; `USER_PROOF_INVALID`, somebody else is.
        """
        self._require_proven(tenants.plain(user_id))

    def _require_proven(self, plain_id: str) -> None:
        if not self.is_bound or plain_id == self.proven_user_id:
            return
        if not self.proven_user_id:
            raise Unauthenticated("USER_PROOF_REQUIRED", "A public key needs a token that proves who the user is.")
        raise Unauthenticated("USER_PROOF_INVALID", "The user's token is about another user.")

    def guarded(self, add: Add, warn: Warn) -> Add:
        """An `add` that takes only what the caller may send; `add` itself if that is everything.

        An event of a bound caller links no anonymous id to a user who is not proven; that it does not is warned of.
        """
        if Scope.WRITE_FACTS in self.scopes and not self.event_types and not self.is_bound:
            return add

        def guard(**members: Any) -> object:  # noqa: ANN401 - the members of an event
            self._require_event(members)
            rare = members.get("rare") or {}
            is_link = rare.get("anonymous_id", members["user_id"]) != members["user_id"]
            if is_link and self.is_bound and members["user_id"] != self.proven_user_id and not rare.get("is_own"):
                del rare["anonymous_id"]
                warn("anonymousId", "Nobody proved who the user is, so the ids were not linked.")
            return add(**members)

        return guard

    def _require_event(self, members: dict[str, Any]) -> None:
        """Returns if the caller may send this event.

        Raises:
            PermissionDenied: `NOT_PERMITTED`, not events of this type.
            Unauthenticated: as `require_user`, an identifying event would link ids and set a contact.
        """
        event_type, rare = members["event_type"], members.get("rare") or {}
        if rare.get("is_own"):  # made by the gateway, once its route allowed it
            return
        is_fact = event_type in _FACTS and Scope.WRITE_FACTS not in self.scopes
        if is_fact or (self.event_types and event_type not in self.event_types):
            raise PermissionDenied("NOT_PERMITTED", "The key may not send events of this type.")
        if event_type == _IDENTIFY:
            self._require_proven(members["user_id"])


ANYBODY: Final = Caller(frozenset(Scope))
"""Whoever reaches a gateway that asks for no keys."""

NOBODY: Final = Caller(frozenset())
"""Who brings no key to a gateway that asks for one."""
