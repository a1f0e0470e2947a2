"""Keeps child processes running: one prefixed log, restarts with backoff, an orderly stop."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from cli.local.guard import Guard
from cli.local.processes import Process, Program, Start
from mesh.process.lifecycle import CANNOT_RUN
from mesh.retry import backoff_seconds

_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 10.0
_SETTLED_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 30.0
_PIECE_BYTES: Final = 16 * 1024
_COLOURS: Final = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")


class Supervisor:
    """Runs programs side by side, and stops each when those that need it have ended."""

    def __init__(self, console: Console, start: Start, guard: Guard) -> None:
        self._console = console
        self._start = start
        self._guard = guard
        self._keepers: list[tuple[Program, asyncio.Task[None]]] = []
        self._processes: dict[str, Process] = {}
        self._names: list[str] = []
        self.refusal: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """The first program that cannot run as it is set up, and why, in a sentence. Only first starts count."""

    async def start(self, program: Program) -> None:
        """Starts a program and keeps it running."""
        self._names.append(program.name)
        process = await self._spawn(program)
        self._keepers.append((program, asyncio.create_task(self._keep(program, process))))

    async def stop(self) -> None:
        """Stops every program, those that nothing needs first, giving each time to finish its work."""
        ends: list[tuple[Program, asyncio.Task[None]]] = []
        for program, keeper in reversed(self._keepers):
            users = [end for user, end in ends if program.name in user.needs]
            ends.append((program, asyncio.create_task(_end_after(keeper, users))))
        await asyncio.gather(*(end for _, end in ends))

    def say(self, text: str) -> None:
        """Logs a line of the supervisor's own."""
        self._line("mesh", "bold", text)

    def pid(self, name: str) -> int:
        """The program's current process id; 0 if it has none."""
        process = self._processes.get(name)
        return process.pid if process is not None and process.returncode is None else 0

    async def _keep(self, program: Program, process: Process) -> None:
        failures, is_first = 0, True
        while True:
            started = time.monotonic()
            try:
                last = await self._relay(program, process)
                code = await process.wait()
            except asyncio.CancelledError:
                await self._end(program, process)
                raise
            finally:
                self._guard.ended(process.pid)
            if is_first and code == CANNOT_RUN:
                if not self.refusal.done():
                    self.refusal.set_result(f"{program.name} cannot run: {last.removeprefix('journeymesh: ')}")
                return
            is_first = False
            failures = 1 if time.monotonic() - started > _SETTLED_SECONDS else failures + 1
            pause = backoff_seconds(failures, _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, chance=1.0)
            self.say(f"{program.name} ended {_how(code)}; restarting it in {pause:g} s")
            await asyncio.sleep(pause)
            process = await self._spawn(program)

    async def _spawn(self, program: Program) -> Process:
        process = await self._start(program)
        self._guard.began(process.pid, is_needed=not program.needs)
        self._processes[program.name] = process
        return process

    async def _relay(self, program: Program, process: Process) -> str:
        """Passes on what a process writes, until it has ended; returns its last line."""
        text = ""
        if process.stdout is None:
            return text
        colour = _COLOURS[self._names.index(program.name) % len(_COLOURS)]
        async for line in lines(process.stdout):
            text = line.decode(errors="replace").rstrip()
            meant = (meaning for part, meaning in program.meanings.items() if part in text)
            self._line(program.name, colour, next(meant, text))
        return text

    async def _end(self, program: Program, process: Process) -> None:
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)  # a stopped process receives no other signal
        relaying = asyncio.create_task(self._relay(program, process))
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            self.say(f"{program.name} did not stop in time; killing it")
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        relaying.cancel()

    def _line(self, name: str, style: str, text: str) -> None:
        self._console.print(Text.assemble((f"{name:>12} ", style), ("│ ", "dim"), text), soft_wrap=True)


async def _end_after(keeper: asyncio.Task[None], users: Sequence[asyncio.Task[None]]) -> None:
    await asyncio.gather(*users)
    keeper.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeper


async def lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The lines that are read, without line ends; a long line comes in pieces."""
    rest = b""
    while chunk := await reader.read(_PIECE_BYTES):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
        while len(rest) >= _PIECE_BYTES:
            yield rest[:_PIECE_BYTES]
            rest = rest[_PIECE_BYTES:]
    if rest:
        yield rest


def _how(code: int) -> str:
    if code < 0:
        return f"by {signal.Signals(-code).name}"
    return f"with exit code {code}"
