"""What the use cases need besides the ports of `mesh.state`: where fits are kept."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from services.customers.domain.fit import Fit


class Standing(NamedTuple):
    """Where a tenant's customers are: the segment of each, and how many were erased since the fit, by segment.

    `erasures` counts what was erased, also of others than customers. `inside` is the group of each customer who is in
    one, `erased_groups` how many of each were erased.
    """

    members: Mapping[str, str]
    erased: Mapping[str, int]
    erasures: int
    inside: Mapping[str, str] = {}
    erased_groups: Mapping[str, int] = {}


class FitStore(Protocol):
    """Keeps what was learnt of each tenant's customers, and the segment and group of each customer.

    Users are named by their qualified ids. All methods raise `Unavailable` if the store cannot be reached.
    """

    async def fit(self, tenant: str) -> Fit | None:
        """What was learnt last; None before.

        Raises:
            VersionMismatch: only a newer version can read it.
        """

    async def standing(self, tenant: str) -> Standing:
        """Where all customers are."""

    async def replace(
        self, tenant: str, fit: Fit, members: Mapping[str, str], inside: Mapping[str, str], seen: int
    ) -> bool:
        """Replaces fit, segments and groups in one atomic step, unless somebody was erased since `seen` erasures.

        Returns:
            Whether it did.
        """

    async def members(self, tenant: str, segment: str, after: str, count: int) -> Sequence[str]:
        """At most `count` customers of a segment in the order of their ids, from behind `after` on."""

    async def segment(self, user_id: str) -> str:
        """The segment that a user was given; empty if none."""

    async def groups(self, tenant: str, user_ids: Sequence[str]) -> Sequence[str]:
        """The groups that users were given, in their order; empty for who is in none."""

    async def erase(self, user_ids: Sequence[str]) -> None:
        """Takes users out of their segments and groups, and counts them as erased. May be repeated."""
