"""What callers want: experiments created and changed, units assigned and counted, and what may be concluded."""

import asyncio
import collections
import contextlib
import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from comparison.assignment import Assignment
from mesh.clock import Clock
from mesh.errors import (
    AlreadyExists,
    Damaged,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
    VersionMismatch,
)
from mesh.state import exporting
from records.tenants import plain, qualified, tenant_of
from services.experiments.domain.conclusion import Results, conclude
from services.experiments.domain.configuration import payload
from services.experiments.domain.definition import Definition, trouble
from services.experiments.domain.evidence import (
    Exposure,
    Report,
    Totals,
    UnitState,
    counted,
    exposed,
    is_unpriced,
    reported,
)
from services.experiments.domain.experiment import (
    DAY_US,
    ENDED,
    Action,
    Experiment,
    HistoryFull,
    NotPossible,
    arm_of,
    changed,
    created,
    is_paused_by,
    mismatch,
    paused,
    progressed,
    shared,
)
from services.experiments.ports import Evidence, ExperimentStore, Signer

MOST_UNITS: Final = 1_000
"""Units, exposures or reports in one call."""
MOST_ARMS_TOLD: Final = 20_000
"""Units times experiments in one call: what is worked out in a third of a second, while others wait."""
MOST_EXPERIMENTS: Final = 500
"""Of one tenant."""
LONGEST_FALLBACK_US: Final = DAY_US
"""How old an allocation may be by which units are assigned while the store is away."""
UNITS_KEPT_US: Final = 30 * DAY_US
"""How long units are known after the end of an experiment."""
_LONGEST_TEXT: Final = 500
_LONGEST_ID: Final = 256
_LARGEST: Final = 1e9
_ATTEMPTS: Final = 20
_MOST_OWED: Final = 1_000
"""Requests whose exposures wait for the store."""

_UNITS: Final = "experiments.units"

_Known = dict[str, UnitState]


@dataclasses.dataclass(frozen=True, slots=True)
class Experiments:
    """Creates and changes experiments, and says what may be concluded."""

    store: ExperimentStore
    clock: Clock

    async def create(self, tenant: str, definition: Definition, actor: str, why: str) -> Experiment:
        """Creates a draft.

        Raises:
            InvalidArgument: something is wrong with it.
            AlreadyExists: the tenant has one with this id.
            FailedPrecondition: the tenant has as many as it may.
            Unavailable: the store cannot be reached.
        """
        wrong = trouble(definition) or _too_long(why)
        if wrong:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", wrong)
        if len(await self.listed(tenant)) >= MOST_EXPERIMENTS:
            raise FailedPrecondition("TOO_MANY_EXPERIMENTS", f"A tenant has at most {MOST_EXPERIMENTS} experiments.")
        experiment = created(tenant, definition, actor, why, self.clock())
        if not await self.store.put(experiment, 0):
            raise AlreadyExists("EXPERIMENT_EXISTS", f"There is an experiment {definition.id}.")
        return experiment

    async def listed(self, tenant: str) -> Sequence[Experiment]:
        """The experiments of a tenant, by id."""
        found = [each for each in await self.store.all() if each.tenant == tenant]
        return sorted(found, key=lambda each: each.definition.id)

    async def get(self, tenant: str, experiment_id: str) -> Experiment:
        """An experiment.

        Raises:
            NotFound: the tenant has none with this id.
            Unavailable: the store cannot be reached.
        """
        found = await self.store.get(tenant, experiment_id)
        if found is None:
            raise NotFound("EXPERIMENT_NOT_FOUND", f"There is no experiment {experiment_id[:64]}.")
        return found

    async def change(
        self, tenant: str, experiment_id: str, action: Action, arm: str, actor: str, why: str
    ) -> Experiment:
        """Does something to an experiment.

        Raises:
            InvalidArgument: `why` is too long, or it has no such arm to promote.
            NotFound: the tenant has none with this id.
            FailedPrecondition: it is not in a state for this, its history is full, or somebody else changes it at the
                same time.
            Unavailable: the store cannot be reached.
        """
        if _too_long(why):
            raise InvalidArgument("VALUE_OUT_OF_RANGE", _too_long(why))
        before = await self.get(tenant, experiment_id)
        arms = [each.name for each in before.definition.arms]
        if action == "promote" and arm not in arms:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`arm` must be one of {', '.join(arms)}.")
        try:
            after = changed(before, action, actor, why, self.clock(), arm)
        except HistoryFull as error:
            raise FailedPrecondition("EXPERIMENT_HISTORY_FULL", str(error)) from None
        except NotPossible as error:
            raise FailedPrecondition("EXPERIMENT_STATE_INVALID", str(error)) from None
        if not await self.store.put(after, before.revision):
            raise FailedPrecondition("EXPERIMENT_CHANGED", "Somebody else changed it at the same time: look again.")
        return after

    async def pause(self, tenant: str, incident_id: str, actor: str, why: str) -> Sequence[str]:
        """Pauses those running experiments of a tenant that pause on incidents, each once per incident.

        Returns:
            The ids of those that the incident has paused, now or before, in order.

        Raises:
            InvalidArgument: `incident_id` is empty, or a text is too long.
            Unavailable: the store cannot be reached, or others change an experiment all the time; some may be paused.
        """
        if not 1 <= len(incident_id) <= _LONGEST_ID:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`incidentId` must have 1 to {_LONGEST_ID} characters.")
        if _too_long(why):
            raise InvalidArgument("VALUE_OUT_OF_RANGE", _too_long(why))
        for _ in range(_ATTEMPTS):
            listed = await self.listed(tenant)
            after = [paused(each, incident_id, actor, why, self.clock()) for each in listed]
            moved = [(old, new) for old, new in zip(listed, after, strict=True) if new is not old]
            if all([await self.store.put(new, old.revision) for old, new in moved]):
                return [each.definition.id for each in after if is_paused_by(each, incident_id)]
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "Others change the experiments at the same time.")

    async def share(self, experiment: Experiment, shares: Mapping[str, float], actor: str) -> None:
        """Keeps how the arms of an experiment really share the units; nothing happens if that is known, or it ended.

        Args:
            experiment: as it was read last; if it has changed since, nothing happens.
            shares: the share of each arm, 0 to 1.
            actor: who says so, for the history.

        Raises:
            Unavailable: the store cannot be reached.
        """
        after = shared(experiment, shares, actor, self.clock())
        if after is not experiment:
            await self.store.put(after, experiment.revision)

    async def results(
        self, tenant: str, experiment_id: str, *, is_with_fallback: bool = False
    ) -> tuple[Experiment, Totals, Results]:
        """An experiment, what was counted and what may be concluded.

        Raises:
            NotFound: the tenant has none with this id.
            Unavailable: the store cannot be reached.
        """
        experiment = await self.get(tenant, experiment_id)
        totals = (await self.store.evidence(tenant, experiment_id, ())).totals
        days = experiment.days(self.clock())
        found = conclude(experiment.definition, totals, days, mismatch(experiment), is_with_fallback=is_with_fallback)
        return experiment, totals, found

    async def tick(self) -> Sequence[Experiment]:
        """Does what happens by itself, and returns those experiments that it changed.

        Of several processes that do it at once one succeeds with each experiment. An experiment that ended a while ago
        forgets its units.

        Raises:
            Unavailable: the store cannot be reached; or what was counted of one cannot be read, and none was changed.
                The others were kept up.
        """
        moved, failed = list[Experiment](), None
        for experiment in await self.store.all():
            try:
                after = await self._kept_up(experiment)
                moved += [after] if after is not experiment else []
            except (Damaged, VersionMismatch) as error:
                failed = error
        if failed is not None and not moved:
            raise failed
        return moved

    async def _kept_up(self, experiment: Experiment) -> Experiment:
        tenant, experiment_id, now_us = experiment.tenant, experiment.definition.id, self.clock()
        if experiment.state == "running":
            totals = (await self.store.evidence(tenant, experiment_id, ())).totals
            found = conclude(experiment.definition, totals, experiment.days(now_us), mismatch(experiment))
            after = progressed(experiment, found, now_us)
            if after is not experiment and await self.store.put(after, experiment.revision):
                return after
        elif experiment.state in ENDED and now_us - experiment.history[-1].at_us > UNITS_KEPT_US:
            await self.store.forget_units(tenant, experiment_id)
        return experiment


@dataclasses.dataclass(frozen=True, slots=True)
class Persons:
    """What is kept of people as units, under their plain ids; callers name people by qualified ids.

    Every call raises `Unavailable` if the store cannot be reached; then some may be erased.
    """

    store: ExperimentStore

    async def kept(self, user_ids: Sequence[str]) -> Mapping[str, int]:
        """How many entries are kept of a person with these ids, by store."""
        return {_UNITS: len(await self._found(user_ids))}

    async def erase(self, user_ids: Sequence[str]) -> None:
        """Erases what is kept of a person with these ids. May be repeated."""
        for tenant, experiment_id, units in await self._asked(user_ids):
            await self.store.erase_units(tenant, experiment_id, units)

    async def export(self, user_ids: Sequence[str]) -> list[exporting.Record]:
        """All that is kept of a person with these ids.

        Raises:
            ResourceExhausted: `EXPORT_TOO_LARGE`.
        """
        return exporting.bounded(
            [
                exporting.record(
                    _UNITS,
                    {
                        "user_id": qualified(tenant, unit),
                        "experiment_id": experiment_id,
                        "arm": state.arm,
                        "before": state.before,
                        "outcomes": {name: value._asdict() for name, value in state.values.items()},
                    },
                )
                for tenant, experiment_id, unit, state in await self._found(user_ids)
            ]
        )

    async def _found(self, user_ids: Sequence[str]) -> Sequence[tuple[str, str, str, UnitState]]:
        return [
            (tenant, experiment_id, unit, state)
            for tenant, experiment_id, units in await self._asked(user_ids)
            for unit, state in (await self.store.evidence(tenant, experiment_id, units)).units.items()
        ]

    async def _asked(self, user_ids: Sequence[str]) -> Sequence[tuple[str, str, Sequence[str]]]:
        """Each experiment of the tenants of these ids, also one that cannot be read, with the units they are in it."""
        by_tenant: dict[str, list[str]] = {}
        for user_id in user_ids:
            by_tenant.setdefault(tenant_of(user_id), []).append(plain(user_id))
        names = await self.store.names()
        return [(tenant, named, by_tenant[tenant]) for tenant, named in names if tenant in by_tenant]


class Told(NamedTuple):
    """The arm of a unit in an experiment, what it stands for, and whether the unit takes part."""

    unit: str
    experiment_id: str
    assignment: Assignment
    value: str
    takes_part: bool


class Configuration(NamedTuple):
    """How units of a tenant get their arms: what `configuration.payload` says, signed."""

    tenant: str
    payload: bytes
    signature: bytes
    public_key: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Configuring:
    """Tells others how units get their arms."""

    store: ExperimentStore
    signer: Signer
    clock: Clock

    async def configurations(
        self, tenants: Collection[str], experiment_ids: Collection[str]
    ) -> Sequence[Configuration]:
        """One configuration per tenant.

        Args:
            tenants: which ones; none: all that have one of the experiments.
            experiment_ids: which ones; none: all.

        Raises:
            Unavailable: the store cannot be reached.
        """
        found: dict[str, list[Experiment]] = {tenant: [] for tenant in tenants}
        for each in await self.store.all():
            is_asked = not experiment_ids or each.definition.id in experiment_ids
            if is_asked and (not tenants or each.tenant in found):
                found.setdefault(each.tenant, []).append(each)
        now_us = self.clock()
        payloads = {tenant: payload(tenant, found[tenant], now_us) for tenant in sorted(found)}
        return [Configuration(tenant, each, *self.signer.sign(each)) for tenant, each in payloads.items()]


class Recording:
    """Counts exposures and outcomes. In one process an experiment has one call at a time; others may interfere."""

    def __init__(self, store: ExperimentStore, most_units: int) -> None:
        self._store = store
        self._most_units = most_units
        self._turns: collections.defaultdict[tuple[str, str], asyncio.Lock] = collections.defaultdict(asyncio.Lock)

    async def exposures(self, experiment: Experiment, exposures: Sequence[Exposure]) -> tuple[int, int]:
        """Counts units that met an arm; returns how many are new, and how many were left out as there are too many.

        Raises:
            InvalidArgument: there are too many, or one is out of range or of an arm that is not there.
            FailedPrecondition: the experiment is neither running nor paused.
            Unavailable: the store cannot be reached.
        """
        _require_open(experiment)
        arms = {arm.name for arm in experiment.definition.arms}
        _require_units([each.unit for each in exposures])
        if not all(each.arm in arms for each in exposures):
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`arm` must be one of {', '.join(sorted(arms))}.")
        require_numbers([each.before for each in exposures if each.before is not None])
        outcome = 0, 0

        def step(known: Evidence, units: _Known) -> Totals:
            nonlocal outcome
            room, new, left_out = self._most_units - known.totals.units, 0, 0
            for each in exposures:
                state = units.get(each.unit)
                if state is None and new >= room:
                    left_out += 1
                    continue
                new += state is None
                units[each.unit] = exposed(state, each)
            outcome = new, left_out
            return known.totals

        await self._count(experiment, [each.unit for each in exposures], step)
        return outcome

    async def outcomes(
        self, experiment: Experiment, reports: Sequence[Report], *, is_of_anybody: bool = False
    ) -> tuple[int, int]:
        """Counts what came of units; returns how many reports are of units that met an arm, and how many are not.

        Args:
            experiment: whose.
            reports: what came.
            is_of_anybody: whether the others are left out, and not counted as unmatched.

        Raises:
            InvalidArgument: there are too many, one is out of range, or lacks an id that it needs.
            FailedPrecondition: the experiment is neither running nor paused.
            Unavailable: the store cannot be reached.
        """
        _require_open(experiment)
        _require_units([each.unit for each in reports])
        require_numbers([value for each in reports for value in each.outcomes.values()])
        _require_ids(experiment.definition, reports)
        outcome = 0, 0

        def step(known: Evidence, units: _Known) -> Totals:
            nonlocal outcome
            matched, unpriced, definition = 0, 0, experiment.definition
            for each in reports:
                state = units.get(each.unit)
                if state is not None:
                    matched += 1
                    units[each.unit] = reported(definition, state, each)
                    unpriced += units[each.unit] is not state and is_unpriced(definition, each)
            outcome = matched, len(reports) - matched
            totals, others = known.totals, 0 if is_of_anybody else outcome[1]
            return totals._replace(unmatched=totals.unmatched + others, unpriced=totals.unpriced + unpriced)

        await self._count(experiment, [each.unit for each in reports], step)
        return outcome

    async def _count(
        self, experiment: Experiment, units: Collection[str], step: Callable[[Evidence, _Known], Totals]
    ) -> None:
        tenant, experiment_id = experiment.tenant, experiment.definition.id
        names = list(dict.fromkeys(units))
        async with self._turns[tenant, experiment_id]:
            for _ in range(_ATTEMPTS):
                known = await self._store.evidence(tenant, experiment_id, names)
                after = dict(known.units)
                totals = step(known, after)
                moved = {unit: state for unit, state in after.items() if state is not known.units.get(unit)}
                if not moved and totals == known.totals:
                    return
                changes = [(known.units.get(unit), state) for unit, state in moved.items()]
                totals = counted(experiment.definition, totals, changes)
                if await self._store.count(tenant, experiment_id, known, totals, moved):
                    return
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "Others count for this experiment at the same time.")


class Assigning:
    """Tells units their arms by the allocations of now, or those of the last day while the store is away."""

    def __init__(self, store: ExperimentStore, recording: Recording, clock: Clock, monotonic: Clock) -> None:
        self._store = store
        self._recording = recording
        self._clock = clock
        self._monotonic = monotonic
        self._known: Mapping[str, Sequence[Experiment]] = {}
        self._changes = -1
        self._read_us = -LONGEST_FALLBACK_US
        self._owed: list[tuple[Experiment, Sequence[Exposure]]] = []

    async def assign(
        self,
        tenant: str,
        experiment_ids: Collection[str],
        units: Mapping[str, float | None],
        *,
        is_exposure: bool,
    ) -> tuple[Sequence[Told], bool]:
        """The arms of units, and whether they are of a fallback. See `ExperimentsService.AssignUnits`.

        Args:
            tenant: whose experiments.
            experiment_ids: which ones; none: all that run or have promoted an arm.
            units: what was known before of each, None for nothing.
            is_exposure: whether they meet their arms now.

        Raises:
            InvalidArgument: there are too many units, or too many for so many experiments, or one is out of range.
            Unavailable: the store cannot be reached, and the last allocation is too old.
        """
        _require_units(list(units))
        require_numbers([before for before in units.values() if before is not None])
        is_fallback = not await self._is_fresh()
        asked = [
            each
            for each in self._known.get(tenant, ())
            if (each.definition.id in experiment_ids if experiment_ids else each.state in ("running", "promoted"))
        ]
        if len(asked) * len(units) > MOST_ARMS_TOLD:
            message = f"At most {MOST_ARMS_TOLD:,} arms at once: ask for fewer units, or name fewer experiments."
            raise InvalidArgument("VALUE_OUT_OF_RANGE", message)
        told = [_told(experiment, unit) for unit in units for experiment in asked]
        if is_exposure:
            for experiment in asked:
                met = [
                    Exposure(each.unit, each.assignment.arm, units[each.unit], is_fallback, self._clock())
                    for each in told
                    if each.takes_part and each.experiment_id == experiment.definition.id
                ]
                is_fallback = not await self._expose(experiment, met) or is_fallback
        return told, is_fallback

    async def settle(self) -> None:
        """Counts what could not be counted while the store was away.

        Raises:
            Unavailable: the store cannot be reached.
        """
        while self._owed:
            experiment, exposures = self._owed[0]
            with contextlib.suppress(FailedPrecondition, Damaged):  # it has ended meanwhile, or cannot be counted
                await self._recording.exposures(experiment, exposures)
            del self._owed[0]  # what came meanwhile is behind it

    async def _expose(self, experiment: Experiment, met: Sequence[Exposure]) -> bool:
        try:
            if met:
                await self._recording.exposures(experiment, met)
        except Unavailable:
            if len(self._owed) < _MOST_OWED:
                self._owed.append((experiment, [each._replace(is_fallback=True) for each in met]))
            return False
        return True

    async def _is_fresh(self) -> bool:
        now_us = self._monotonic()
        try:
            changes = await self._store.changes()
            if changes != self._changes:
                known: dict[str, list[Experiment]] = {}
                for each in sorted(await self._store.all(), key=lambda each: each.definition.id):
                    known.setdefault(each.tenant, []).append(each)
                self._known, self._changes = known, changes
        except Unavailable:
            if now_us - self._read_us >= LONGEST_FALLBACK_US:
                raise
            return False
        self._read_us = now_us
        return True


def require_numbers(numbers: Collection[float]) -> None:
    """Requires finite numbers.

    Raises:
        InvalidArgument: one is too large or no number.
    """
    if not all(math.isfinite(each) and abs(each) <= _LARGEST for each in numbers):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "Outcomes, and what was known before, are from -1e9 to 1e9.")


def _told(experiment: Experiment, unit: str) -> Told:
    assignment, takes_part = arm_of(experiment, unit)
    value = next(arm.value for arm in experiment.definition.arms if arm.name == assignment.arm)
    return Told(unit, experiment.definition.id, assignment, value, takes_part)


def _require_open(experiment: Experiment) -> None:
    if experiment.state not in ("running", "paused"):
        message = f"The experiment is {experiment.state}; only a running or paused one counts."
        raise FailedPrecondition("EXPERIMENT_STATE_INVALID", message)


def _require_units(units: Collection[str]) -> None:
    if len(units) > MOST_UNITS:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"At most {MOST_UNITS:,} units at once.")
    if not all(1 <= len(unit) <= _LONGEST_ID for unit in units):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`unit` must have 1 to {_LONGEST_ID} characters.")


def _require_ids(definition: Definition, reports: Sequence[Report]) -> None:
    repeatable = {each.name for each in definition.metrics if each.aggregation in ("any", "latest")}
    if definition.score:
        repeatable -= {definition.score.quality, definition.score.speed, definition.score.cost}
    for each in reports:
        if len(each.id) > _LONGEST_ID:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`reportId` has at most {_LONGEST_ID} characters.")
        added_up = sorted((each.outcomes.keys() & definition.outcomes) - repeatable)
        if added_up and not each.id:
            message = f"A report with {added_up[0]} needs a `reportId`: otherwise a repetition would count twice."
            raise InvalidArgument("VALUE_OUT_OF_RANGE", message)


def _too_long(why: str) -> str:
    return f"`why` has at most {_LONGEST_TEXT} characters." if len(why) > _LONGEST_TEXT else ""
