"""A process that learns from all customers of a tenant, and publishes whose segment or recommendations changed.

What it is asked for at a time is learnt once: begun again after that was kept, it goes on with publishing, and tells
what came of it.
"""

import asyncio
import contextlib
import resource
import sys
from collections.abc import Iterable, Sequence
from typing import Final

import pyarrow as pa

from mesh.clock import system_clock
from mesh.errors import FailedPrecondition, Unavailable
from mesh.observability import telemetry
from mesh.rpc.tls import Tls, TlsSettings
from mesh.settings import read_or_exit
from mesh.state.redis import RedisState
from mesh.store import redis
from offline import process
from offline.archive import contents
from offline.customers import archived, keeping, parts, publishing, sending
from offline.customers.engines import Here
from offline.customers.fitting import FitError
from offline.customers.parts import Engine, Parts, Task
from offline.customers.purchases import PurchaseError
from offline.customers.refit import Source
from offline.process import Asked
from services.analytics.settings import Settings
from services.customers.adapters.fits import RedisFits
from services.customers.domain.fit import Fit
from services.customers.ports import FitStore
from services.customers.settings import Settings as CustomersSettings
from services.ingest.archive.adapters.files import ParquetArchive

_HERE: Final = Here()
_TRIES: Final = 3
"""How often an archive is read that changes meanwhile."""
COUNTED: Final = 0.1
_READ: Final = 0.7
"""The parts of the way in which purchases are counted and read."""
_LEARNT: Final = 0.8
"""The part of the way when all is learnt."""


def main(asked: Asked) -> int:
    """Learns, and says what came of it; returns the exit code.

    Raises:
        MemoryError: it takes more than it may.
        MeshError: the archive or the store cannot be used.
    """
    try:
        fit, published = asyncio.run(_done(asked.archive_url, asked.tenant, asked.now_ms))
    except (PurchaseError, FitError) as error:
        return process.failed("NOTHING_TO_LEARN", str(error))
    return process.done(counts={"customers": fit.customers, "products": len(fit.products), **published._asdict()})


async def _done(archive_url: str, tenant: str, now_ms: int) -> tuple[Fit, publishing.Outcome]:
    """What was learnt, and what was published of it."""
    settings = read_or_exit(redis.RedisSettings)
    client = redis.connect(settings.url, settings.password, settings.ca_file)
    try:
        fits = RedisFits(client)
        fit = await fits.fit(tenant)
        if fit is None or fit.fitted_ms != now_ms:
            fit = await learnt(fits, archive_url, tenant, now_ms, engine(read_or_exit(Settings)))
        return fit, await _published(client, fits, tenant)
    finally:
        await client.aclose()


def engine(settings: Settings) -> Engine:
    """Where jobs work on parts: the cluster that the settings name, or this process, which then loads no Dask."""
    if not settings.jobs_cluster:
        return Here()
    from offline.customers.cluster import Cluster

    return Cluster(settings.jobs_cluster, settings.jobs_cluster_files)


async def learnt(fits: FitStore, archive_url: str, tenant: str, now_ms: int, where: Engine = _HERE) -> Fit:
    """Learns; up to three times, if files were joined or somebody was erased while it read.

    Raises:
        PurchaseError, FitError, MeshError: as `keeping.learn`.
    """
    for _ in range(_TRIES - 1):
        with contextlib.suppress(Unavailable, FailedPrecondition):
            return await keeping.learn(fits, _source(archive_url, tenant, where), tenant, None, None, now_ms)
    return await keeping.learn(fits, _source(archive_url, tenant, where), tenant, None, None, now_ms)


async def _published(client: redis.Client, fits: RedisFits, tenant: str) -> publishing.Outcome:
    target = read_or_exit(Settings).ingest_target
    tls = Tls.wanted(read_or_exit(TlsSettings))
    bought = RedisState(client, "customers", read_or_exit(CustomersSettings).lifetime_seconds)

    def progress(part: float) -> None:
        process.say(step="publishing", progress=_LEARNT + part * (1 - _LEARNT))

    progress(0.0)
    # What is published is read in small parts, but the stacks of gRPC's threads count although they are not used.
    resource.setrlimit(resource.RLIMIT_DATA, (resource.getrlimit(resource.RLIMIT_DATA)[1],) * 2)
    async with sending.dialled(target, telemetry.off(), tls, system_clock) as stream:
        return await publishing.publish(fits, bought, stream, tenant, progress)


def _source(archive_url: str, tenant: str, where: Engine) -> Source:
    read = tasks(archive_url, tenant)
    return Parts(read, where, lambda done, all_: process.say(step="reading", progress=COUNTED + done / all_ * _READ))


def tasks(archive_url: str, tenant: str) -> Sequence[Task]:
    """The parts of a tenant's customers, once their purchases are counted, which is the part `COUNTED` of the way.

    Raises:
        Unavailable: the storage cannot be reached.
    """
    archive = ParquetArchive(archive_url)
    found = contents(archive)

    def counted(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            seen[0] += batch.num_rows
            process.say(step="counting", progress=COUNTED * min(seen[0] / found.row_count, 1))
            yield batch

    seen = [0]
    files, purchases = archived.with_purchases(archive, found, counted, tenant=tenant)
    process.say(step="reading", progress=COUNTED)
    return parts.tasks(archive_url, files, tenant, purchases)


if __name__ == "__main__":
    sys.exit(process.run(main))
