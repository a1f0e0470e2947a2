"""What the room needs from the outside."""

from collections.abc import Sequence
from typing import Protocol

from services.intervention.lift.domain.report import Report


class Reports(Protocol):
    """Keeps reports until they are told. One that is there is not added again."""

    async def add(self, reports: Sequence[Report]) -> int:
        """Adds reports, and returns how many there was no room for.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def first(self, count: int) -> Sequence[Report]:
        """Some reports, at most so many; no outcome while anybody's arm waits. Empty if there are none.

        Raises:
            Unavailable: the store cannot be reached.
        """

    async def remove(self, reports: Sequence[Report]) -> None:
        """Removes reports; those that are gone already are no error.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def of_users(self, user_ids: Sequence[str]) -> Sequence[Report]:
        """The reports about these users, by their qualified ids.

        Raises:
            Unavailable: the store cannot be reached.
        """


class Told(Protocol):
    """The experiment that is told."""

    async def tell(self, reports: Sequence[Report]) -> None:
        """Tells reports of one tenant and experiment, all arms or all outcomes. Telling them again changes nothing.

        Raises:
            Unavailable: it cannot be reached; the call may be repeated.
            DeadlineExceeded: it does not answer in time; likewise.
            MeshError: it takes none of them, and will not: for instance because it has ended.
        """
