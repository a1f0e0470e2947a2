"""A process of analytics that notes its start, and is killed after so many of its steps.

    python -m tests.analytics.dying_start STORE_URL REPLICA VERSION TIME_US STEPS

A step is a read or a change of the store; what came of the last one it does not learn. With fewer steps it ends by
itself.
"""

import asyncio
import contextlib
import sys
from collections.abc import Iterator, Sequence

from mesh.store import redis
from services.analytics.adapters.releases import RedisReleases
from services.analytics.domain.releases import Releases, Start
from services.analytics.ports import KeptReleases
from services.analytics.releasing import note
from tests.analytics.dying import dying_after


class DyingReleases(RedisReleases):
    """Counts steps."""

    def __init__(self, client: redis.Client, steps: Iterator[int]) -> None:
        super().__init__(client)
        self._steps = steps

    async def read(self) -> KeptReleases:
        kept = await super().read()
        next(self._steps)
        return kept

    async def replace(self, releases: Releases, seen: int) -> bool:
        is_done = await super().replace(releases, seen)
        next(self._steps)
        return is_done


async def main(arguments: Sequence[str]) -> None:
    """Runs by the arguments."""
    store_url, replica, version, time, count = arguments
    async with contextlib.aclosing(redis.connect(store_url)) as client:
        store = DyingReleases(client, dying_after(int(count)))
        await note(store, Start(replica, version), int(time))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
