"""What a process does with its calls, its streams and its shards when it gets a signal to end."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from journeymesh.intervention.v1 import intervention_pb2

from gateway import peers
from gateway.core import Core, bootstrap
from gateway.http.caller import ANYBODY
from gateway.push.watching import watch
from gateway.settings import Settings
from mesh.clock import system_clock
from mesh.leases.memory import MemoryLeases
from mesh.leases.port import Lease
from mesh.leases.sharing import Sharing
from mesh.observability import telemetry
from mesh.process.server import serving
from mesh.process.site import Site
from mesh.rpc import channel
from mesh.stream.memory import MemoryStream
from tests.conftest import free_port
from tests.mesh.echo import Echo, later

OFF = telemetry.off()
LEASE_SECONDS = 30.0
SERVICES = (
    "access",
    "analytics",
    "ingest",
    "archiver",
    "features",
    "scoring",
    "video",
    "intervention",
    "experiments",
    "customers",
)


async def test_a_running_call_ends_before_its_server_does() -> None:
    echo, began, left = Echo("here"), asyncio.Event(), asyncio.Event()
    port = free_port()

    async def serve() -> None:
        async with serving(f"127.0.0.1:{port}", [echo.register()], [], {}, OFF):
            began.set()
            await echo.begun.wait()
        left.set()

    serving_now = asyncio.create_task(serve())
    await began.wait()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as dialled:
        call = asyncio.ensure_future(later(dialled)(b""))
        await echo.begun.wait()
        await dialled.wait_for_state_change(grpc.ChannelConnectivity.READY)  # the server asked it to reconnect
        assert not left.is_set()
        echo.may_end.set()
        assert await call == b"here"
    await serving_now


async def test_shards_that_are_given_back_rest_for_much_less_than_a_lease() -> None:
    stream, leases = MemoryStream(shard_count=4), MemoryLeases(system_clock)
    taken: "asyncio.Queue[tuple[float, str]]" = asyncio.Queue()

    def process(owner: str) -> "asyncio.Task[None]":
        async def follow(lease: Lease) -> None:
            taken.put_nowait((time.monotonic(), owner))
            await asyncio.Event().wait()

        return asyncio.create_task(Sharing(stream, leases, owner, follow, LEASE_SECONDS).run())

    first = process("first")
    assert [(await taken.get())[1] for _ in range(4)] == ["first"] * 4
    second = process("second")
    assert (await taken.get())[1] == "second"  # one is taken from who has too many; the others in the next rounds
    given_back = time.monotonic()
    first.cancel()
    async with asyncio.timeout(5):
        rested = [(await taken.get())[0] - given_back for _ in range(3)]
    assert max(rested) < LEASE_SECONDS / 30
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)


class Waiting:
    """Tells what waits unless the cursor is of that, and every change; remembers with what cursors it was asked."""

    def __init__(self) -> None:
        self.cursor = 1
        self.asked: list[str] = []
        self.changed = asyncio.Condition()

    async def advance(self, cursor: int) -> None:
        async with self.changed:
            self.cursor = cursor
            self.changed.notify_all()

    async def was_asked(self, *cursors: str) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: self.asked == [*cursors])

    async def watch(
        self, request: intervention_pb2.WatchPendingInterventionRequest, context: object
    ) -> AsyncIterator[intervention_pb2.WatchPendingInterventionResponse]:
        sent = request.cursor
        async with self.changed:
            self.asked.append(sent)
            self.changed.notify_all()
        if sent == str(self.cursor):
            yield intervention_pb2.WatchPendingInterventionResponse(is_unchanged=True)
        while True:
            async with self.changed:
                while sent == str(self.cursor):
                    await self.changed.wait()
                sent = str(self.cursor)
            yield intervention_pb2.WatchPendingInterventionResponse(cursor=sent)


def served(waiting: Waiting, port: int, age_seconds: float = 300) -> contextlib.AbstractAsyncContextManager[int]:
    def register(to: grpc.aio.Server) -> None:
        handlers: dict[str, Any] = {
            "WatchPendingIntervention": grpc.unary_stream_rpc_method_handler(
                waiting.watch,
                intervention_pb2.WatchPendingInterventionRequest.FromString,
                intervention_pb2.WatchPendingInterventionResponse.SerializeToString,
            )
        }
        name = intervention_pb2.DESCRIPTOR.services_by_name["InterventionService"].full_name
        to.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))

    return serving(f"127.0.0.1:{port}", [register], [], {}, OFF, Site(None, age_seconds))


@contextlib.asynccontextmanager
async def watching(port: int) -> AsyncIterator[Core]:
    """The core of a gateway."""
    async with channel.dial(f"127.0.0.1:{port}", OFF) as dialled:
        yield bootstrap(Settings(), peers.over(dict.fromkeys(SERVICES, dialled)), OFF, asyncio.Event())


async def next_cursor(changes: "AsyncIterator[Any]") -> int:
    async with asyncio.timeout(10):
        return int((await anext(changes)).cursor)


async def test_a_watch_goes_on_with_another_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.push.watching._SHORT_SECONDS", 0.0)
    first, second, port = Waiting(), Waiting(), free_port()
    second.cursor = 2
    async with watching(port) as core:
        async with served(first, port):
            watched = await watch(core, "ada", "127.0.0.1", ANYBODY, "")
            changes = watched.changes()
            assert await next_cursor(changes) == 1
        async with served(second, port):
            assert await next_cursor(changes) == 2
            await second.was_asked("1")
            watched.close()


async def test_a_watch_outlives_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.process.server._AGE_GRACE_SECONDS", 0)
    waiting, port = Waiting(), free_port()
    async with watching(port) as core, served(waiting, port, age_seconds=1.5):
        watched = await watch(core, "ada", "127.0.0.1", ANYBODY, "")
        changes = watched.changes()
        assert await next_cursor(changes) == 1
        further = asyncio.ensure_future(next_cursor(changes))
        await waiting.was_asked("", "1")
        await waiting.advance(2)
        assert await further == 2
        watched.close()


async def test_a_watch_that_is_refused_again_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.push.watching._SHORT_SECONDS", 5.0)
    waiting, port = Waiting(), free_port()
    async with watching(port) as core:
        async with served(waiting, port):
            watched = await watch(core, "ada", "127.0.0.1", ANYBODY, "1")
            changes = watched.changes()
        async with asyncio.timeout(10):
            assert [change async for change in changes] == []
        watched.close()
