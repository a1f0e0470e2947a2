"""Ends canaries of scoring, or makes them live, with the experiments that judge them; notes the real shares."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from mesh.errors import MeshError
from services.experiments.domain.canary import ENDED, actor, consequence, shares
from services.experiments.domain.experiment import Experiment
from services.experiments.ports import Stages
from services.experiments.usecases import Experiments

_PAUSE_SECONDS: Final = 1.0
_log = logging.getLogger(__name__)


class Canaries:
    """Lets the canaries of scoring follow the experiments that judge them.

    Several processes may do it at once: a change that was made is not made again.

    Args:
        experiments: all experiments.
        stages: what scoring models are used for.
        experiment_id: the id of those that judge scoring models, one for each tenant.
    """

    def __init__(self, experiments: Experiments, stages: Stages, experiment_id: str) -> None:
        self._experiments = experiments
        self._stages = stages
        self._experiment_id = experiment_id
        self._known: Sequence[Experiment] = ()
        self._changes = -1
        # Those whose end was followed, as they were then.
        self._followed: set[tuple[str, int]] = set()

    async def run(self) -> None:
        """Follows each second, without end.

        Raises:
            CancelledError: it is to end.
        """
        while True:
            try:
                await self.follow()
            except MeshError as error:
                _log.warning("canaries are left as they are now: %s", error)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def follow(self) -> None:
        """Follows once. What fails is tried again the next time.

        Raises:
            MeshError: the store or scoring cannot be asked.
        """
        store = self._experiments.store
        changes = await store.changes()
        if changes != self._changes:
            self._known = [each for each in await store.all() if each.definition.id == self._experiment_id]
            self._changes = changes
        due = [each for each in self._known if each.state == "running" or _mark(each) not in self._followed]
        due = [each for each in due if each.state == "running" or each.state in ENDED]
        if not due:
            return
        staged = await self._stages.of({each.tenant for each in due})
        for each in due:
            try:
                if each.state == "running":
                    await self._experiments.share(each, shares(each, staged[each.tenant]), "scoring")
                    continue
                move = consequence(each, staged[each.tenant])
                if move is not None:
                    why = each.state.replace("_", " ")
                    await self._stages.move(each.tenant, move, actor(self._experiment_id), f"The experiment was {why}.")
                    became = "is live" if move.is_live else "is no canary any more"
                    _log.warning("%s %s: the experiment %s was %s", move.version, became, self._experiment_id, why)
                self._followed.add(_mark(each))
            except MeshError as error:
                _log.error("the canary of the experiment %s is left as it is: %s", self._experiment_id, error)


def _mark(of: Experiment) -> tuple[str, int]:
    return of.tenant, of.revision
