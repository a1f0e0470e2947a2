"""Experiments in Redis: one hash of all of them, and for each a hash of what was counted and one of its units.

A unit is kept under a digest, so that the store holds no user's id for the sake of an experiment.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Final, cast

from mesh.store import redis
from mesh.stored import readable, reading
from services.experiments.adapters import packing
from services.experiments.domain.evidence import NONE_YET, Totals, UnitState
from services.experiments.domain.experiment import Experiment
from services.experiments.ports import Evidence

_EXPERIMENTS: Final = "jm:{experiments}:experiments"
_REVISIONS: Final = "jm:{experiments}:revisions"
_CHANGES: Final = "jm:{experiments}:changes"

# KEYS: the experiments, their revisions, the number of changes. ARGV: the experiment's name, its revision as the caller
# has seen it, its new one, the experiment.
_PUT: Final = redis.Script("""
if (redis.call('HGET', KEYS[2], ARGV[1]) or '0') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[4])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('INCR', KEYS[3])
return 1
""")
# KEYS: what was counted, the units. ARGV: the units.
_EVIDENCE: Final = redis.Script("""
local found = redis.call('HMGET', KEYS[1], 'written', 'totals')
for i = 1, #ARGV do found[i + 2] = redis.call('HGET', KEYS[2], ARGV[i]) end
return found
""")
# KEYS: what was counted, the units. ARGV: how often it was written as the caller has seen it, the totals, then digest
# and bytes of each unit.
_COUNT: Final = redis.Script("""
if (redis.call('HGET', KEYS[1], 'written') or '0') ~= ARGV[1] then return 0 end
redis.call('HINCRBY', KEYS[1], 'written', 1)
redis.call('HSET', KEYS[1], 'totals', ARGV[2])
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
""")
# KEYS: what was counted, the units. ARGV: the units.
_ERASE: Final = redis.Script("""
if redis.call('HDEL', KEYS[2], unpack(ARGV)) > 0 then redis.call('HINCRBY', KEYS[1], 'written', 1) end
return 1
""")


class RedisExperiments:
    """Keeps experiments in Redis."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def changes(self) -> int:
        """See `services.experiments.ports.ExperimentStore`."""
        with redis.translating_errors():
            return int(await self._client.get(_CHANGES) or 0)

    async def all(self) -> Sequence[Experiment]:
        """See `services.experiments.ports.ExperimentStore`."""
        with redis.translating_errors():
            found = cast("list[bytes]", await self._client.hvals(_EXPERIMENTS))
        return [*readable("An experiment", found, packing.experiment_of).values()]

    async def names(self) -> Sequence[tuple[str, str]]:
        """See `services.experiments.ports.ExperimentStore`."""
        with redis.translating_errors():
            found = cast("list[bytes]", await self._client.hkeys(_EXPERIMENTS))
        return [
            (tenant, experiment_id) for tenant, _, experiment_id in (each.decode().partition("/") for each in found)
        ]

    async def get(self, tenant: str, experiment_id: str) -> Experiment | None:
        """See `services.experiments.ports.ExperimentStore`."""
        with redis.translating_errors():
            found = cast("bytes | None", await self._client.hget(_EXPERIMENTS, _name(tenant, experiment_id)))
        with reading("The experiment"):
            return packing.experiment_of(found) if found else None

    async def put(self, experiment: Experiment, seen_revision: int) -> bool:
        """See `services.experiments.ports.ExperimentStore`."""
        name = _name(experiment.tenant, experiment.definition.id)
        arguments: list[str | bytes | int] = [name, seen_revision, experiment.revision, packing.pack(experiment)]
        (is_done,) = await _PUT.run(self._client, redis.Call([_EXPERIMENTS, _REVISIONS, _CHANGES], arguments))
        return bool(is_done)

    async def evidence(self, tenant: str, experiment_id: str, units: Collection[str]) -> Evidence:
        """See `services.experiments.ports.ExperimentStore`."""
        keys, digests = _keys(tenant, experiment_id), [_digest(tenant, experiment_id, unit) for unit in units]
        ((written, totals, *found),) = await _EVIDENCE.run(self._client, redis.Call(keys, digests))
        with reading("What was counted of the experiment"):
            known = {unit: packing.unit_of(blob) for unit, blob in zip(units, found, strict=True) if blob}
            return Evidence(int(written or 0), packing.totals_of(totals) if totals else NONE_YET, known)

    async def count(
        self, tenant: str, experiment_id: str, seen: Evidence, totals: Totals, units: Mapping[str, UnitState]
    ) -> bool:
        """See `services.experiments.ports.ExperimentStore`."""
        rows = [
            part
            for unit, state in units.items()
            for part in (_digest(tenant, experiment_id, unit), packing.pack(state))
        ]
        arguments: list[str | bytes | int] = [seen.written, packing.pack(totals), *rows]
        (is_done,) = await _COUNT.run(self._client, redis.Call(_keys(tenant, experiment_id), arguments))
        return bool(is_done)

    async def erase_units(self, tenant: str, experiment_id: str, units: Collection[str]) -> None:
        """See `services.experiments.ports.ExperimentStore`."""
        digests = [_digest(tenant, experiment_id, unit) for unit in units]
        await _ERASE.run(self._client, redis.Call(_keys(tenant, experiment_id), digests))

    async def forget_units(self, tenant: str, experiment_id: str) -> None:
        """See `services.experiments.ports.ExperimentStore`."""
        with redis.translating_errors():
            await self._client.unlink(_keys(tenant, experiment_id)[1])


def _name(tenant: str, experiment_id: str) -> str:
    return f"{tenant}/{experiment_id}"


def _keys(tenant: str, experiment_id: str) -> Sequence[str]:
    name = _name(tenant, experiment_id)
    tag = f"jm:{{experiment:{redis.partition(name)}}}"
    return f"{tag}:counted:{name}", f"{tag}:units:{name}"


def _digest(tenant: str, experiment_id: str, unit: str) -> str:
    return hashlib.sha256(f"{_name(tenant, experiment_id)}:{unit}".encode()).hexdigest()[:32]
