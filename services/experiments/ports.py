"""What the use cases need from the outside."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from services.experiments.domain.canary import Move, Staged
from services.experiments.domain.evidence import Totals, UnitState
from services.experiments.domain.experiment import Experiment


class Evidence(NamedTuple):
    """What is known of an experiment at one moment: how often it was written, the totals, and the units asked for."""

    written: int
    totals: Totals
    units: Mapping[str, UnitState]


class Signer(Protocol):
    """Signs what is handed out."""

    def sign(self, payload: bytes) -> tuple[bytes, bytes]:
        """The signature, and the public key that it can be checked with; both empty if nothing is signed."""


class ExperimentStore(Protocol):
    """Keeps experiments, what was counted, and what is known of each unit.

    Every call raises `Unavailable` if the store cannot be reached or nobody can read what it holds, and
    `VersionMismatch` if only a newer build can.
    """

    async def changes(self) -> int:
        """How often any experiment was put."""

    async def all(self) -> Sequence[Experiment]:
        """All experiments of all tenants, in no order, but those that nobody can read."""

    async def names(self) -> Sequence[tuple[str, str]]:
        """Tenant and id of all experiments of all tenants, in no order."""

    async def get(self, tenant: str, experiment_id: str) -> Experiment | None:
        """An experiment; None if there is none."""

    async def put(self, experiment: Experiment, seen_revision: int) -> bool:
        """Puts an experiment in the place of the one with this revision, 0 for none; False if it has another one."""

    async def evidence(self, tenant: str, experiment_id: str, units: Collection[str]) -> Evidence:
        """What was counted, and those of the units that are known, all of one moment."""

    async def count(
        self, tenant: str, experiment_id: str, seen: Evidence, totals: Totals, units: Mapping[str, UnitState]
    ) -> bool:
        """Replaces totals and units in one atomic step; False, and nothing is written, if others wrote meanwhile."""

    async def erase_units(self, tenant: str, experiment_id: str, units: Collection[str]) -> None:
        """Drops what is known of these units; the totals stay. A `count` by what was read before writes nothing."""

    async def forget_units(self, tenant: str, experiment_id: str) -> None:
        """Drops what is known of each unit; the totals stay. Nothing happens if it was done before."""


class Stages(Protocol):
    """What scoring models are used for.

    Every call raises `Unavailable` or `DeadlineExceeded` if scoring does not answer; then it may be repeated.
    """

    async def of(self, tenants: Collection[str]) -> Mapping[str, Staged]:
        """What serves each of these tenants."""

    async def move(self, tenant: str, move: Move, actor: str, why: str) -> None:
        """Gives a model another stage for a tenant, or for everybody if that is the default one. May be repeated.

        Raises:
            NotFound: there is no such model.
            FailedPrecondition: it cannot be loaded, stages cannot be changed, or this change makes no sense.
        """
