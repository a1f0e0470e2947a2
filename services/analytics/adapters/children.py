"""Jobs in processes of their own: each says on its output how far it is, and ends when its input does.

A line of output is a JSON object: `step` and `progress`, or at the end `counts`, or `reason` and `detail`.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Mapping
from typing import IO, Final

import msgspec

from services.analytics.domain.job import Job, Outcome, Progress

# By name: what runs here is not imported, so that this process does not load what it needs.
MODULES: Final = {"customers_fit": "offline.customers.job"}


LEAN: Final = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"}
"""What a job's environment says, so that its memory goes into its work: threads and Arrow's allocator reserve much."""


class _Line(msgspec.Struct):
    step: str = ""
    progress: float = 0.0
    counts: dict[str, int] | None = None
    reason: str = ""
    detail: str = ""


_DECODE: Final = msgspec.json.Decoder(_Line).decode


class Children:
    """Starts a process for a job."""

    def __init__(self, archive_url: str, memory_mib: int, environment: Mapping[str, str]) -> None:
        self._archive_url = archive_url
        self._memory_mib = memory_mib
        self._environment = {**environment, **LEAN}

    def start(self, tenant: str, job: Job) -> "Child":
        """See `ports.Start`."""
        arguments = (self._archive_url, tenant, str(job.created_us // 1000), str(self._memory_mib))
        return Child([sys.executable, "-m", MODULES[job.kind], *arguments], self._environment)


class Child:
    """A process that does a job."""

    def __init__(self, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        self.progress = Progress()
        # This module makes a process by vfork. uvloop would fork, and gRPC's threads end such a child before it begins.
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )

    @property
    def process_id(self) -> int:
        """The number of the process."""
        return self._process.pid

    async def outcome(self) -> Outcome:
        """See `ports.Work`."""
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        return await asyncio.to_thread(self._read, self._process.stdout)

    def close(self) -> None:
        """Kills it, if it has not ended."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(OSError):  # nothing was written to it
            self._process.stdin.close()

    def _read(self, output: IO[bytes]) -> Outcome:
        with output:
            for line in output:
                try:
                    said = _DECODE(line)
                except msgspec.DecodeError:  # it was killed in the middle of a line
                    break
                if said.counts is not None or said.reason:
                    return Outcome(said.counts or {}, said.reason, said.detail)
                self.progress = Progress(said.step, said.progress)
        return Outcome(is_lost=True)
