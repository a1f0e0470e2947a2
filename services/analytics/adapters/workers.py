"""Processes that count: as many as there may be at once, each replaced when it had to be killed or has died."""

import asyncio
import contextlib
import pickle
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from mesh import errors
from mesh.errors import DeadlineExceeded, InvalidArgument, Unavailable
from services.analytics.adapters.copies.manifests import Manifests
from services.analytics.adapters.tasks import LENGTH, Count, Failure, Follow, Place
from services.analytics.domain.answer import Answer
from services.analytics.domain.manifest import Manifest
from services.analytics.ports import Outdated, Reading

_KILL_SECONDS: Final = 12.0
# A pass reads what may be much, and is not waited for.
_PASS_SECONDS: Final = 3600.0
_MODULE: Final = "services.analytics.adapters.questions.worker"


class Workers:
    """A fixed number of processes."""

    def __init__(self, count: int) -> None:
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()
        for _ in range(count):
            self._idle.put_nowait(_Worker())

    async def result(self, task: Count | Follow, seconds: float) -> Any:  # noqa: ANN401 - what the task gives
        """What comes of a task, once a process is free for it.

        Raises:
            DeadlineExceeded: `QUESTION_TOO_SLOW`, and its process was killed.
            Unavailable: its process died.
        """
        worker = await self._idle.get()
        try:
            return await worker.result(task, seconds)
        finally:
            self._idle.put_nowait(worker)

    def close(self) -> None:
        """Kills them."""
        while not self._idle.empty():
            self._idle.get_nowait().kill()


@contextlib.asynccontextmanager
async def working(count: int) -> AsyncIterator[Workers]:
    """So many processes, for the block."""
    workers = Workers(count)
    try:
        yield workers
    finally:
        workers.close()


class _Worker:
    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._spilled: tempfile.TemporaryDirectory[str] | None = None

    async def result(self, task: Count | Follow, seconds: float) -> Any:  # noqa: ANN401 - what the task gives
        # Not in the thread: a question that is given up would leave it with a process that nobody ends.
        process = self._process = self._process or self._started()
        is_whole = False
        try:
            async with asyncio.timeout(seconds):
                found = await asyncio.to_thread(_exchanged, process, pickle.dumps(task))
            is_whole = True
        except TimeoutError:
            raise DeadlineExceeded("QUESTION_TOO_SLOW", "It took longer than a question may.") from None
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "The process that counted has died.") from error
        finally:
            if not is_whole:  # also where whoever waited is cancelled: what it would write is nobody's
                self.kill()
        return found

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):  # what it was not told any more
                        pipe.close()
        if self._spilled is not None:
            self._spilled.cleanup()

    def _started(self) -> subprocess.Popen[bytes]:
        self._spilled = tempfile.TemporaryDirectory(prefix="journeymesh-questions-")
        command = [sys.executable, "-m", _MODULE, self._spilled.name]
        # This module makes a process by vfork. uvloop would fork, and gRPC's threads end such a child before it begins.
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own module


def _exchanged(process: subprocess.Popen[bytes], sent: bytes) -> Any:  # noqa: ANN401 - what the task gives
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101 - as above
    process.stdin.write(LENGTH.pack(len(sent)) + sent)
    process.stdin.flush()
    head = process.stdout.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    return pickle.loads(process.stdout.read(length))  # noqa: S301 - our own process wrote it


class DuckDb:
    """Counts with DuckDB, in processes of its own."""

    def __init__(self, workers: Workers, root: str, kill_seconds: float = _KILL_SECONDS) -> None:
        self._workers = workers
        self._root = root
        self._kill_seconds = kill_seconds

    async def answer(self, reading: Reading) -> Answer:
        """See `ports.Engine`."""
        found = await self._workers.result(Count(self._root, reading), self._kill_seconds)
        if isinstance(found, Failure):
            raise _error(found)
        answer: Answer = found
        return answer


class FolderCopies:
    """Copies in a folder."""

    def __init__(self, workers: Workers, place: Place) -> None:
        self._workers = workers
        self._place = place
        self._manifests = Manifests(Path(place.root))
        self._follows = True

    def manifest(self) -> Manifest:
        """See `ports.Copies`."""
        return self._manifests.read()

    async def bring_up(self, *, is_all: bool = True) -> bool:
        """Brings them up to the archive, or part of the way, and to its tail.

        Args:
            is_all: whether to look at the archive even if its tail shows that nothing was archived since.

        Returns:
            Whether files of the archive were taken in: there may be more.

        Raises:
            Unavailable: a storage cannot be reached.
            Outdated: a file of the archive went away meanwhile.
        """
        try:
            found = await self._workers.result(Follow(self._place, is_all), _PASS_SECONDS)
        except Unavailable:
            self._follows = False
            raise
        self._follows = not isinstance(found, Failure) or found.kind == "Outdated"
        if isinstance(found, Failure):
            raise _error(found)
        return bool(found)

    async def check(self) -> None:
        """See `ports.Copies`."""
        if not self._follows:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "The archive cannot be followed.")


def _error(failure: Failure) -> Exception:
    if failure.kind == "Interrupted":
        return DeadlineExceeded("QUESTION_TOO_SLOW", "It took longer than a question may.")
    if failure.kind == "OutOfMemory":
        return InvalidArgument("QUESTION_TOO_LARGE", "It takes more memory than a question may: ask about fewer days.")
    if failure.kind == "Outdated":
        return Outdated(failure.detail)
    kind: type[errors.MeshError] = getattr(errors, failure.kind, errors.Internal)
    return kind(failure.reason, failure.detail)
