"""A store that cannot take a command now is away, whichever way the command went; a wrong command is a fault."""

from collections.abc import Awaitable, Callable
from typing import Final

import pytest
import redis.exceptions

from mesh.errors import Unavailable
from mesh.redis import Call, Client, Script, translating_errors

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
    valkey: Client, write: Callable[[Client], Awaitable[None]]
) -> None:
    await valkey.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(Unavailable):
            await tried(write, valkey)
        assert await valkey.get("key") is None
    finally:
        await valkey.config_set("maxmemory", "0")
    await tried(write, valkey)
    assert await valkey.get("key") == b"value"


@pytest.mark.parametrize("write", WAYS)
async def test_a_store_that_only_reads_for_now_is_unavailable(
    valkey: Client, write: Callable[[Client], Awaitable[None]]
) -> None:
    await valkey.config_set("min-replicas-to-write", "1")
    try:
        with pytest.raises(Unavailable):
            await tried(write, valkey)
    finally:
        await valkey.config_set("min-replicas-to-write", "0")


async def test_a_wrong_command_stays_a_fault_even_if_it_speaks_of_memory(valkey: Client) -> None:
    await valkey.set("OOM MISCONF", "text")
    pipeline = valkey.pipeline(transaction=False)
    pipeline.lpush("OOM MISCONF", "one")
    with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"), translating_errors():
        await pipeline.execute()
