"""Calls over several replicas behind one name: `mesh.rpc.channel` against `mesh.process.server`."""

import asyncio
import collections
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from mesh.errors import Unavailable
from mesh.observability import telemetry
from mesh.process.server import serving
from mesh.process.site import Site
from mesh.rpc import channel
from tests.conftest import free_port
from tests.mesh.echo import Echo, later, now, stream
from tests.mesh.names import Names, naming

OFF = telemetry.off()
AGE_SECONDS = 2.0
FIRST, SECOND, THIRD = "127.0.0.1", "127.0.0.2", "127.0.0.3"

# HTTP/2: a server's first frame, and that it has seen the caller's.
SETTINGS_FRAME = b"\0\0\0\x04\0\0\0\0\0"
SETTINGS_ACKNOWLEDGED = b"\0\0\0\x04\x01\0\0\0\0"

# A replica in a process of its own, so that it can be killed.
REPLICA = """
import asyncio, sys
from mesh.observability import telemetry
from mesh.process.server import serving
from tests.mesh.echo import Echo

async def main():
    async with serving(sys.argv[1], [Echo(sys.argv[1]).register()], [], {}, telemetry.off()):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def names() -> Iterator[Names]:
    with naming() as names:
        yield names


@pytest.fixture
def port() -> int:
    return free_port()


@contextlib.asynccontextmanager
async def replica(address: str, port: int) -> AsyncIterator[None]:
    echo = Echo(address)
    async with serving(f"{address}:{port}", [echo.register()], [], {}, OFF, Site(None, AGE_SECONDS)):
        yield


@contextlib.contextmanager
def process(address: str, port: int) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", REPLICA, f"{address}:{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            yield running
        finally:
            running.kill()


class Calls:
    """Calls all the time, and counts who answers."""

    def __init__(self, dialled: grpc.aio.Channel) -> None:
        self._ask = now(dialled)
        self.answered: collections.Counter[str] = collections.Counter()
        self.count = 0
        self._changed = asyncio.Event()

    async def run(self) -> None:
        while True:
            self.answered[(await self._ask(b"")).decode()] += 1
            self.count += 1
            self._changed.set()

    async def further(self, count: int) -> "collections.Counter[str]":
        """Who answers the next calls."""
        self.answered.clear()
        while self.answered.total() < count:
            self._changed.clear()
            await self._changed.wait()
        return self.answered.copy()


@contextlib.asynccontextmanager
async def calling(target: str, at_once: int = 4) -> AsyncIterator[Calls]:
    """Calls under way within the block; one that fails fails the test."""
    async with channel.dial(target, OFF) as dialled, asyncio.TaskGroup() as group:
        calls = Calls(dialled)
        running = [group.create_task(calls.run()) for _ in range(at_once)]
        yield calls
        for each in running:
            each.cancel()


async def shared(calls: Calls, expected: set[str], patience_seconds: float) -> float:
    """How long it takes until every one of `expected`, and nobody else, has its share."""
    began = time.monotonic()
    while True:
        answered = await calls.further(120)
        if answered.keys() == expected and min(answered.values()) > 60 / len(expected):
            return time.monotonic() - began
        assert time.monotonic() - began < patience_seconds, answered


async def test_calls_spread_over_all_replicas_and_a_new_one_gets_its_share(names: Names, port: int) -> None:
    names.addresses = [FIRST, SECOND]
    async with replica(FIRST, port), replica(SECOND, port), calling(names.target(port)) as calls:
        await shared(calls, {FIRST, SECOND}, 5)
        async with replica(THIRD, port):
            names.addresses.append(THIRD)
            assert await shared(calls, {FIRST, SECOND, THIRD}, 10) < AGE_SECONDS * 1.1 + 1.5
        # The third has left in good order, while the name server still lists it.
        await shared(calls, {FIRST, SECOND}, 5)


async def test_a_replica_that_is_restarted_again_and_again_fails_no_call(port: int) -> None:
    """Under so many calls that some reach it when it has just begun to end."""
    async with replica(FIRST, port), calling(f"ipv4:{FIRST}:{port},{SECOND}:{port}", at_once=16) as calls:
        for _ in range(5):
            async with replica(SECOND, port):
                await shared(calls, {FIRST, SECOND}, 5)
            await shared(calls, {FIRST}, 5)


async def test_a_replica_that_is_killed_fails_no_call(names: Names, port: int) -> None:
    names.addresses = [FIRST, SECOND]
    with process(SECOND, port) as killed:
        async with replica(FIRST, port), calling(names.target(port)) as calls:
            await shared(calls, {f"{SECOND}:{port}", FIRST}, 5)
            killed.kill()
            await shared(calls, {FIRST}, 5)


async def test_a_large_call_is_repeated_too(port: int) -> None:
    class Hesitant(Echo):
        async def now(self, request: bytes, context: object) -> bytes:
            if not self.begun.is_set():
                self.begun.set()
                raise Unavailable("DEPENDENCY_UNAVAILABLE", "The store cannot be reached.")
            return self.name

    async with (
        serving(f"{FIRST}:{port}", [Hesitant("here").register()], [], {}, OFF),
        channel.dial(f"{FIRST}:{port}", OFF) as dialled,
    ):
        assert await now(dialled)(bytes(4_000_000)) == b"here"


async def test_replicas_may_stand_in_the_target_one_by_one(port: int) -> None:
    async with (
        replica(FIRST, port),
        replica(SECOND, port),
        calling(f"ipv4:{FIRST}:{port},{SECOND}:{port}") as calls,
    ):
        await shared(calls, {FIRST, SECOND}, 5)


async def test_connections_that_grow_old_fail_no_call(names: Names, port: int) -> None:
    names.addresses = [FIRST]
    async with replica(FIRST, port), calling(names.target(port)) as calls:
        ends = time.monotonic() + 2.5 * AGE_SECONDS
        while time.monotonic() < ends:
            await calls.further(100)
        assert calls.count > 1000


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers that ask each second whether the other is still there, and servers that bear it."""
    hasty = {"grpc.keepalive_time_ms": 1000, "grpc.http2.ping_timeout_ms": 500}
    monkeypatch.setattr("mesh.rpc.channel._OPTIONS", [*{**dict(channel._OPTIONS), **hasty}.items()])
    monkeypatch.setattr("mesh.process.server.KEEPALIVE_SECONDS", 1)


async def test_a_machine_that_falls_silent_fails_no_call(hasty: None, port: int) -> None:
    """Its calls are repeated with another replica once it is clear that nobody answers."""
    given_up = asyncio.Event()

    async def fall_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SETTINGS_FRAME + SETTINGS_ACKNOWLEDGED)
        silent.close()  # for further connections
        await reader.read()
        writer.close()
        given_up.set()

    silent = await asyncio.start_server(fall_silent, SECOND, port)
    async with replica(FIRST, port), channel.dial(f"ipv4:{FIRST}:{port},{SECOND}:{port}", OFF) as dialled:
        ask = now(dialled)
        while not given_up.is_set():
            assert await ask(b"", timeout=30) == FIRST.encode()


async def test_a_call_may_take_its_time_although_its_caller_asks_for_signs_of_life(hasty: None, port: int) -> None:
    echo = Echo("here")
    async with (
        serving(f"{FIRST}:{port}", [echo.register()], [], {}, OFF),
        channel.dial(f"{FIRST}:{port}", OFF) as dialled,
    ):
        call = asyncio.ensure_future(later(dialled)(b"", timeout=30))
        await echo.begun.wait()
        _, running = await asyncio.wait([call], timeout=5)  # of which three would be too many
        assert running
        echo.may_end.set()
        assert await call == b"here"


async def test_a_stream_ends_as_unavailable_when_its_server_drains(port: int) -> None:
    async with contextlib.AsyncExitStack() as stack:
        dialled = await stack.enter_async_context(channel.dial(f"{FIRST}:{port}", OFF))
        async with replica(FIRST, port):
            call = stream(dialled)(b"")
            assert await call.read() == FIRST.encode()
            began = time.monotonic()
        assert time.monotonic() - began < 5  # the drain did not wait for it
        assert await call.code() is grpc.StatusCode.UNAVAILABLE
