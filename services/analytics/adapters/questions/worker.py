"""A process that counts, started by `workers` and killed by it where it does not end: reads tasks, writes results.

Both are pickles after their length as 4 bytes. What it reads comes from its own parent alone, which also names the
folder for its temporary files, and removes it.
"""

import contextlib
import os
import pickle
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import IO, Any, Final

import duckdb
import pyarrow as pa

from mesh.errors import MeshError
from services.analytics.adapters.copies.following import Followers
from services.analytics.adapters.copies.relations import Query, open_files
from services.analytics.adapters.questions import (
    calibrating,
    costing,
    counting,
    drifting,
    effects,
    people,
    slicing,
    summed,
    unusual,
    ways,
)
from services.analytics.adapters.questions.arrays import Arrays
from services.analytics.adapters.questions.kept import Tenants
from services.analytics.adapters.tasks import LENGTH, Count, Failure, Follow
from services.analytics.domain import question as asked
from services.analytics.domain.answer import Answer

_INTERRUPT_SECONDS: Final = 10.0
# On a machine that is shared, whoever is waited for in less than a second goes first.
_NICENESS: Final = 10

_ANSWERS: Final[dict[type[asked.Question], Callable[[Query, Any, int], Answer]]] = {
    asked.Kpis: lambda query, question, _: counting.kpis(query, question),
    asked.Trend: counting.trend,
    asked.Struggles: lambda query, question, _: counting.struggles(query, question),
    asked.Funnel: lambda query, question, _: ways.funnel(query, question),
    asked.Retention: ways.retention,
    asked.Paths: lambda query, question, _: ways.paths(query, question),
    asked.Journey: lambda query, question, _: people.journey(query, question),
    asked.Listing: lambda query, question, _: people.listing(query, question),
    asked.Effect: lambda query, question, _: effects.effect(query, question),
    asked.Calibration: calibrating.calibration,
    asked.Drift: lambda query, question, _: drifting.drift(query, question),
    asked.Insights: unusual.from_events,
    asked.Slices: slicing.slices,
    asked.Costs: lambda query, question, _: costing.costs(query, question),
}


_SUMMED: Final[dict[type[asked.Question], Callable[[Arrays, Query, Any, int], Answer]]] = {
    asked.Kpis: summed.kpis,
    asked.Trend: summed.trend,
    asked.Retention: summed.retention,
    asked.Insights: unusual.from_summaries,
}


def answered(tenants: Tenants, task: Count, interrupt_seconds: float = _INTERRUPT_SECONDS) -> Answer:
    """The answer to a question. It is interrupted after some seconds."""
    reading = task.reading
    with tenants.of(task.root, reading) as tenant, contextlib.closing(Query(tenant.connection)) as query:
        watch = threading.Timer(interrupt_seconds, tenant.connection.interrupt)
        watch.start()
        try:
            tenant.connection.execute("SET TimeZone = $zone", {"zone": reading.question.window.time_zone})
            names = summed.needed(reading.question) if reading.is_summed else frozenset()
            if names and tenant.load(reading, names):
                if not isinstance(reading.question, asked.Journey):
                    return _SUMMED[type(reading.question)](tenant.arrays, query, reading.question, reading.watermark_us)
                reading = tenant.of_user(reading, reading.question.user_id)
            open_files(tenant.connection, task.root, reading)
            return _ANSWERS[type(reading.question)](query, reading.question, reading.watermark_us)
        finally:
            watch.cancel()


def done(tenants: Tenants, followers: Followers, task: Count | Follow) -> Any:  # noqa: ANN401 - an answer, or whether files were taken in
    """What comes of a task: its result, or its failure."""
    try:
        return followers.bring_up(task) if isinstance(task, Follow) else answered(tenants, task)
    except MeshError as error:
        return Failure(type(error).__name__, error.reason, error.detail)
    except duckdb.InterruptException:
        return Failure("Interrupted")
    except (duckdb.OutOfMemoryException, MemoryError):
        return Failure("OutOfMemory")
    except (duckdb.IOException, FileNotFoundError) as error:
        return Failure("Outdated", detail=str(error))


def main(source: IO[bytes], to: IO[bytes]) -> None:
    """Does tasks until there are no more."""
    tenants, followers = Tenants(), Followers()
    while head := source.read(LENGTH.size):
        result = pickle.dumps(done(tenants, followers, pickle.loads(source.read(*LENGTH.unpack(head)))))  # noqa: S301 - its parent's
        to.write(LENGTH.pack(len(result)) + result)
        to.flush()


if __name__ == "__main__":
    os.nice(_NICENESS)
    # Arrow's own allocator keeps what it once took.
    pa.set_memory_pool(pa.system_memory_pool())
    tempfile.tempdir = sys.argv[1]
    main(sys.stdin.buffer, sys.stdout.buffer)
