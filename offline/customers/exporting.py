"""A process that writes what was learnt last says of each customer to a file, which the customers service keeps.

The file is that of `journeymesh customers --score`, on the day on which it was asked for. What is asked for is written
once: begun again after the file was kept, it only tells so.
"""

import asyncio
import sys
from typing import Final

from mesh.errors import FailedPrecondition
from mesh.settings import read_or_exit
from mesh.store import redis
from offline import process
from offline.customers import job, scoring
from offline.customers.engines import Here
from offline.customers.parts import Engine
from offline.process import Asked
from services.analytics.settings import Settings
from services.customers.adapters.fits import RedisFits
from services.customers.domain import consumption
from services.customers.ports import Exported, FitStore
from services.ingest.events.adapters.redis_suppressed import RedisSuppressions
from services.ingest.events.ports import Suppressions

_HERE: Final = Here()
_TRIES: Final = 3
_WRITTEN: Final = 0.95
"""The part of the way when all customers are scored."""


def main(asked: Asked) -> int:
    """Writes the file, and says how many customers are in it; returns the exit code.

    Raises:
        MemoryError: it takes more than it may.
        MeshError: as `exported`.
    """
    return process.done(counts={"customers": asyncio.run(_done(asked))})


async def _done(asked: Asked) -> int:
    settings = read_or_exit(redis.RedisSettings)
    client = redis.connect(settings.url, settings.password, settings.ca_file)
    try:
        where = job.engine(read_or_exit(Settings))
        return await exported(RedisFits(client), RedisSuppressions(client), asked, where)
    finally:
        await client.aclose()


async def exported(fits: FitStore, suppressions: Suppressions, asked: Asked, where: Engine = _HERE) -> int:
    """Writes the file; up to three times, if somebody was erased meanwhile. Returns how many customers are in it.

    Raises:
        FailedPrecondition: `CUSTOMERS_NOT_LEARNT`; `ERASURE_UNFINISHED`, somebody was erased each time.
        ResourceExhausted: `EXPORT_TOO_LARGE`.
        Unavailable: the archive or the store cannot be reached.
        VersionMismatch: only a newer version can read what was learnt.
    """
    known = await fits.exported(asked.tenant, asked.job_id)
    if known is not None:
        return known
    for _ in range(_TRIES):
        seen, suppression = await fits.erasures(asked.tenant), await suppressions.all()
        fit = await fits.fit(asked.tenant)
        if fit is None:
            raise FailedPrecondition(
                "CUSTOMERS_NOT_LEARNT", "Nothing was learnt of these customers: `customers_fit` does."
            )
        today = consumption.day_of(asked.now_ms)
        scores = scoring.scored(job.tasks(asked.archive_url, asked.tenant), fit, today, where, _progress)
        left = scoring.without(scores, asked.tenant, suppression)
        process.say(step="writing", progress=_WRITTEN)
        written = Exported(asked.job_id, len(left), scoring.csv(left))
        if await fits.keep_export(asked.tenant, written, seen):
            return written.customers
    raise FailedPrecondition("ERASURE_UNFINISHED", "Somebody was erased meanwhile. Do it again.")


def _progress(done: int, total: int) -> None:
    process.say(step="scoring", progress=job.COUNTED + done / total * (_WRITTEN - job.COUNTED))


if __name__ == "__main__":
    sys.exit(process.run(main))
