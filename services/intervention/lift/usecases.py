"""Tells experiments who met which arm, and what came of it: in the background, at least once.

Also knows which experiments run.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from mesh.errors import DeadlineExceeded, MeshError, Unavailable
from services.intervention.lift.domain.judged import Judged, is_by_stays, judged_by
from services.intervention.lift.domain.report import Kind, Report, kind
from services.intervention.lift.ports import Reports, Told
from services.intervention.policy.domain.arms import Configured
from services.intervention.policy.ports import Configurations

MOST_AT_ONCE: Final = 1_000
_PAUSE_SECONDS: Final = 1.0
_PASSING: Final = (Unavailable, DeadlineExceeded)
_log = logging.getLogger(__name__)


class Telling:
    """Tells what waits. Several processes may do it at once: then some is told twice, which changes nothing."""

    def __init__(self, reports: Reports, told: Told) -> None:
        self._reports = reports
        self._told = told

    async def run(self) -> None:
        """Tells without end.

        Raises:
            CancelledError: it is to end.
        """
        while True:
            try:
                while await self.tell_some():
                    pass
            except _PASSING as error:
                _log.warning("experiments are not told now: %s", error)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def tell_some(self) -> int:
        """Tells up to a thousand reports, and returns how many are done with; 0 if none wait.

        Raises:
            Unavailable: the store or the experiments cannot be reached; what was not told stays.
            DeadlineExceeded: the experiments do not answer in time; likewise.
        """
        found = await self._reports.first(MOST_AT_ONCE)
        groups: dict[tuple[str, str, Kind], dict[bytes, Report]] = {}
        for name, each in found.items():
            groups.setdefault((each.tenant, each.experiment_id, kind(each)), {})[name] = each
        for (_, experiment_id, _), some in sorted(groups.items(), key=lambda group: group[0][2]):
            try:
                await self._told.tell([*some.values()])
            except _PASSING:
                raise
            except MeshError as error:
                _log.warning("experiment %s does not take %d reports: %s", experiment_id, len(some), error)
            await self._reports.remove(some)
        return len(found)


class Judges:
    """Knows which experiments judge scoring models, and which others are judged by who stays, as they were told last.

    Args:
        configurations: how all of them are configured.
        of_scoring: the id of those that judge scoring models; empty for none.
    """

    def __init__(self, configurations: Configurations, of_scoring: str) -> None:
        self._configurations = configurations
        self._of_scoring = of_scoring
        self.by_tenant: Mapping[str, Judged] = {}
        self.by_stays: Mapping[str, Sequence[Configured]] = {}

    async def run(self) -> None:
        """Asks each second, without end.

        Raises:
            CancelledError: it is to end.
        """
        while True:
            try:
                await self.ask()
            except _PASSING as error:
                _log.warning("which models are judged is not known now: %s", error)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def ask(self) -> None:
        """Asks once.

        Raises:
            Unavailable: the store cannot be reached.
        """
        told = await self._configurations.read()
        of_scoring = {tenant: one for tenant, some in told.items() for one in some if one.id == self._of_scoring}
        found = {tenant: judged_by(each) for tenant, each in of_scoring.items()}
        self.by_tenant = {tenant: each for tenant, each in found.items() if each is not None}
        # An experiments service that does not say which outcomes it takes would count those who met no arm.
        others = {
            tenant: [
                one for one in some if one.id != self._of_scoring and one.outcomes is not None and is_by_stays(one)
            ]
            for tenant, some in told.items()
        }
        self.by_stays = {tenant: some for tenant, some in others.items() if some}
