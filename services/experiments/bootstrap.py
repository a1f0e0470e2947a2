"""Makes what the experiments service needs, and what goes on in its background."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from mesh.clock import Clock
from mesh.errors import Unavailable
from mesh.observability.telemetry import Telemetry
from mesh.rpc import channel
from mesh.rpc.tls import Tls
from services.experiments.adapters.stages import MeshStages
from services.experiments.canaries import Canaries
from services.experiments.ports import ExperimentStore, Signer
from services.experiments.servicer import ExperimentsServicer
from services.experiments.settings import Settings
from services.experiments.usecases import Assigning, Configuring, Experiments, Persons, Recording

_EVERY_SECONDS: Final = 10.0
_log = logging.getLogger(__name__)


class UseCases(NamedTuple):
    """The use cases."""

    experiments: Experiments
    recording: Recording
    assigning: Assigning
    persons: Persons
    configuring: Configuring

    @property
    def servicer(self) -> ExperimentsServicer:
        """Their gRPC face."""
        return ExperimentsServicer(*self)


class Unsigned:
    """Signs nothing."""

    def sign(self, payload: bytes) -> tuple[bytes, bytes]:  # noqa: ARG002 - the port's
        """See `services.experiments.ports.Signer`."""
        return b"", b""


def over(
    store: ExperimentStore, clock: Clock, monotonic: Clock, most_units: int, signer: Signer | None = None
) -> UseCases:
    """The service over a store; `monotonic` tells how old an allocation is."""
    recording = Recording(store, most_units)
    return UseCases(
        Experiments(store, clock),
        recording,
        Assigning(store, recording, clock, monotonic),
        Persons(store),
        Configuring(store, signer or Unsigned(), clock),
    )


def signer(key_file: str) -> Signer:
    """Signs with the key in a file; an empty name signs nothing.

    Raises:
        SettingError: the file holds no such key.
    """
    if not key_file:
        return Unsigned()
    from services.experiments.adapters.signing import KeySigner  # cryptography takes 10 MB that few need

    return KeySigner(Path(key_file))


@contextlib.asynccontextmanager
async def background(
    use_cases: UseCases, settings: Settings, traced: Telemetry, tls: Tls | None
) -> AsyncIterator[Sequence[Coroutine[None, None, None]]]:
    """What the service does besides answering."""
    if not settings.scoring_experiment:
        yield [keep_up(use_cases)]
        return
    async with channel.dial(settings.scoring_target, traced, tls) as scoring:
        canaries = Canaries(use_cases.experiments, MeshStages(scoring), settings.scoring_experiment)
        yield [keep_up(use_cases), canaries.run()]


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
