"""Tells experiments who met which arm, and what came of it: in the background, at least once.

Also knows which experiments run, and lets those that judge scoring models end a canary or make it live.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from mesh.errors import DeadlineExceeded, MeshError, Unavailable
from services.intervention.lift.domain.canary import ENDED, actor, consequence, shares
from services.intervention.lift.domain.judged import Judged, is_by_stays, judged_by
from services.intervention.lift.domain.report import Kind, Report, kind
from services.intervention.lift.ports import Reports, Stages, Told, ToldShares
from services.intervention.policy.domain.arms import Configured
from services.intervention.policy.ports import Configurations

MOST_AT_ONCE: Final = 1_000
_PAUSE_SECONDS: Final = 1.0
_CANARY_PAUSE_SECONDS: Final = 2.0
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
        self.configured: Mapping[str, Configured] = {}
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
        self.configured = {tenant: one for tenant, some in told.items() for one in some if one.id == self._of_scoring}
        found = {tenant: judged_by(each) for tenant, each in self.configured.items()}
        self.by_tenant = {tenant: each for tenant, each in found.items() if each is not None}
        others = {
            tenant: [one for one in some if one.id != self._of_scoring and is_by_stays(one)]
            for tenant, some in told.items()
        }
        self.by_stays = {tenant: some for tenant, some in others.items() if some}


class Canaries:
    """Ends canaries of scoring, or makes them live, with the experiments that judge them; tells these the real shares.

    Several processes may do it at once: a change that was made is not made again.
    """

    def __init__(self, judges: Judges, stages: Stages, told: ToldShares) -> None:
        self._judges = judges
        self._stages = stages
        self._told = told
        # By tenant: the ends that were followed, and the shares that were told to the experiment as it was then.
        self._followed: dict[str, tuple[str, int]] = {}
        self._shares: dict[str, tuple[str, int, Mapping[str, float]]] = {}

    async def run(self) -> None:
        """Follows without end.

        Raises:
            CancelledError: it is to end.
        """
        while True:
            await self.follow()
            await asyncio.sleep(_CANARY_PAUSE_SECONDS)

    async def follow(self) -> None:
        """Follows once. What fails is tried again the next time."""
        due = {tenant: each for tenant, each in self._judges.configured.items() if self._is_due(tenant, each)}
        if not due:
            return
        try:
            staged = await self._stages.of(due)
        except MeshError as error:
            _log.warning("what scoring models are used for is not known now: %s", error)
            return
        for tenant, experiment in due.items():
            try:
                if experiment.percent > 0:
                    await self._tell(tenant, experiment, shares(experiment, staged[tenant]))
                    continue
                move = consequence(tenant, experiment, staged[tenant])
                if move is not None:
                    why = experiment.state.replace("_", " ")
                    await self._stages.move(tenant, move, actor(experiment.id), f"The experiment was {why}.")
                    became = "is live" if move.is_live else "is no canary any more"
                    _log.warning("%s %s: the experiment %s was %s", move.version, became, experiment.id, why)
                self._followed[tenant] = experiment.id, experiment.changed_s
            except MeshError as error:
                _log.error("the canary of the experiment %s is left as it is: %s", experiment.id, error)

    def _is_due(self, tenant: str, experiment: Configured) -> bool:
        is_new = self._followed.get(tenant) != (experiment.id, experiment.changed_s)
        return experiment.percent > 0 or (experiment.state in ENDED and is_new)

    async def _tell(self, tenant: str, experiment: Configured, found: Mapping[str, float]) -> None:
        """Tells shares once, and again after each change of the experiment: it may be another one of the same id."""
        told = experiment.id, experiment.changed_s, found
        if self._shares.get(tenant) != told:
            await self._told.share(tenant, experiment.id, found)
            self._shares[tenant] = told
