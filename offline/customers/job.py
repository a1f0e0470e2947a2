"""A process that learns from all customers of a tenant, and publishes whose segment or recommendations changed.

It is started by analytics, and ends where that ends. It says on its output how far it is, a JSON object a line: `step`
and `progress`, and at the end `counts`, or `reason` and `detail`. What it is asked for at a time is learnt once: begun
again after that was kept, it goes on with publishing, and tells what came of it.
"""

import asyncio
import contextlib
import json
import os
import resource
import sys
import threading
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pyarrow as pa
from scipy.linalg import blas

from mesh.clock import system_clock
from mesh.errors import FailedPrecondition, MeshError, Unavailable
from mesh.observability import telemetry
from mesh.rpc.tls import Tls, TlsSettings
from mesh.settings import read_or_exit
from mesh.state.redis import RedisState
from mesh.store import redis
from offline.archive import contents
from offline.customers import archived, keeping, parts, publishing, sending
from offline.customers.engines import Here
from offline.customers.fitting import FitError
from offline.customers.parts import Parts
from offline.customers.purchases import PurchaseError
from offline.customers.refit import Source
from services.analytics.settings import Settings
from services.customers.adapters.fits import RedisFits
from services.customers.domain.fit import Fit
from services.customers.ports import FitStore
from services.customers.settings import Settings as CustomersSettings
from services.ingest.archive.adapters.files import ParquetArchive

# On a machine that is shared, whoever is waited for in less than a second goes first.
_NICENESS: Final = 10
_TRIES: Final = 3
"""How often an archive is read that changes meanwhile."""
_COUNTED: Final = 0.1
_READ: Final = 0.7
"""The parts of the way in which purchases are counted and read."""
_LEARNT: Final = 0.8
"""The part of the way when all is learnt."""


def main(archive_url: str, tenant: str, now_ms: int) -> int:
    """Learns, and says what came of it; returns the exit code.

    Args:
        archive_url: where the archive is.
        tenant: whose customers; empty: the default tenant's.
        now_ms: when it was asked for, in milliseconds since 1970, which is the time of what is learnt.
    """
    try:
        fit, published = asyncio.run(_done(archive_url, tenant, now_ms))
    except (PurchaseError, FitError) as error:
        return _failed("NOTHING_TO_LEARN", str(error))
    except MemoryError:
        return _failed("JOB_TOO_LARGE", "It takes more memory than a job may: see JOURNEYMESH_JOB_MEMORY_MIB.")
    except MeshError as error:
        return _failed(error.reason, error.detail)
    _say(counts={"customers": fit.customers, "products": len(fit.products), **published._asdict()})
    return 0


async def _done(archive_url: str, tenant: str, now_ms: int) -> tuple[Fit, publishing.Outcome]:
    """What was learnt, and what was published of it."""
    settings = read_or_exit(redis.RedisSettings)
    client = redis.connect(settings.url, settings.password, settings.ca_file)
    try:
        fits = RedisFits(client)
        fit = await fits.fit(tenant)
        if fit is None or fit.fitted_ms != now_ms:
            fit = await learnt(fits, archive_url, tenant, now_ms)
        return fit, await _published(client, fits, tenant)
    finally:
        await client.aclose()


async def learnt(fits: FitStore, archive_url: str, tenant: str, now_ms: int) -> Fit:
    """Learns; up to three times, if files were joined or somebody was erased while it read.

    Raises:
        PurchaseError, FitError, MeshError: as `keeping.learn`.
    """
    for _ in range(_TRIES - 1):
        with contextlib.suppress(Unavailable, FailedPrecondition):
            return await keeping.learn(fits, _source(archive_url, tenant), tenant, None, None, now_ms)
    return await keeping.learn(fits, _source(archive_url, tenant), tenant, None, None, now_ms)


async def _published(client: redis.Client, fits: RedisFits, tenant: str) -> publishing.Outcome:
    target = read_or_exit(Settings).ingest_target
    tls = Tls.wanted(read_or_exit(TlsSettings))
    bought = RedisState(client, "customers", read_or_exit(CustomersSettings).lifetime_seconds)

    def progress(part: float) -> None:
        _say(step="publishing", progress=_LEARNT + part * (1 - _LEARNT))

    progress(0.0)
    # What is published is read in small parts, but the stacks of gRPC's threads count although they are not used.
    resource.setrlimit(resource.RLIMIT_DATA, (resource.getrlimit(resource.RLIMIT_DATA)[1],) * 2)
    async with sending.dialled(target, telemetry.off(), tls, system_clock) as stream:
        return await publishing.publish(fits, bought, stream, tenant, progress)


def _source(archive_url: str, tenant: str) -> Source:
    archive = ParquetArchive(archive_url)
    found = contents(archive)

    def counted(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            seen[0] += batch.num_rows
            _say(step="counting", progress=_COUNTED * min(seen[0] / found.row_count, 1))
            yield batch

    seen = [0]
    files, purchases = archived.with_purchases(archive, found, counted, tenant=tenant)
    _say(step="reading", progress=_COUNTED)
    tasks = parts.tasks(archive_url, files, tenant, purchases)
    return Parts(tasks, Here(), lambda done, all_: _say(step="reading", progress=_COUNTED + done / all_ * _READ))


def _failed(reason: str, detail: str) -> int:
    _say(reason=reason, detail=detail)
    return 1


def _say(**members: Any) -> None:  # noqa: ANN401 - what JSON can say
    print(json.dumps(members), flush=True)


def reserve() -> None:
    """Takes what is taken at the first use of libraries, and fails with no MemoryError where no memory is left.

    OpenBLAS, of which NumPy and SciPy each have one, ends the process. Arrow says that it cannot start a thread, whose
    stack counts: with one of each kind it starts them when it begins to read.
    """
    some = np.ones((200, 200))
    np.matmul(some, some)
    blas.dgemm(1.0, some, some)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    # Its own allocator keeps what it once took.
    pa.set_memory_pool(pa.system_memory_pool())


def _end_with_input() -> None:
    # Not by `sys.stdin`: whoever reads that holds a lock which the end of the interpreter needs.
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    os.nice(_NICENESS)
    threading.Thread(target=_end_with_input, daemon=True).start()
    reserve()
    _url, _tenant, _now_ms, _mib = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_DATA, (int(_mib) << 20, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    sys.exit(main(_url, _tenant, int(_now_ms)))
