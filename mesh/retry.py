"""Trying again where a store or service is away: how long to pause between attempts, and for how long altogether."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from mesh.errors import Unavailable

_REST_SECONDS: Final = 0.1

_Answer = TypeVar("_Answer")


def backoff_seconds(failures: int, first_seconds: float, longest_seconds: float, chance: float) -> float:
    """The pause after `failures` attempts, the first being 1: exponential, with full jitter by `chance` from 0 to 1."""
    return chance * min(longest_seconds, first_seconds * 2.0 ** min(failures - 1, 32))


async def retry(act: Callable[[], Awaitable[_Answer]], seconds: float) -> _Answer:
    """Repeats an idempotent act while it raises `Unavailable`, for so many seconds; returns its answer.

    Raises:
        Unavailable: the act still did so in the end.
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
