"""What each way to start a program promises the supervisor, and what forking promises beside it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import psutil
import pytest

import topology
from cli.local import fork_server, forking
from cli.local.processes import Process
from cli.local.programs import SHARED_MODULES
from mesh.process.lifecycle import CANNOT_RUN
from tests.cli.starting import WAYS, Starter, starter

PATIENCE_SECONDS: Final = 30.0
IDLE: Final = "import time; print('began'); time.sleep(99)"
CANNOT: Final = """
from mesh.process import lifecycle
from mesh.settings import SettingError
async def main():
    raise SettingError('no')
lifecycle.run(main())
"""
# Of a job in the background a shell has interrupts ignored, and Python leaves that as it is.
INTERRUPTED: Final = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
os.kill(os.getpid(), signal.SIGINT)
"""
FACTS: Final = """
import os, sys
print(os.getppid(), os.getsid(0) == os.getpgid(0) == os.getpid(), [sys.stdin.read()], oct(os.umask(0)))
print(sorted(map(int, os.listdir('/proc/self/fd'))))
"""
ENDED: Final = """
import signal, sys
def end(*_):
    print('told')
    sys.exit()
signal.signal(signal.SIGTERM, end)
print('began')
signal.pause()
"""
PARENT: Final = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
print('began')
time.sleep(99)
"""


@pytest.fixture(params=WAYS)
async def start(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Starter]:
    async with starter(request.param, tmp_path) as made:
        yield made


@pytest.fixture
async def fork(tmp_path: Path) -> AsyncIterator[Starter]:
    async with starter("forked", tmp_path, *SHARED_MODULES) as made:
        yield made


async def said(process: Process) -> str:
    """Everything that a process writes, once it has ended."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        text = (await process.stdout.read()).decode()
        await process.wait()
    return text


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.02)


def is_forked(process: Process, name: str = "some") -> bool:
    return psutil.Process(process.pid).name() == name


async def test_a_program_runs_as_its_command_says(start: Starter) -> None:
    code = (
        "import os, sys\nprint(__name__, sys.argv[1:], os.environ['OWN'], 'HOME' in os.environ, os.getcwd(), __file__)"
    )
    process = await start(code, "a", "b c", OWN="1")
    assert (
        await said(process)
        == f"__main__ ['a', 'b c'] 1 {'HOME' in os.environ} {Path.cwd()} {start.folder / 'some_program.py'}\n"
    )


async def test_everything_it_writes_comes_through_one_pipe_in_order(start: Starter) -> None:
    process = await start("import os, sys\nprint('out')\nprint('error', file=sys.stderr)\nos.write(1, b'end')")
    assert await said(process) == "out\nerror\nend"


@pytest.mark.parametrize(
    ("code", "expected", "written"),
    [
        ("", 0, ""),
        ("import sys; sys.exit(7)", 7, ""),
        (f"import sys; sys.exit({CANNOT_RUN})", CANNOT_RUN, ""),
        ("import sys; sys.exit('why')", 1, "why\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
        (INTERRUPTED, -signal.SIGINT, "KeyboardInterrupt\n"),
        ("import atexit; atexit.register(print, 'at exit')", 0, "at exit\n"),
        ("import threading, time; threading.Timer(0.05, print, ['thread']).start()", 0, "thread\n"),
        (CANNOT, CANNOT_RUN, "journeymesh: no\n"),
    ],
)
async def test_its_end_is_told_as_it_was(start: Starter, code: str, expected: int, written: str) -> None:
    process = await start(code)
    assert (await said(process)).endswith(written)
    assert await process.wait() == expected == process.returncode
    with contextlib.suppress(ProcessLookupError) if start.server is None else pytest.raises(ProcessLookupError):
        process.send_signal(signal.SIGTERM)


async def test_it_is_a_child_that_leads_a_session_and_reads_nothing(start: Starter) -> None:
    before = os.umask(0o027)
    try:
        async with starter("forked" if start.server else "by command", start.folder) as masked:
            lines = (await said(await masked(FACTS))).splitlines()
    finally:
        os.umask(before)
    # Its input, its output, and the folder that it lists.
    assert lines == [f"{os.getpid()} True [''] 0o27", "[0, 1, 2, 3]"]


async def test_signals_reach_it(start: Starter) -> None:
    process = await start(ENDED)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"began\n"
    assert process.returncode is None
    process.send_signal(signal.SIGTERM)
    assert await said(process) == "told\n"
    assert await process.wait() == 0


async def test_a_start_that_is_cancelled_leaves_no_process(start: Starter) -> None:
    before = _children()
    starting = asyncio.create_task(start("import signal; signal.pause()"))
    for _ in range(3):
        await asyncio.sleep(0)
    starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting
    assert starting.cancelled()
    await until(lambda: _children() <= before)


async def test_what_a_killed_program_leaves_is_reaped(fork: Starter) -> None:
    before = _children()
    process = await fork(PARENT)
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL
    await until(lambda: _children() <= before)


async def test_ps_shows_a_fork_as_if_its_command_had_been_run(fork: Starter) -> None:
    process = await fork(IDLE, "x", name="dispatcher-2")
    shown = psutil.Process(process.pid)
    assert (shown.name(), shown.cmdline()) == ("dispatcher-2", [sys.executable, "-m", "dispatcher-2_program", "x"])
    process.send_signal(signal.SIGKILL)
    await process.wait()


async def test_forks_draw_different_random_numbers(fork: Starter) -> None:
    code = (
        "import random, secrets, uuid, tempfile, ssl, numpy\n"
        "print(random.random(), random.getrandbits(64), secrets.token_hex(), uuid.uuid4(), ssl.RAND_bytes(16).hex(),"
        " numpy.random.default_rng().random(), numpy.random.random(), next(tempfile._get_candidate_names()))"
    )
    drawn = [(await said(await fork(code))).split() for _ in range(2)]
    assert len(drawn[0]) == 8
    assert not set(drawn[0]) & set(drawn[1])


async def test_the_server_has_one_thread_and_nothing_open_but_its_socket(fork: Starter) -> None:
    assert await said(await fork("import mesh.process.server, sys; print('uvloop' in sys.modules)")) == "True\n"
    assert fork.server is not None
    server = psutil.Process(fork.server.pid)
    assert (server.name(), server.num_threads(), server.num_fds()) == (fork_server.NAME, 1, 4)
    assert "GRPC_ENABLE_FORK_SUPPORT" not in server.environ()


async def test_a_server_with_threads_forks_nothing_and_programs_are_started_by_their_command(tmp_path: Path) -> None:
    code = "import threading, time; threading.Thread(target=time.sleep, args=[99], daemon=True).start()"
    (tmp_path / "threaded.py").write_text(code)
    async with starter("forked", tmp_path, "threaded") as start:
        process = await start(IDLE)
        assert not is_forked(process)
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL


async def test_a_module_that_cannot_be_imported_is_the_matter_of_those_that_need_it(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    async with starter("forked", tmp_path, "broken", "missing") as start:
        process = await start("import os; print(os.getpid())")
        assert await said(process) == f"{process.pid}\n"
        assert "ZeroDivisionError" in await said(await start("import broken"))


async def test_forks_live_on_without_their_server_and_more_programs_are_started_by_their_command(fork: Starter) -> None:
    first = await fork(IDLE)
    assert is_forked(first)
    assert fork.server is not None
    fork.server.send_signal(signal.SIGKILL)
    await fork.server.wait()
    second = await fork(IDLE)
    assert not is_forked(second)
    assert psutil.Process(first.pid).is_running()
    for each in (first, second):
        assert each.returncode is None
        each.send_signal(signal.SIGKILL)
        assert await each.wait() == -signal.SIGKILL


async def test_a_server_that_hangs_holds_up_no_start_for_long_and_forks_nothing_later(
    fork: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fork.server is not None
    await said(await fork(""))  # it serves
    before = _children()
    monkeypatch.setattr(forking, "_PATIENCE_SECONDS", 0.2)
    fork.server.send_signal(signal.SIGSTOP)
    process = await fork(IDLE)
    assert not is_forked(process)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    fork.server.send_signal(signal.SIGCONT)
    monkeypatch.undo()
    assert await said(await fork("print('forked again')")) == "forked again\n"
    await until(lambda: _children() <= before)


def test_where_forks_are_not_safe_everything_is_started_by_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with forking.best_way({}, SHARED_MODULES) as way:
        assert not way.first
        assert not isinstance(way.start, forking.Forking)
    monkeypatch.undo()
    with forking.best_way({}, SHARED_MODULES) as way:
        assert [each.name for each in way.first] == [fork_server.NAME]


def test_the_server_imports_nearly_all_that_nearly_all_services_import() -> None:
    ours, theirs = _imported(*SHARED_MODULES), [_imported(f"{each.module}.__main__") for each in topology.SERVICES]
    wanted = {module for module in set().union(*theirs) if sum(module in each for each in theirs) >= len(theirs) - 1}
    assert len(wanted - ours) < len(wanted) / 20
    assert {module for module in ours if not any(module in each for each in theirs)} == set()


def _imported(*modules: str) -> set[str]:
    code = f"import sys; before = {{*sys.modules}}; import {', '.join(modules)}; print(*{{*sys.modules}} - before)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}
