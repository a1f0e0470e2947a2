"""Follows the list of suppressed people, so that every process of ingest knows it without asking."""

import asyncio
import logging
from typing import Final

from mesh.errors import MeshError
from services.ingest.events.domain.suppression import NOBODY, Suppression
from services.ingest.events.ports import Suppressions

FOLLOWED_SECONDS: Final = 1.0
"""How old the list is at most, while the store answers."""

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
        is_away = False
        while True:
            try:
                await self.read(suppressions)
                is_away = False
            except MeshError as error:
                if not is_away:
                    _log.warning("the list of suppressed people may be out of date: %s", error.detail)
                is_away = True
            await asyncio.sleep(FOLLOWED_SECONDS)
