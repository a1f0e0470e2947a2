"""What the use cases need besides the ports of `mesh.state`: where fits are kept."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from services.customers.domain.fit import Fit
from services.customers.domain.publishing import Published

MOST_EXPORTED_BYTES: Final = 64 * 1024 * 1024
"""Of a file of all customers, as it is kept: compressed."""
EXPORT_SECONDS: Final = 86_400
"""How long a file of all customers is kept."""


class Standing(NamedTuple):
    """Where a tenant's customers are: the segment of each, and how many were erased since the fit, by segment.

    `erasures` counts what was erased, also of others than customers. `grouped` is the group of each customer who is in
    one, `erased_groups` how many of each were erased.
    """

    members: Mapping[str, str]
    erased: Mapping[str, int]
    erasures: int
    grouped: Mapping[str, str] = {}
    erased_groups: Mapping[str, int] = {}


class Exported(NamedTuple):
    """A file of all customers of a tenant, and the job that wrote it. `pieces` are its bytes, in their order."""

    job_id: str
    customers: int
    pieces: Iterable[bytes]


class FitStore(Protocol):
    """Keeps what was learnt of each tenant's customers, the segment and group of each, and what was published of them.

    Also keeps the last file of all customers of each tenant, for a day.

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
        self, tenant: str, fit: Fit, members: Mapping[str, str], grouped: Mapping[str, str], seen: int
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

    async def published(self, tenant: str, user_ids: Sequence[str]) -> Sequence[Published | None]:
        """What was published of users last, in their order; None of whom nothing was.

        Raises:
            VersionMismatch: only a newer version can read it.
        """

    async def publish(self, tenant: str, segment: str, published: Mapping[str, Published]) -> None:
        """Keeps what was published of users, but not of those who are not in the segment any more, or were erased."""

    def departed(self, tenant: str) -> AsyncIterator[Mapping[str, Published]]:
        """Of whom something was published who are in no segment now, in parts of about 1,000.

        Raises:
            VersionMismatch: as `published`.
        """

    async def unpublish(self, tenant: str, user_ids: Sequence[str]) -> None:
        """Forgets what was published of users."""

    async def erase(self, user_ids: Sequence[str]) -> None:
        """Takes users out of their segments and groups, and counts them as erased. May be repeated.

        Also forgets what was published of them, and the file of all customers.
        """

    async def erasures(self, tenant: str) -> int:
        """As in `Standing`, by itself."""

    async def keep_export(self, tenant: str, exported: Exported, seen: int) -> bool:
        """Keeps a file in place of the one before, in one atomic step, unless some were erased since `seen` erasures.

        Returns:
            Whether it did.

        Raises:
            ResourceExhausted: `EXPORT_TOO_LARGE`, it has more than `MOST_EXPORTED_BYTES`.
        """

    async def exported(self, tenant: str, job_id: str) -> int | None:
        """How many customers are in the file of a job; None if it is not kept.

        Raises:
            VersionMismatch: only a newer version can read it.
        """

    def export(self, tenant: str, job_id: str) -> AsyncIterator[bytes]:
        """The file of a job, in pieces of about a megabyte.

        Raises:
            NotFound: `EXPORT_NOT_FOUND`, it is not kept; also in the middle.
            VersionMismatch: only a newer version can read it.
        """
