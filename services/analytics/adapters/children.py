"""Jobs in processes of their own: each says on its output how far it is, and ends when its input does.

A line of output is a JSON object: `step` and `progress`, or at the end `counts`, of training `model` too, or
`reason` and `detail`.
"""

import asyncio
import contextlib
import importlib.util
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec

from mesh.rpc import tls
from mesh.settings import SettingError
from services.analytics.domain.job import OUT_OF_MEMORY, TRAINING, Gate, Interval, Job, Model, Outcome, Progress

# By name: what runs here is not imported, so that this process does not load what it needs.
MODULES: Final = {
    "customers_fit": "offline.customers.job",
    "customers_export": "offline.customers.exporting",
    TRAINING: "offline.train_job",
}
_NEEDS: Final = {TRAINING: ("sklearn", "onnx", "onnxruntime", "matplotlib")}
"""What a kind needs that is not installed everywhere, besides its module."""

_CLUSTER_NEEDS: Final = ("offline.customers.cluster", "distributed")

_LABELS: Final = "offline.declared.label"
LEAN: Final = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(128 << 10),
}
"""What a job's environment says, so that its memory goes into its work: threads and Arrow's allocator reserve much.

Left to itself, glibc keeps ever larger blocks that were freed: its threshold is fixed where it begins.
"""


class _Model(msgspec.Struct):
    version: str
    is_live: bool
    gate: Gate
    difference: Interval | None
    measured_on: str
    figures: dict[str, Interval]
    remark: str


class _Line(msgspec.Struct):
    step: str = ""
    progress: float = 0.0
    counts: dict[str, int] | None = None
    reason: str = ""
    detail: str = ""
    model: _Model | None = None


_DECODE: Final = msgspec.json.Decoder(_Line).decode
_NO_MEMORY: Final = (b"allocate memory", b"bad_alloc", b"emory allocation")
"""What glibc, C++ and OpenBLAS write when they end a process because it has no memory left."""


class Memory(NamedTuple):
    """What the process of a job may take, in MiB."""

    usual_mib: int
    training_mib: int

    def of(self, kind: str) -> int:
        """That of a kind of job."""
        return self.training_mib if kind == TRAINING else self.usual_mib


def kinds() -> frozenset[str]:
    """The kinds of jobs for which all is installed. Nothing of it is loaded."""
    return frozenset(kind for kind, module in MODULES.items() if all(map(_is_there, (module, *_NEEDS.get(kind, ())))))


def require_label(label: str) -> None:
    """Returns if a model can be trained by a label, which another process decides, in less than a second.

    Raises:
        SettingError: it cannot.
    """
    ended = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", _LABELS, label], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        message = f"JOURNEYMESH_TRAINING_LABEL: {ended.stderr.strip()}"
        raise SettingError(message)


def require_cluster(files: tls.Files) -> None:
    """Returns if jobs can use a cluster: Dask is installed, of which nothing is loaded, and the files fit together.

    Raises:
        SettingError: they cannot.
    """
    if not all(map(_is_there, _CLUSTER_NEEDS)):
        raise SettingError("JOURNEYMESH_JOBS_CLUSTER needs the extra `dask`, which is not installed here.")
    try:
        tls.read(files)
    except SettingError as error:
        message = f"JOURNEYMESH_JOBS_CLUSTER: {error}"
        raise SettingError(message) from error


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # what it is in is not there
        return False


class Children:
    """Starts a process for a job.

    Args:
        archive_url: where the archive is.
        memory: what a process may take.
        environment: of a process.
        scratch: a folder for what processes write while they work, this one's alone. What a killed one left is removed.
    """

    def __init__(self, archive_url: str, memory: Memory, environment: Mapping[str, str], scratch: Path) -> None:
        self._archive_url = archive_url
        self._memory = memory
        self._environment = {**environment, **LEAN}
        self._scratch = scratch.absolute()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def start(self, tenant: str, job: Job) -> "Child":
        """See `ports.Start`."""
        about = (tenant, str(job.created_us // 1000), str(self._memory.of(job.kind)), job.job_id)
        options = msgspec.json.encode(dict(job.options)).decode()
        command = [sys.executable, "-m", MODULES[job.kind], self._archive_url, *about, options]
        return Child(command, self._environment, self._scratch / job.job_id)


class Child:
    """A process that does a job."""

    def __init__(self, command: list[str], environment: Mapping[str, str], scratch: Path) -> None:
        self.progress = Progress()
        # It may be killed at any time, and what it spills is about people: so who waits for it removes its folder.
        self._scratch = scratch
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        # This module makes a process by vfork. uvloop would fork, and gRPC's threads end such a child before it begins.
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, "TMPDIR": str(scratch)},
        )
        self._was_out_of_memory = False
        self._errors = threading.Thread(target=self._pass_on, daemon=True)
        self._errors.start()

    @property
    def process_id(self) -> int:
        """The number of the process."""
        return self._process.pid

    async def outcome(self) -> Outcome:
        """See `ports.Work`."""
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        outcome = await asyncio.to_thread(self._read, self._process.stdout)
        if outcome.is_lost:
            await asyncio.to_thread(self._errors.join)
        return OUT_OF_MEMORY if outcome.is_lost and self._was_out_of_memory else outcome

    def close(self) -> None:
        """Kills it, if it has not ended, and removes what it wrote while it worked."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(OSError):  # nothing was written to it
            self._process.stdin.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _read(self, output: IO[bytes]) -> Outcome:
        with output:
            for line in output:
                try:
                    said = _DECODE(line)
                except msgspec.DecodeError:  # it was killed in the middle of a line
                    break
                if said.counts is not None or said.reason:
                    model = Model(*msgspec.structs.astuple(said.model)) if said.model else None
                    return Outcome(said.counts or {}, said.reason, said.detail, model=model)
                self.progress = Progress(said.step, said.progress)
        return Outcome(is_lost=True)

    def _pass_on(self) -> None:
        """Writes what it writes of errors to this process's."""
        assert self._process.stderr is not None  # noqa: S101 - it is a pipe
        with self._process.stderr as errors:
            for line in errors:
                self._was_out_of_memory |= any(each in line for each in _NO_MEMORY)
                sys.stderr.write(line.decode(errors="replace"))
