"""A program, a process of it as the supervisor sees it, and the plain way to start one: by its command."""

import asyncio
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol


class Program(NamedTuple):
    """A process to keep running, and its environment besides what all share."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = {}
    files: Sequence[int] = ()
    """Open files it inherits."""
    meanings: Mapping[str, str] = {}
    """Replacements of harmless but alarming log lines, by a part of the line."""
    needs: Collection[str] = ()
    """Programs that start before it, and end after it."""


class Process(Protocol):
    """A process of a program, and a child of this one. It leads a session of its own, and its input is empty."""

    @property
    def pid(self) -> int:
        """Its id."""

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """What it writes, to either of its files."""

    @property
    def returncode(self) -> int | None:
        """Its exit code, or the signal that ended it, negated; None while it runs."""

    async def wait(self) -> int:
        """Returns its exit code once it has ended."""

    def send_signal(self, signal: int) -> None:
        """Sends it a signal; once it has ended, no process is sent any.

        Raises:
            ProcessLookupError: it has ended; asyncio's processes say so a moment later.
        """


class Start(Protocol):
    """A way to start a program."""

    async def __call__(self, program: Program) -> Process:
        """Starts a process of a program. If this is cancelled, there is none.

        Raises:
            OSError: the system starts no process, or not this one.
        """


def python(*arguments: str) -> list[str]:
    """The command that runs a module with this Python."""
    return [sys.executable, "-m", *arguments]


def by_command(environment: Mapping[str, str]) -> Start:
    """Starts each program by its command, in this environment and its own."""

    async def start(program: Program) -> Process:
        return await asyncio.create_subprocess_exec(
            *program.command,
            env={**environment, **program.environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches only the supervisor, which stops the others in order
            pass_fds=program.files,
        )

    return start
