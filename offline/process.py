"""What the process of a job does beside its work: it says how far it is, takes no more than it may, and ends in time.

It is started by analytics, and ends where that ends. It says on its output how far it is, a JSON object a line: `step`
and `progress`, and at the end what came of it, or `reason` and `detail`.
"""

import errno
import io
import json
import os
import resource
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.linalg import blas

from mesh.errors import MeshError
from services.analytics.domain.job import OUT_OF_MEMORY

# On a machine that is shared, whoever is waited for in less than a second goes first.
_NICENESS: Final = 10
# Begun again, it would fill the disk again.
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# How onnxruntime, Arrow and Python say that there is no memory where they raise no MemoryError.
_NO_MEMORY: Final = ("bad_alloc", "allocate memory", "launch worker thread", "start new thread")
# Other libraries say that they failed, not of what. So close to the bound it is taken to be the reason.
_CLOSE: Final = 0.95


class Asked(NamedTuple):
    """What a job was asked for: of which tenant (empty: the default one's), when, and what its kind knows besides."""

    archive_url: str
    tenant: str
    now_ms: int
    job_id: str
    options: Mapping[str, str]


Do = Callable[[Asked], int]
"""Does a job, and says what came of it; returns the exit code."""


def run(do: Do, use: Callable[[], None] = lambda: None) -> int:
    """Does the job that the arguments of the process name; returns the exit code.

    Args:
        do: the job.
        use: uses the libraries of the job for the first time, on next to nothing, before memory is bounded.
    """
    os.nice(_NICENESS)
    threading.Thread(target=_end_with_input, daemon=True).start()
    reserve()
    use()
    url, tenant, now_ms, mib, job_id, options = sys.argv[1:]
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (int(mib) << 20, before[1]))
    try:
        return do(Asked(url, tenant, int(now_ms), job_id, json.loads(options)))
    except MeshError as error:
        return failed(error.reason, error.detail)
    except Exception as error:
        may_take, _ = resource.getrlimit(resource.RLIMIT_DATA)
        # To say so and to end takes memory, too: a library that gets none may end the process by a signal.
        resource.setrlimit(resource.RLIMIT_DATA, before)
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return failed(
                OUT_OF_MEMORY.reason, f"There is no room for what it writes while it works: {error.strerror}."
            )
        if not _is_out_of_memory(error, may_take):
            raise
        traceback.print_exc()
        return failed(OUT_OF_MEMORY.reason, OUT_OF_MEMORY.detail)


def done(**members: Any) -> int:  # noqa: ANN401 - what JSON can say
    """Says what came of it; returns the exit code."""
    say(**members)
    return 0


def failed(reason: str, detail: str) -> int:
    """Says why nothing came of it; returns the exit code."""
    say(reason=reason, detail=detail)
    return 1


def say(**members: Any) -> None:  # noqa: ANN401 - what JSON can say
    """Says a line."""
    print(json.dumps(members), flush=True)


def reserve() -> None:
    """Takes what is taken at the first use of libraries, and fails with no MemoryError where no memory is left.

    OpenBLAS, of which NumPy and SciPy each have one, ends the process. Arrow says that it cannot start a thread, whose
    stack counts: it has one of each kind, and starts them when it first reads a file.
    """
    some = np.ones((200, 200))
    np.matmul(some, some)
    blas.dgemm(1.0, some, some)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    # Its own allocator keeps what it once took.
    pa.set_memory_pool(pa.system_memory_pool())
    file = io.BytesIO()
    pq.write_table(pa.table({"some": [1]}), file)
    pq.ParquetFile(file, pre_buffer=True).read()


def _is_out_of_memory(error: Exception, may_take: int) -> bool:
    if isinstance(error, MemoryError) or any(each in str(error) for each in _NO_MEMORY):
        return True
    return may_take != resource.RLIM_INFINITY and _taken() > _CLOSE * may_take


def _taken() -> int:
    """What the process takes of what `RLIMIT_DATA` bounds, in bytes; 0 where no file tells."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmData:")), 0)


def _end_with_input() -> None:
    # Not by `sys.stdin`: whoever reads that holds a lock which the end of the interpreter needs.
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)
