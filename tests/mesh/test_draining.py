"""Calls that reach a server at the very moment at which it begins to stop: each is answered or refused, none waits."""

import asyncio
import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from mesh.observability import telemetry
from mesh.process.server import Register, serving
from tests.mesh.echo import Echo, now, stream

OFF = telemetry.off()
ROUNDS = 20
CALLS_AT_ONCE = 40
# A server takes the longer to refuse what is in its queue the more methods it has: the moment to hit is longer.
METHODS = 300
DEADLINE_SECONDS = 2.0

Ask = Callable[[grpc.aio.Channel], Awaitable[object]]


async def asked_now(channel: grpc.aio.Channel) -> None:
    await now(channel)(b"", timeout=DEADLINE_SECONDS)


async def asked_for_a_stream(channel: grpc.aio.Channel) -> None:
    call = stream(channel)(b"", timeout=DEADLINE_SECONDS)
    while await call.read() is not grpc.aio.EOF:
        pass


def wide(calling: Callable[[], Awaitable[None]]) -> Register:
    """Many methods on a server whose stop begins amid `calling`."""

    async def answer(request: bytes, context: object) -> bytes:
        return request

    def register(to: Any) -> None:
        handler: Any = grpc.unary_unary_rpc_method_handler(answer)
        to.add_registered_method_handlers("test.Wide", {f"Method{number}": handler for number in range(METHODS)})
        stop = to.stop

        async def stop_amid_calls(grace: float | None) -> None:
            await calling()
            await stop(grace)

        to.stop = stop_amid_calls

    return register


async def outcomes_at_the_stop(ask: Ask) -> Counter[grpc.StatusCode]:
    """How calls end that begin together with the stop of their server."""
    outcomes: Counter[grpc.StatusCode] = Counter()
    calls: list[asyncio.Task[None]] = []

    async def ended(channel: grpc.aio.Channel) -> None:
        try:
            await ask(channel)
        except grpc.aio.AioRpcError as error:
            outcomes[error.code()] += 1
        else:
            outcomes[grpc.StatusCode.OK] += 1

    async def calling() -> None:
        calls.extend(asyncio.create_task(ended(dialled)) for _ in range(CALLS_AT_ONCE))
        for _ in range(2):  # they are written, and on their way
            await asyncio.sleep(0)

    async with contextlib.AsyncExitStack() as channels:
        async with serving("127.0.0.1:0", [Echo("here").register(), wide(calling)], [], {}, OFF) as port:
            dialled = await channels.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
            await asked_now(dialled)
        await asyncio.gather(*calls)
    assert outcomes.total() == CALLS_AT_ONCE
    return outcomes


@pytest.mark.parametrize("ask", [asked_now, asked_for_a_stream])
async def test_no_call_that_begins_with_the_stop_waits_for_its_deadline(ask: Ask) -> None:
    async with asyncio.timeout(15):
        for _ in range(ROUNDS):
            outcomes = await outcomes_at_the_stop(ask)
            assert set(outcomes) <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files stand."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def within(directory: Path) -> list[Path]:
    return [*directory.iterdir()]


async def test_only_the_user_of_a_server_may_use_its_own_door(temporary: Path) -> None:
    async with serving("127.0.0.1:0", [], [], {}, OFF):
        (directory,) = within(temporary)
        stat = directory.stat()
        assert (stat.st_uid, stat.st_mode & 0o777) == (os.getuid(), 0o700)
    assert within(temporary) == []


async def test_a_server_whose_door_is_gone_stops_all_the_same(temporary: Path) -> None:
    async with asyncio.timeout(5), serving("127.0.0.1:0", [], [], {}, OFF):
        (directory,) = within(temporary)
        (door,) = within(directory)
        door.unlink()
