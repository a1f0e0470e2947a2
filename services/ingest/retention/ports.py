"""What retention needs, beside the archive and the turns of erasures."""

from typing import Protocol


class Passes(Protocol):
    """Keeps the last day whose pass over the archive is done, for good.

    Every call raises `Unavailable` if the store cannot be reached; it may be repeated.
    """

    async def last_day(self, today: int) -> int:
        """The last day whose pass is done. The first call ever, of all processes, makes it today."""

    async def save(self, day: int) -> None:
        """Keeps that the pass of a day is done; a later day stays."""
