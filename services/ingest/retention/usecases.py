"""The use cases: say what goes of the archive on a day, and let it go, once a day."""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from mesh.clock import Clock
from mesh.errors import InvalidArgument
from mesh.observability import registry
from mesh.observability.metrics import Metrics
from services.ingest.archive.ports import Archive
from services.ingest.erasure.ports import Erasures
from services.ingest.erasure.usecases import in_turn
from services.ingest.events.domain.days import day_of
from services.ingest.retention.domain import terms as retention
from services.ingest.retention.domain.terms import Change, Forecast, Terms
from services.ingest.retention.ports import Passes

LATEST_DAY: Final = 2_932_896
"""The last day that a calendar has: of the year 9999."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Retention:
    """What is kept for how long."""

    archive: Archive
    terms: Callable[[], Awaitable[Terms]]
    """Reads the terms; raises `Unavailable` if they are not known."""
    clock: Clock

    async def changes(self, on_day: int, terms: Terms) -> list[Change]:
        """What goes on a day of the archive as it is now.

        Raises:
            Unavailable: the archive cannot be reached.
        """
        held = await self.archive.before(terms.last_hour(on_day))
        return retention.changes(held, terms, on_day)

    async def forecast(self, on_day: int | None) -> Forecast:
        """What the pass of a day would let go of the archive as it is now; None: of tomorrow. Changes nothing.

        Raises:
            InvalidArgument: `INVALID_PARAMETER`, it is no day of a calendar from 1970 on.
            Unavailable: the archive or the terms cannot be reached.
        """
        day = day_of(self.clock()) + 1 if on_day is None else on_day
        if not 0 <= day <= LATEST_DAY:
            raise InvalidArgument("INVALID_PARAMETER", "A day is one from 1970 to 9999.")
        terms = await self.terms()
        return retention.forecast(await self.changes(day, terms), terms, day)


class Pass(NamedTuple):
    """What lets go, on a day, what is over its days then."""

    day: int


@dataclasses.dataclass(frozen=True)
class Expiring:
    """Lets go what is over its days, once a day soon after midnight (UTC), in the archiver's process."""

    retention: Retention
    passes: Passes
    turns: Erasures
    metrics: Metrics

    def __post_init__(self) -> None:
        """Reports counters that are still zero."""
        self.metrics.count(registry.EXPIRED_ROWS, 0)
        self.metrics.count(registry.EXPIRED_FILES, 0)

    async def run(self, owner: str) -> None:
        """Makes each day's pass, while this process has the turn to rewrite the archive, until it is cancelled."""
        await in_turn(self.turns, "archive", owner, self.due, self.advance)

    async def due(self) -> list[Pass]:
        """Today's pass, if it is not done; none on the day of the first start, so that the first one can be forecast.

        Raises:
            Unavailable: the store cannot be reached.
        """
        today = day_of(self.retention.clock())
        return [Pass(today)] if await self.passes.last_day(today) < today else []

    async def advance(self, due: Pass) -> None:
        """Makes a pass, file by file; between two it rests for as long as the last one took.

        After an interruption it goes on with what is left.

        Raises:
            MeshError: the archive, the terms or the store cannot be reached; it is tried again.
        """
        now = asyncio.get_running_loop().time
        planned = await self.retention.changes(due.day, await self.retention.terms())
        for change in planned:
            began = now()
            await self._make(change)
            await asyncio.sleep(now() - began)
        await self.passes.save(due.day)
        _log.info("%d files of the archive were deleted or rewritten, as they were over their days", len(planned))

    async def _make(self, change: Change) -> None:
        archive = self.retention.archive
        await (archive.delete(change.file) if change.is_whole else archive.expire(change.file, change.gone))
        self.metrics.count(registry.EXPIRED_ROWS, change.row_count)
        self.metrics.count(registry.EXPIRED_FILES, 1)
