"""Both ways to start a program, for tests of what either promises."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final

from cli.local import fork_server, forking
from cli.local.processes import Process, Program, Start, by_command, python

WAYS: Final = ("by command", "forked")
SERVER: Final = Program(fork_server.NAME, python(fork_server.__name__))


class Starter:
    """Starts programs of which only the code is given."""

    def __init__(self, start: Start, folder: Path) -> None:
        self.start = start
        self.server: Process | None = None
        self.folder = folder

    def program(
        self, name: str, code: str, *arguments: str, needs: tuple[str, ...] = (), **environment: str
    ) -> Program:
        """A program of this code."""
        module = name.replace(" ", "_") + "_program"
        (self.folder / f"{module}.py").write_text(code)
        return Program(name, python(module, *arguments), environment, needs=needs)

    async def __call__(self, code: str, *arguments: str, name: str = "some", **environment: str) -> Process:
        """Starts a process of this code."""
        return await self.start(self.program(name, code, *arguments, needs=(), **environment))


@asynccontextmanager
async def starter(way: str, folder: Path, *modules: str) -> AsyncIterator[Starter]:
    """Starts programs in one of the ways, for the block; those that are left at its end are the caller's."""
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}", "PYTHONUNBUFFERED": "1"}
    if way == "by command":
        yield Starter(by_command(environment), folder)
        return
    assert forking._adopts_orphans()
    with closing(forking.Forking(environment)) as start:
        made = Starter(start, folder)
        made.server = await start(SERVER._replace(command=[*SERVER.command, *modules]))
        yield made
    await made.server.wait()
