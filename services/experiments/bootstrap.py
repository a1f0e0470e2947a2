"""Makes what the experiments service needs, and what goes on in its background."""

import asyncio
import logging
from typing import Final, NamedTuple

from mesh.clock import Clock
from mesh.errors import Unavailable
from services.experiments.ports import ExperimentStore
from services.experiments.servicer import ExperimentsServicer
from services.experiments.usecases import Assigning, Experiments, Persons, Recording

_EVERY_SECONDS: Final = 10.0
_log = logging.getLogger(__name__)


class UseCases(NamedTuple):
    """The use cases."""

    experiments: Experiments
    recording: Recording
    assigning: Assigning
    persons: Persons

    @property
    def servicer(self) -> ExperimentsServicer:
        """Their gRPC face."""
        return ExperimentsServicer(*self)


def over(store: ExperimentStore, clock: Clock, monotonic: Clock, most_units: int) -> UseCases:
    """The service over a store; `monotonic` tells how old an allocation is."""
    recording = Recording(store, most_units)
    return UseCases(Experiments(store, clock), recording, Assigning(store, recording, monotonic), Persons(store))


async def keep_up(use_cases: UseCases) -> None:
    """Lets ramps go on, rolls harm back and counts what is owed, every ten seconds without end."""
    while True:
        try:
            await use_cases.assigning.settle()
            for each in await use_cases.experiments.tick():
                change = each.history[-1]
                _log.info("experiment %s is %s: %s", each.definition.id, each.state, change.why)
        except Unavailable as error:
            _log.warning("experiments are not kept up now: %s", error)
        await asyncio.sleep(_EVERY_SECONDS)
