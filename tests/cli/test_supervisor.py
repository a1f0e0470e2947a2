"""What a supervisor passes on of its programs, and that none of it ends the passing on."""

import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from cli.local import programs
from cli.local.guard import Guard, guarding
from cli.local.supervisor import Supervisor, lines
from tests.cli.starting import SERVER, WAYS, Starter, starter


@pytest.fixture
def guard() -> Iterator[Guard]:
    with guarding([]) as guard:
        yield guard


@pytest.fixture(params=WAYS)
async def starting(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Starter]:
    async with starter(request.param, tmp_path) as made:
        yield made


async def passed(*chunks: bytes) -> list[bytes]:
    reader = asyncio.StreamReader()
    for chunk in chunks:
        reader.feed_data(chunk)
    reader.feed_eof()
    return [line async for line in lines(reader)]


async def test_lines_come_whole_however_they_were_written() -> None:
    assert await passed(b"a\nb", b"c\n\nd") == [b"a", b"bc", b"", b"d"]
    assert await passed() == []


@pytest.mark.parametrize("size", [16 * 1024, 65_536, 65_537, 1_000_000])
async def test_a_long_line_comes_in_pieces_and_what_follows_comes_too(size: int) -> None:
    pieces = await passed(b"x" * size + b"\nafter\n")
    assert pieces[-1] == b"after"
    assert b"".join(pieces[:-1]) == b"x" * size
    assert max(map(len, pieces)) <= 2 * 16 * 1024


@pytest.mark.parametrize(
    "text", ["'x' * 200_000", "b'\\xff\\xfe\\x00'.decode('latin-1') * 40_000", "'[bold]' * 30_000"]
)
async def test_a_program_that_writes_a_huge_line_is_kept_running(guard: Guard, starting: Starter, text: str) -> None:
    output = io.StringIO()
    supervisor = Supervisor(Console(file=output, width=400), starting.start, guard)
    await supervisor.start(starting.program("writer", f"print({text}); print('after')"))
    try:
        async with asyncio.timeout(30):
            while output.getvalue().count("after") < 2:  # noqa: ASYNC110 - it is started again when it ends
                await asyncio.sleep(0.02)
    finally:
        await supervisor.stop()
    assert "restarting it" in output.getvalue()


async def test_a_stopped_program_is_ended_as_any_other(guard: Guard, starting: Starter) -> None:
    output = io.StringIO()
    supervisor = Supervisor(Console(file=output, width=400), starting.start, guard)
    code = "import os, signal, sys; print('stops', flush=True); os.kill(os.getpid(), signal.SIGSTOP)"
    await supervisor.start(starting.program("stopped", code))
    async with asyncio.timeout(20):
        while "stops" not in output.getvalue():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
        await supervisor.stop()
    assert "killed" not in output.getvalue()


async def test_a_program_ends_after_those_that_need_it(guard: Guard, starting: Starter) -> None:
    output = io.StringIO()
    supervisor = Supervisor(Console(file=output, width=400), starting.start, guard)
    code = (
        "import signal, sys\n"
        "def end(*_): print(sys.argv[1], 'ends', flush=True); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('began', flush=True); signal.pause()"
    )
    needs = {"store": (), "first": ("store",), "second": ("store",), "front": ("first", "second")}
    for name, needed in needs.items():
        await supervisor.start(starting.program(name, code, name, needs=needed))
    async with asyncio.timeout(20):
        while output.getvalue().count("began") < len(needs):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.02)
        await supervisor.stop()
    ended = [line.split()[-2] for line in output.getvalue().splitlines() if line.endswith(" ends")]
    assert (ended[0], sorted(ended[1:3]), ended[3]) == ("front", ["first", "second"], "store")


async def test_alarming_but_harmless_log_lines_are_replaced(guard: Guard, starting: Starter) -> None:
    output = io.StringIO()
    supervisor = Supervisor(Console(file=output, width=400), starting.start, guard)
    code = (
        "import signal; print('# WARNING Memory overcommit must be enabled! Without it ...'); "
        "print('after', flush=True); signal.pause()"
    )
    await supervisor.start(starting.program("store", code)._replace(meanings=programs._STORE_MEANINGS))
    try:
        async with asyncio.timeout(20):
            while "after" not in output.getvalue():  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
    finally:
        await supervisor.stop()
    assert "WARNING" not in output.getvalue()
    assert "memory overcommit is off here" in output.getvalue()


async def test_a_killed_fork_server_is_started_again_and_what_it_forked_lives_on(guard: Guard, tmp_path: Path) -> None:
    output = io.StringIO()
    async with starter("forked", tmp_path) as starting:
        supervisor = Supervisor(Console(file=output, width=400), starting.start, guard)
        await supervisor.start(SERVER)
        await supervisor.start(starting.program("kept", "import signal; print('began', flush=True); signal.pause()"))
        first, kept = supervisor.pid(SERVER.name), supervisor.pid("kept")
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(30):
            while supervisor.pid(SERVER.name) in (0, first):  # noqa: ASYNC110 - it is started again when it has ended
                await asyncio.sleep(0.02)
            assert supervisor.pid("kept") == kept
            os.kill(kept, signal.SIGKILL)
            while output.getvalue().count("began") < 2:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
        again = psutil.Process(supervisor.pid("kept"))
        assert (again.name(), again.ppid()) == ("kept", os.getpid())
        await supervisor.stop()
    assert "fork server ended by SIGKILL; restarting it" in output.getvalue()
    assert "kept ended by SIGKILL; restarting it" in output.getvalue()
