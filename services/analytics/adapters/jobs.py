"""Jobs in Redis, and in memory for tests: a value for each tenant, and which tenants have jobs that have not ended."""

from collections.abc import Sequence
from typing import Final, cast

import msgspec

from mesh.errors import VersionMismatch
from mesh.store import redis
from mesh.stored import reading
from services.analytics.adapters import changes
from services.analytics.domain.job import By, Gate, Interval, Job, Jobs, Model, State, is_open
from services.analytics.ports import KeptJobs

_KEY: Final = "jm:{analytics}:jobs:"
_OPEN: Final = "jm:{analytics}:jobs-open"
_MEMBER: Final = "jobs"
_VERSION: Final = 1

# KEYS: a tenant's hash, the set of tenants. ARGV: the changes seen, the bytes, the tenant, 1 if it has jobs to do.
_REPLACE: Final = redis.Script("""
if (redis.call('HGET', KEYS[1], 'changes') or '0') ~= ARGV[1] then return 0 end
redis.call('HINCRBY', KEYS[1], 'changes', 1)
redis.call('HSET', KEYS[1], 'jobs', ARGV[2])
redis.call(ARGV[4] == '1' and 'SADD' or 'SREM', KEYS[2], ARGV[3])
return 1
""")


class _Model(msgspec.Struct, array_like=True):
    version: str
    is_live: bool
    gate: Gate
    difference: Interval | None
    measured_on: str
    figures: dict[str, Interval]
    remark: str


class _Job(msgspec.Struct, array_like=True):
    job_id: str
    kind: str
    state: State
    created_us: int
    step: str
    progress: float
    attempt_count: int
    started_us: int
    ended_us: int
    reason: str
    detail: str
    counts: dict[str, int]
    holder: str
    held_until_us: int
    options: dict[str, str] = {}
    started_by: By = By.PERSON
    model: _Model | None = None


class _Packed(msgspec.Struct, array_like=True):
    """What is stored; it and its jobs grow at their ends."""

    version: int
    jobs: list[_Job]


class _Version(msgspec.Struct, array_like=True):
    version: int


_ENCODE: Final = msgspec.msgpack.Encoder(order="sorted").encode
_DECODE: Final = msgspec.msgpack.Decoder(_Packed).decode
_DECODE_VERSION: Final = msgspec.msgpack.Decoder(_Version).decode


class RedisJobs:
    """Keeps jobs in Redis."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def read(self, tenant: str) -> KeptJobs:
        """See `ports.JobStore`."""
        count, blob = await changes.read(self._client, _KEY + tenant, _MEMBER)
        with reading("The list of jobs"):
            return KeptJobs(count, _decode(blob) if blob else ())

    async def replace(self, tenant: str, jobs: Jobs, seen: int) -> bool:
        """See `ports.JobStore`."""
        arguments: list[str | bytes | int] = [seen, _encode(jobs), tenant, int(any(map(is_open, jobs)))]
        (is_done,) = await _REPLACE.run(self._client, redis.Call([_KEY + tenant, _OPEN], arguments))
        return bool(is_done)

    async def waiting(self) -> Sequence[str]:
        """See `ports.JobStore`."""
        with redis.translating_errors():
            found = cast("set[bytes]", await self._client.smembers(_OPEN))
        return sorted(each.decode() for each in found)


class MemoryJobs:
    """Keeps jobs in a dictionary. No step is interrupted, so each is atomic."""

    def __init__(self) -> None:
        self._kept: dict[str, KeptJobs] = {}

    async def read(self, tenant: str) -> KeptJobs:
        """See `ports.JobStore`."""
        return self._kept.get(tenant, KeptJobs(0, ()))

    async def replace(self, tenant: str, jobs: Jobs, seen: int) -> bool:
        """See `ports.JobStore`."""
        if (await self.read(tenant)).changes != seen:
            return False
        self._kept[tenant] = KeptJobs(seen + 1, jobs)
        return True

    async def waiting(self) -> Sequence[str]:
        """See `ports.JobStore`."""
        return sorted(tenant for tenant, kept in self._kept.items() if any(map(is_open, kept.jobs)))


def _encode(jobs: Jobs) -> bytes:
    return _ENCODE(_Packed(_VERSION, [*map(_packed, jobs)]))


def _packed(of: Job) -> _Job:
    model = of.model and _Model(**of.model._replace(figures=dict(of.model.figures))._asdict())
    whole = of._replace(counts=dict(of.counts), options=dict(of.options))._asdict()
    return _Job(**{**whole, "model": model})


def _decode(blob: bytes) -> Jobs:
    if _DECODE_VERSION(blob).version > _VERSION:
        raise VersionMismatch("The jobs were stored by a newer version of the service.")
    return tuple(map(_unpacked, _DECODE(blob).jobs))


def _unpacked(of: _Job) -> Job:
    model = Model(*msgspec.structs.astuple(of.model)) if of.model else None
    return Job(*msgspec.structs.astuple(of))._replace(model=model)
