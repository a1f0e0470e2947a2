"""The quick way to start services: each is forked from a server that has imported what they share (docs/adr/101)."""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, Final, NamedTuple

from cli.local import fork_server
from cli.local.processes import Process, Program, Start, by_command, python

_PATIENCE_SECONDS: Final = 30.0
_BURIAL_SECONDS: Final = 1.0
_PID_BYTES: Final = 32
_BEGIN: Final = b"!"
_ENDED: Final = os.WEXITED | os.WNOHANG | os.WNOWAIT
_PR_SET_CHILD_SUBREAPER: Final = 36


class Way(NamedTuple):
    """A way to start programs, and the programs that this takes, which are to be started first."""

    start: Start
    first: Sequence[Program] = ()


@contextlib.contextmanager
def best_way(environment: Mapping[str, str], modules: Sequence[str]) -> Iterator[Way]:
    """The quickest way to start programs on this system, for the block.

    Args:
        environment: what all programs share.
        modules: what is worth importing before a fork.
    """
    if not _adopts_orphans():
        yield Way(by_command(environment))
        return
    with contextlib.closing(Forking(environment)) as forking:
        yield Way(forking, [Program(fork_server.NAME, python(fork_server.__name__, *modules))])


def _adopts_orphans() -> bool:
    """Whether forks can become children of this process, as on Linux. Elsewhere a fork of Python may not be safe."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


class Forking:
    """Starts the fork server by its command, and every other module of this Python by a fork of it.

    What the server cannot start is started by its command: programs that are no module or inherit files, and all while
    the server does not answer. Variables that Python reads as it starts must be in the shared environment.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._by_command = by_command(environment)
        self._requests: socket.socket | None = None

    async def __call__(self, program: Program) -> Process:
        """See `Start`."""
        process = await self._started(program)
        _bury(process)
        return process

    def close(self) -> None:
        """Lets the server end."""
        if self._requests is not None:
            self._requests.close()

    async def _started(self, program: Program) -> Process:
        if program.name == fork_server.NAME:
            return await self._server(program)
        is_module = list(program.command[:2]) == python()
        forked = await self._fork(program) if is_module and not program.files else None
        return forked or await self._by_command(program)

    async def _server(self, program: Program) -> Process:
        self.close()
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._requests.setblocking(False)
        with theirs:
            file = theirs.fileno()
            return await self._by_command(program._replace(command=[*program.command, str(file)], files=[file]))

    async def _fork(self, program: Program) -> "Forked | None":
        """The process; None if the server gives none, or not in time."""
        if self._requests is None:
            return None
        output, write = os.pipe()
        asking, answer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with asking:
            with answer, os.fdopen(write, "wb"), contextlib.suppress(OSError):  # the server has ended: nobody answers
                socket.send_fds(self._requests, [_request(program)], [write, answer.fileno()])
            return await _told(asking, os.fdopen(output, "rb"))


async def _told(asking: socket.socket, output: BinaryIO) -> "Forked | None":
    """The process that says it is ready, which it is told to begin; None if there is none in time."""
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    asking.setblocking(False)
    pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), output)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            sent = await loop.sock_recv(asking, _PID_BYTES)
        process = Forked(int(sent), reader)
        asking.send(_BEGIN)
    except (OSError, TimeoutError, ValueError):
        pipe.close()
        return None
    except BaseException:
        pipe.close()
        raise
    return process


def _request(program: Program) -> bytes:
    _, _, module, *arguments = program.command
    return json.dumps(
        {"name": program.name, "module": module, "arguments": arguments, "environment": dict(program.environment)}
    ).encode()


class Forked:
    """A forked process, which this process has adopted."""

    def __init__(self, pid: int, stdout: asyncio.StreamReader) -> None:
        """Begins to wait for its end.

        Raises:
            ProcessLookupError: there is none.
        """
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._ended = asyncio.Event()
        self._file = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._file, self._end)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._file)
        os.close(self._file)
        try:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        except ChildProcessError:  # it ended before it began, with its parent
            self.returncode = -signal.SIGKILL
        self._ended.set()

    async def wait(self) -> int:
        """See `Process`."""
        await self._ended.wait()
        assert self.returncode is not None  # noqa: S101 - set before the event
        return self.returncode

    def send_signal(self, signal: int) -> None:
        """See `Process`."""
        if self.returncode is not None:
            raise ProcessLookupError(self.pid)
        os.kill(self.pid, signal)


def _bury(process: Process) -> None:
    """Reaps what others of its group leave behind, which this process adopts, for as long as there are any."""
    try:
        while (ended := os.waitid(os.P_PGID, process.pid, _ENDED)) is not None and ended.si_pid != process.pid:
            os.waitpid(ended.si_pid, 0)
    except ChildProcessError:  # nobody of its group is a child of this process, or not yet
        if process.returncode is not None:
            return
    asyncio.get_running_loop().call_later(_BURIAL_SECONDS, _bury, process)
