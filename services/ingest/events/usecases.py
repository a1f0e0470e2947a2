"""Follows the list of suppressed people, and what was set for tenants, so that processes know it without asking."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from mesh.errors import MeshError, Unavailable
from services.ingest.events.domain.suppression import NOBODY, Suppression
from services.ingest.events.domain.tenants import NONE, Settings
from services.ingest.events.ports import Suppressions, Tenants

FOLLOWED_SECONDS: Final = 1.0
"""How old what is followed is at most, while the store answers."""

_log = logging.getLogger(__name__)


class Suppressing:
    """The list as it was read last; nobody is suppressed before."""

    def __init__(self) -> None:
        self.now: Suppression = NOBODY
        """Who is suppressed."""

    async def read(self, suppressions: Suppressions) -> None:
        """Reads the list.

        Raises:
            Unavailable: the store cannot be reached; the list stays as it was.
        """
        self.now = await suppressions.all()

    async def follow(self, suppressions: Suppressions) -> None:
        """Reads the list every second, until it is cancelled."""
        await _follow("the list of suppressed people", lambda: self.read(suppressions))


class SettingsOfTenants:
    """What was set for tenants, as it was read last; None before: then it is not known how to mask their events."""

    def __init__(self, known: Settings | None = NONE) -> None:
        self.now: Settings | None = known

    async def read(self, tenants: Tenants) -> None:
        """Reads what was set. Who is of a version that keeps none has never kept any.

        Raises:
            Unavailable: who keeps it cannot be reached; what was read stays.
        """
        try:
            self.now = await tenants.all()
        except Unavailable as error:
            if error.reason != "VERSION_MISMATCH":
                raise
            self.now = NONE if self.now is None else self.now

    async def follow(self, tenants: Tenants) -> None:
        """Reads it every second, until it is cancelled."""
        await _follow("what was set for tenants", lambda: self.read(tenants))


async def _follow(what: str, read: Callable[[], Awaitable[object]]) -> None:
    is_away = False
    while True:
        try:
            await read()
            is_away = False
        except MeshError as error:
            if not is_away:
                _log.warning("%s may be out of date: %s", what, error.detail)
            is_away = True
        await asyncio.sleep(FOLLOWED_SECONDS)
