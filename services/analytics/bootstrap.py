"""Makes what the analytics service needs from its settings and joins it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

from mesh.errors import MeshError, Unavailable
from mesh.process.lifecycle import in_background
from services.analytics.adapters.tasks import Place
from services.analytics.adapters.workers import DuckDb, FolderCopies, working
from services.analytics.domain.manifest import Manifest
from services.analytics.ports import Outdated
from services.analytics.settings import Settings
from services.analytics.usecases import Asking

_log = logging.getLogger(__name__)
_RETRY_SECONDS: Final = 1.0


class _Nothing:
    """No archive, so no copies."""

    def manifest(self) -> Manifest:
        """See `ports.Copies`."""
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "There is no archive: JOURNEYMESH_ARCHIVE_URL is empty.")

    async def check(self) -> None:
        """See `ports.Copies`."""


@contextlib.asynccontextmanager
async def answering(settings: Settings) -> AsyncIterator[Asking]:
    """What answers, with copies that follow the archive in the background of the block."""
    place = Place(settings.archive_url, settings.folder)
    async with working(settings.worker_count) as counting, working(1) as copying:
        engine = DuckDb(counting, place.root)
        if not settings.archive_url:
            yield Asking(_Nothing(), engine)
            return
        copies = FolderCopies(copying, place)
        async with in_background(follow(copies, settings.period_seconds)):
            yield Asking(copies, engine, settings.most_rows)


async def follow(copies: FolderCopies, period_seconds: float) -> None:
    """Keeps copies up with the archive until cancelled; a pass that fails is repeated."""
    while True:
        try:
            is_behind = await copies.bring_up()
        except Outdated:  # the archiver has joined files meanwhile
            is_behind = True
            await asyncio.sleep(_RETRY_SECONDS)
        except MeshError:
            _log.exception("the archive cannot be followed")
            is_behind = False
        if not is_behind:
            await asyncio.sleep(period_seconds)
