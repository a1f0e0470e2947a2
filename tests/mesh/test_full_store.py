"""A store that cannot take a command now is away, whichever way the command went; a wrong command is a fault."""

import asyncio
import contextlib
import resource
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
import redis.exceptions

from mesh.errors import Unavailable
from mesh.store import embedded
from mesh.store.redis import Call, Client, Script, connect, translating_errors
from tests.conftest import free_port

SCRIPT: Final = Script("redis.call('SET', KEYS[1], ARGV[1]) return 1")


async def plain(client: Client) -> None:
    await client.set("key", "value")


async def pipelined(client: Client) -> None:
    pipeline = client.pipeline(transaction=False)
    pipeline.get("key")
    pipeline.set("key", "value")
    await pipeline.execute()


async def scripted(client: Client) -> None:
    await SCRIPT.run(client, Call(["key"], ["value"]))


WAYS: Final = (plain, pipelined, scripted)


async def tried(write: Callable[[Client], Awaitable[None]], client: Client) -> None:
    with translating_errors():
        await write(client)


@pytest.mark.parametrize("write", WAYS)
async def test_a_full_store_is_unavailable_until_there_is_room(
    server: Client, write: Callable[[Client], Awaitable[None]]
) -> None:
    await server.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(Unavailable, match="The store is full"):
            await tried(write, server)
        assert await server.get("key") is None
    finally:
        await server.config_set("maxmemory", "0")
    await tried(write, server)
    assert await server.get("key") == b"value"


@pytest.mark.parametrize("write", WAYS)
async def test_a_store_that_only_reads_for_now_is_unavailable(
    server: Client, write: Callable[[Client], Awaitable[None]]
) -> None:
    await server.config_set("min-replicas-to-write", "1")
    try:
        with pytest.raises(Unavailable):
            await tried(write, server)
    finally:
        await server.config_set("min-replicas-to-write", "0")


@pytest.fixture
def confined(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Port and process of a store of its own, whose files may be bounded from outside."""
    port = free_port()
    command = embedded.server_command(port, tmp_path, "everysec")
    # Else a write beyond the bound would end it.
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, restore_signals=False) as server:
        yield port, server.pid
        server.terminate()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="this system bounds no other process")
@pytest.mark.parametrize("write", WAYS)
async def test_a_full_disk_is_named_until_there_is_room(
    confined: tuple[int, int], write: Callable[[Client], Awaitable[None]]
) -> None:
    port, pid = confined
    client = connect(f"redis://127.0.0.1:{port}/0")
    await until_done(client.ping)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
    with pytest.raises(Unavailable), translating_errors():
        while True:
            await client.set("filling", bytes(1_000))
    with pytest.raises(Unavailable) as refused:
        await tried(write, client)
    assert refused.value.detail == "The store cannot write to its disk: No space left on device."
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await until_done(lambda: tried(write, client))
    await client.aclose()


async def until_done(act: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(Unavailable, redis.exceptions.ConnectionError):
                await act()
                return
            await asyncio.sleep(0.05)


SAID = {
    "MISCONF Errors writing to the AOF file: Input/output error": (
        "The store cannot write to its disk: Input/output error."
    ),
    "MISCONF Valkey is configured to save RDB snapshots, but it's currently unable to persist to disk.": (
        "The store cannot write to its disk."
    ),
    "NOREPLICAS Not enough good replicas to write.": "The store cannot take the command now.",
    "BUSY Valkey is busy running a script.": "The store cannot take the command now.",
}


@pytest.mark.parametrize(("said", "detail"), SAID.items())
def test_the_reason_why_the_store_refuses_is_a_sentence(said: str, detail: str) -> None:
    for text in (
        said,
        f"Command # 1 (SET a b) of pipeline caused error: ('{said}',)",
        f"{said} script: on @user_script:1.",
    ):
        with pytest.raises(Unavailable) as refused, translating_errors():
            raise redis.exceptions.ResponseError(text)
        assert refused.value.detail == detail


def test_a_store_that_loads_its_file_is_named() -> None:
    with pytest.raises(Unavailable, match="The store is loading its data"), translating_errors():
        raise redis.exceptions.BusyLoadingError("Valkey is loading the dataset in memory")


async def test_a_wrong_command_stays_a_fault_even_if_it_speaks_of_memory(server: Client) -> None:
    await server.set("OOM MISCONF", "text")
    pipeline = server.pipeline(transaction=False)
    pipeline.lpush("OOM MISCONF", "one")
    with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"), translating_errors():
        await pipeline.execute()
