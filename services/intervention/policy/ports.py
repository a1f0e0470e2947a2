"""What the policy room needs from the outside."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from services.intervention.policy.domain.arms import Configured
from services.intervention.policy.domain.timeline import DatedPolicy


class Documents(NamedTuple):
    """The documents of policies, as they are written."""

    of_mesh: str
    of_tenants: Mapping[str, str] | None = None
    """By tenant; a tenant that is left out has no policy of its own. None: those in force stay."""


_REFUSED: Final = "\0"
"""Starts a text that stands in for a document, and says why there is none; no YAML contains it."""


def refused(why: str) -> str:
    """What stands in for a document that cannot be read or made."""
    return _REFUSED + why


def why_refused(document: str) -> str:
    """Why there is no document, in words; empty for a document."""
    return document.removeprefix(_REFUSED) if document.startswith(_REFUSED) else ""


class Texts(Protocol):
    """Documents of policies by name."""

    async def read(self, name: str) -> str:
        """The document; for one that cannot be read, a text that says why (`refused`)."""


class Configurations(Protocol):
    """How experiments are configured."""

    async def read(self) -> Mapping[str, Sequence[Configured]]:
        """Those of each tenant; a tenant that has none is left out.

        Where nobody can be asked, they are as they were last, for a day at most; then there are none.

        Raises:
            Unavailable: the store cannot be reached.
        """


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


class AuditLog(Protocol):
    """Keeps who did what."""

    async def record(self, number: int, version: str, start_us: int) -> None:
        """Records that a policy was put in force; a call that is repeated within an hour MUST record nothing twice.

        Args:
            number: distinguishes the change from all others: the same version may come into force again.
            version: the policy's.
            start_us: when it began to decide, or will, in Unix microseconds.

        Raises:
            Unavailable: it cannot be reached; it may or may not be recorded.
        """


class Mark(Protocol):
    """How many policies of a store are recorded in the audit log."""

    async def read(self) -> int:
        """The number; 0 at first.

        Raises:
            Unavailable: it cannot be read; the call may be repeated.
        """

    async def write(self, count: int) -> None:
        """Keeps the number.

        Raises:
            Unavailable: it may or may not be kept; the call may be repeated.
        """
