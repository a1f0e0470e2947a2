"""Tells what happens, and lets others watch it. Nothing here holds a decision up: telling only remembers."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from mesh.errors import ResourceExhausted, Unavailable
from mesh.process.lifecycle import cancel
from records.tenants import tenant_of
from services.intervention.live.domain import happening
from services.intervention.live.domain.happening import Happening, Happenings, Pending
from services.intervention.live.ports import Feed

_PAUSE_SECONDS: Final = 0.25
_RETRY_SECONDS: Final = 5.0
_MOST_TENANTS: Final = 100

_log = logging.getLogger(__name__)


class Live:
    """Tells and watches over one feed.

    Args:
        feed: connects the replicas.
        limit: how many may watch at a time in this process.
        pause_seconds: how often at most something is sent.
    """

    def __init__(self, feed: Feed, limit: int, pause_seconds: float = _PAUSE_SECONDS) -> None:
        self._feed = feed
        self._limit = limit
        self._pause_seconds = pause_seconds
        self._watching = 0
        self._pending: dict[str, Pending] = {}
        self._told = asyncio.Event()

    def tell(self, happenings: Sequence[Happening]) -> None:
        """Remembers what happened until it is sent, as far as there is room."""
        for each in happenings:
            tenant = tenant_of(each.user_id)
            if tenant in self._pending or len(self._pending) < _MOST_TENANTS:
                self._pending.setdefault(tenant, Pending()).add([each])
                self._told.set()

    async def run(self) -> None:
        """Sends what was told, without end: one message per tenant and pause. What cannot be sent is lost."""
        is_away = False
        while True:
            await self._told.wait()
            self._told.clear()
            pending, self._pending = self._pending, {}
            try:
                await self._feed.publish({tenant: happening.encode(each.take()) for tenant, each in pending.items()})
                is_away = False
            except Unavailable as error:
                if not is_away:
                    _log.warning("those who watch are not told what happens: %s", error.detail)
                is_away = True
            await asyncio.sleep(self._pause_seconds)

    async def watch(self, tenant: str) -> AsyncIterator[Happenings]:
        """What happens to a tenant's users, without end. The first is empty: from then on everything is told.

        Whoever takes it slowly gets what there was room for, and how much was left out.

        Raises:
            ResourceExhausted: `TOO_MANY_STREAMS`.
            Unavailable: the store cannot be reached.
        """
        with self._place():
            async with self._feed.follow(tenant) as messages:
                yield Happenings()
                pending, has_come = Pending(), asyncio.Event()
                reading = asyncio.create_task(_read(messages, pending, has_come))
                try:
                    while True:
                        await has_come.wait()
                        has_come.clear()
                        if reading.done():
                            reading.result()
                            return
                        yield pending.take()
                        await asyncio.sleep(self._pause_seconds)
                finally:
                    await cancel(reading)

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        if self._watching >= self._limit:
            raise ResourceExhausted("TOO_MANY_STREAMS", "Too many watch already.", _RETRY_SECONDS)
        self._watching += 1
        try:
            yield
        finally:
            self._watching -= 1


async def _read(messages: AsyncIterator[bytes], pending: Pending, has_come: asyncio.Event) -> None:
    try:
        async for message in messages:
            found = happening.decode(message)
            pending.add(found.happenings, found.left_out)
            has_come.set()
    finally:
        has_come.set()
