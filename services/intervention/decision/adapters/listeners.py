"""Listeners in this process: each waits for changes of one user."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Final

from mesh.errors import ResourceExhausted

_RETRY_SECONDS: Final = 5.0


class LocalListener:
    """Waits for changes of one user."""

    def __init__(self, user_id: str, among: "LocalListeners") -> None:
        self.user_id = user_id
        self.changed = asyncio.Event()
        self._among = among

    async def wait(self, timeout_seconds: float) -> None:
        """See `services.intervention.decision.ports.Listener`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self.changed.wait()
        self.changed.clear()

    def close(self) -> None:
        """See `services.intervention.decision.ports.Listener`."""
        self._among.leave(self)


class LocalListeners:
    """At most `limit` listeners over all users."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._by_user: dict[str, set[LocalListener]] = {}

    def wake(self, user_ids: Iterable[str]) -> None:
        """See `services.intervention.decision.ports.Listeners`."""
        for user_id in user_ids:
            for listener in self._by_user.get(user_id, ()):
                listener.changed.set()

    def listen(self, user_id: str) -> LocalListener:
        """See `services.intervention.decision.ports.Listeners`."""
        if self._count >= self._limit:
            raise ResourceExhausted("TOO_MANY_STREAMS", "Too many listen already.", _RETRY_SECONDS)
        self._count += 1
        listener = LocalListener(user_id, self)
        self._by_user.setdefault(user_id, set()).add(listener)
        return listener

    def leave(self, listener: LocalListener) -> None:
        """Removes the listener: it is woken no more."""
        self._count -= 1
        others = self._by_user[listener.user_id]
        others.remove(listener)
        if not others:
            del self._by_user[listener.user_id]
