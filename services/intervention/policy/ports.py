"""What the policy room needs from the outside."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from services.intervention.policy.domain.timeline import DatedPolicy


class Documents(NamedTuple):
    """The documents of policies, as they are written."""

    of_mesh: str
    of_tenants: Mapping[str, str] | None = None
    """By tenant; a tenant that is left out has no policy of its own. None: those in force stay."""


class PolicyStore(Protocol):
    """Keeps every policy that was ever in force, in order; nothing is removed."""

    async def all(self) -> list[DatedPolicy]:
        """The policies, oldest first; empty before the first one was appended.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def count(self) -> int:
        """How many policies there are.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def append(self, dated: DatedPolicy, after_count: int) -> bool:
        """Appends a policy if there are exactly `after_count`, in one atomic step; False if there are others by now.

        Raises:
            Unavailable: the store cannot be reached; it may or may not be appended.
        """
