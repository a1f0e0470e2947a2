"""Trying again for a while where a store or service is away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from mesh.errors import Unavailable

_REST_SECONDS: Final = 0.1

_Answer = TypeVar("_Answer")


async def patiently(act: Callable[[], Awaitable[_Answer]], seconds: float) -> _Answer:
    """What an act answers that may be repeated; while it is unavailable it is repeated, for so long at most.

    Raises:
        Unavailable: it still was after that.
        MeshError: what else the act raised, at once.
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
