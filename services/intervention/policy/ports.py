"""What the policy room needs from the outside."""

from typing import Protocol

from services.intervention.policy.domain.timeline import DatedPolicy


class PolicyStore(Protocol):
    """Keeps every policy that was ever in force, in order. What was appended stays."""

    async def all(self) -> list[DatedPolicy]:
        """The policies, oldest first; none at first.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def count(self) -> int:
        """How many there are.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def append(self, dated: DatedPolicy, after_count: int) -> bool:
        """Appends one if there are so many, in one atomic step; False where another came first.

        Raises:
            Unavailable: the store cannot be reached; it may or may not be appended.
        """
