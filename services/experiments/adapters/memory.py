"""Experiments in memory: for tests."""

from collections.abc import Collection, Mapping, Sequence

from services.experiments.domain.evidence import NONE_YET, Totals, UnitState
from services.experiments.domain.experiment import Experiment
from services.experiments.ports import Evidence

_Key = tuple[str, str]


class MemoryExperiments:
    """Keeps experiments in dictionaries. No step is interrupted, so each is atomic."""

    def __init__(self) -> None:
        self._changes = 0
        self._experiments: dict[_Key, Experiment] = {}
        self._counted: dict[_Key, tuple[int, Totals]] = {}
        self._units: dict[_Key, dict[str, UnitState]] = {}

    async def changes(self) -> int:
        """See `services.experiments.ports.ExperimentStore`."""
        return self._changes

    async def all(self) -> Sequence[Experiment]:
        """See `services.experiments.ports.ExperimentStore`."""
        return list(self._experiments.values())

    async def names(self) -> Sequence[tuple[str, str]]:
        """See `services.experiments.ports.ExperimentStore`."""
        return list(self._experiments)

    async def get(self, tenant: str, experiment_id: str) -> Experiment | None:
        """See `services.experiments.ports.ExperimentStore`."""
        return self._experiments.get((tenant, experiment_id))

    async def put(self, experiment: Experiment, seen_revision: int) -> bool:
        """See `services.experiments.ports.ExperimentStore`."""
        key = (experiment.tenant, experiment.definition.id)
        known = self._experiments.get(key)
        if (known.revision if known else 0) != seen_revision:
            return False
        self._experiments[key] = experiment
        self._changes += 1
        return True

    async def evidence(self, tenant: str, experiment_id: str, units: Collection[str]) -> Evidence:
        """See `services.experiments.ports.ExperimentStore`."""
        key = (tenant, experiment_id)
        written, totals = self._counted.get(key, (0, NONE_YET))
        known = self._units.get(key, {})
        return Evidence(written, totals, {unit: known[unit] for unit in units if unit in known})

    async def count(
        self, tenant: str, experiment_id: str, seen: Evidence, totals: Totals, units: Mapping[str, UnitState]
    ) -> bool:
        """See `services.experiments.ports.ExperimentStore`."""
        key = (tenant, experiment_id)
        if self._counted.get(key, (0, NONE_YET))[0] != seen.written:
            return False
        self._counted[key] = seen.written + 1, totals
        self._units.setdefault(key, {}).update(units)
        return True

    async def erase_units(self, tenant: str, experiment_id: str, units: Collection[str]) -> None:
        """See `services.experiments.ports.ExperimentStore`."""
        key = (tenant, experiment_id)
        if key in self._counted:
            written, totals = self._counted[key]
            self._counted[key] = written + 1, totals
        for unit in units:
            self._units.get(key, {}).pop(unit, None)

    async def forget_units(self, tenant: str, experiment_id: str) -> None:
        """See `services.experiments.ports.ExperimentStore`."""
        self._units.pop((tenant, experiment_id), None)
