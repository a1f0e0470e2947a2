"""What the room needs from the outside."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, TypeAlias

from services.intervention.lift.domain.report import Report

Waiting: TypeAlias = Mapping[bytes, Report]
"""Reports that wait, by what names them in the store."""


class Reports(Protocol):
    """Keeps reports until they are told. One that is there is not added again."""

    async def add(self, reports: Sequence[Report]) -> int:
        """Adds reports, and returns how many there was no room for.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def first(self, count: int) -> Waiting:
        """Some reports, at most so many; no outcome while anybody's arm waits. Empty if there are none.

        What only a newer version can read is left to it.

        Raises:
            Unavailable: the store cannot be reached.
        """

    async def remove(self, names: Collection[bytes]) -> None:
        """Removes reports; those that are gone already are no error.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def of_users(self, user_ids: Sequence[str]) -> Waiting:
        """The reports about these users, by their qualified ids.

        Raises:
            Unavailable: the store cannot be reached.
            VersionMismatch: only a newer version can read some report.
        """


class Told(Protocol):
    """The experiment that is told."""

    async def tell(self, reports: Sequence[Report]) -> None:
        """Tells reports of one tenant, experiment and kind. Telling them again changes nothing.

        Raises:
            Unavailable: it cannot be reached; the call may be repeated.
            DeadlineExceeded: it does not answer in time; likewise.
            MeshError: it takes none of them, and will not: for instance because it has ended.
        """
