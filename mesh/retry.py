"""Retries while a store or service is away: the pauses between attempts, and when to give up."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from mesh.errors import Unavailable

_REST_SECONDS: Final = 0.1

_Answer = TypeVar("_Answer")


class ExitForNow(SystemExit):
    """Ends the process with a sentence on what may pass, such as an address that is taken: begun again, it may run."""


def backoff_seconds(failures: int, first_seconds: float, longest_seconds: float, chance: float) -> float:
    """The pause after so many failed attempts, 1 or more: exponential with full jitter.

    Args:
        failures: how many attempts have failed in a row.
        first_seconds: the longest pause after the first one; it doubles with each further one.
        longest_seconds: the longest pause of all.
        chance: a random number from 0 to 1, the share of the longest pause that is taken.
    """
    return chance * min(longest_seconds, first_seconds * 2.0 ** min(failures - 1, 32))


async def retry(act: Callable[[], Awaitable[_Answer]], seconds: float) -> _Answer:
    """Repeats an idempotent act while it raises `Unavailable`, for so many seconds; returns its answer.

    Raises:
        Unavailable: the act still raised it when the time was over.
        MeshError: any other error of the act, at once.
    """
    now = asyncio.get_running_loop().time
    until = now() + seconds
    while True:
        try:
            return await act()
        except Unavailable:
            if now() >= until:
                raise
        await asyncio.sleep(_REST_SECONDS)
