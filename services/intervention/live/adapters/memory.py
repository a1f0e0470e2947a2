"""A feed within one process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping


class MemoryFeed:
    """See `services.intervention.live.ports.Feed`."""

    def __init__(self) -> None:
        self._followers: dict[str, list[asyncio.Queue[bytes]]] = {}

    async def publish(self, messages: Mapping[str, bytes]) -> None:
        """See `services.intervention.live.ports.Feed`."""
        for tenant, message in messages.items():
            for queue in self._followers.get(tenant, ()):
                queue.put_nowait(message)

    @contextlib.asynccontextmanager
    async def follow(self, tenant: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """See `services.intervention.live.ports.Feed`."""
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        followers = self._followers.setdefault(tenant, [])
        followers.append(queue)
        try:
            yield _messages(queue)
        finally:
            followers.remove(queue)


async def _messages(queue: asyncio.Queue[bytes]) -> AsyncIterator[bytes]:
    while True:
        yield await queue.get()
