"""The embedded store: its folder is one mesh's, and it is waited for as long as it loads."""

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis.asyncio
import redis.exceptions

from cli.local.store import CannotRunError, answering, credentials, taken
from mesh.store import embedded
from tests.conftest import free_port

HOLD = """
from pathlib import Path
from cli.local.store import taken
with taken(Path({!r})): print('held', flush=True); input()
"""


def test_a_folder_is_one_mesh_s_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    with taken(folder):
        with pytest.raises(CannotRunError) as refused, taken(folder):
            pass
        assert str(refused.value) == (
            f"The folder {folder} is used by a running mesh (process {os.getpid()}); stop it, or set "
            "JOURNEYMESH_VAR to another folder."
        )
    with taken(folder):
        pass


def test_nobody_else_gets_into_a_folder_also_of_an_earlier_version(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir(mode=0o755)
    (old / "lock").touch(0o644)
    for folder in (old, tmp_path / "new"):
        with taken(folder):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_store_s_password_is_new_each_time_and_in_files_of_the_user_alone(tmp_path: Path) -> None:
    before = credentials(tmp_path)
    before.configuration.chmod(0o644)
    after = credentials(tmp_path)
    assert len(bytes.fromhex(after.password)) == 32
    assert after.password != before.password
    assert after.password_file.read_text() == after.password
    assert after.password not in " ".join(embedded.server_command(1, tmp_path, "no", 0, after.configuration))
    for file in (after.password_file, after.configuration):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_other_folders_are_free(tmp_path: Path) -> None:
    with taken(tmp_path / "a"), taken(tmp_path / "b"):
        pass


def test_a_folder_is_held_across_processes_and_free_when_they_are_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD.format(str(tmp_path))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(CannotRunError, match=f"process {holder.pid}"), taken(tmp_path):
            pass
        holder.kill()
    with taken(tmp_path):
        pass


def test_a_store_left_by_a_killed_mesh_holds_the_folder_and_is_reported_as_such(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with taken(tmp_path) as file:
        left = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[file])
        os.ftruncate(file, 0)
        os.pwrite(file, b"%d\n" % ended.pid, 0)
    try:
        with pytest.raises(CannotRunError, match=f"processes that {ended.pid} left behind"), taken(tmp_path):
            pass
    finally:
        left.kill()
        left.communicate()
    with taken(tmp_path):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_reported(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CannotRunError, match="cannot be used"), taken(tmp_path / "var"):
        pass


def test_a_file_in_place_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    with pytest.raises(CannotRunError, match="cannot be used"), taken(tmp_path / "var"):
        pass


@contextlib.asynccontextmanager
async def store(loading: asyncio.Event, share: str = "43.21", left: str = "20") -> AsyncIterator[str]:
    """A store that loads its file until the test ends that."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = [(await reader.readline(), await reader.readline())[1] for _ in range(int(line[1:]))]
            command = words[0].strip().upper()
            info = (
                f"# Persistence\r\nloading:1\r\nloading_loaded_perc:{share}\r\nloading_eta_seconds:{left}\r\n".encode()
            )
            if command == b"INFO":
                writer.write(b"$%d\r\n%b\r\n" % (len(info), info))
            elif command == b"PING" and not loading.is_set():
                writer.write(b"-LOADING Valkey is loading the dataset in memory\r\n")
            else:
                writer.write(b"+PONG\r\n" if command == b"PING" else b"+OK\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"


async def test_a_store_that_loads_its_file_is_waited_for_and_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cli.local.store._PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr("cli.local.store._REPORT_SECONDS", 0.3)
    lines: list[str] = []
    through = asyncio.Event()
    async with store(through) as url:
        waiting = asyncio.create_task(answering(url, lines.append))
        async with asyncio.timeout(20):
            while len(lines) < 3:  # noqa: ASYNC110 - longer than the patience with one that is silent
                await asyncio.sleep(0.02)
        assert not waiting.done()
        through.set()
        async with asyncio.timeout(20):
            await waiting
    assert set(lines) == {"the store is loading its file: 43%, about 20 s left"}


async def test_a_store_that_does_not_say_how_far_it_is_is_waited_for_too() -> None:
    lines: list[str] = []
    through = asyncio.Event()
    async with store(through, share="", left="") as url:
        waiting = asyncio.create_task(answering(url, lines.append))
        async with asyncio.timeout(20):
            while not lines:  # noqa: ASYNC110 - said by another task
                await asyncio.sleep(0.02)
        through.set()
        await waiting
    assert lines == ["the store is loading its file"]


async def test_an_unresponsive_store_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.local.store._PATIENCE_SECONDS", 0.3)
    with pytest.raises(CannotRunError, match="has not answered for 0 s"):
        await answering(f"redis://127.0.0.1:{free_port()}/0", lambda _: None)


async def test_the_wait_ends_when_cancelled_also_if_the_client_swallows_that(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asyncio.Event()

    async def ping(_: redis.asyncio.Redis) -> bool:
        asked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return True

    monkeypatch.setattr(redis.asyncio.Redis, "ping", ping)
    waiting = asyncio.create_task(answering(f"redis://127.0.0.1:{free_port()}", print))
    await asked.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.fixture
def bounded(tmp_path: Path) -> Iterator[int]:
    """The port of a store that may take three megabytes."""
    port = free_port()
    with subprocess.Popen(
        embedded.server_command(port, tmp_path, "everysec", 3_000_000), stdout=subprocess.DEVNULL
    ) as server:
        yield port
        server.send_signal(signal.SIGTERM)


async def test_the_store_refuses_writes_at_its_limit_and_evicts_nothing(bounded: int) -> None:
    await answering(f"redis://127.0.0.1:{bounded}/0", lambda _: None)
    async with redis.asyncio.Redis(port=bounded) as client:
        assert await client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        kept = 0
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            while True:
                await client.set(f"key-{kept}", b"x" * 10_000)
                kept += 1
        assert await client.dbsize() == kept > 0
