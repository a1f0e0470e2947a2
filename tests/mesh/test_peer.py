"""Peers that were away for long, and name servers that list replicas which are gone: `mesh.rpc.peer`."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from mesh.errors import MeshError, Unavailable
from mesh.observability import telemetry
from mesh.process.server import serving
from mesh.process.site import Site
from mesh.rpc import channel
from tests.conftest import free_port
from tests.mesh.echo import Echo, now, stream
from tests.mesh.names import Fault, Names, naming
from tests.mesh.virtual import virtual_address

OFF = telemetry.off()
HERE = "127.0.0.1"
# No connection that is made from here takes a port of these.
FIRST, SECOND = "127.0.0.11", "127.0.0.12"
# gRPC's own pauses between two questions to a name server grow by 1.6 from a second on: after so long the next is
# farther away than a peer may stay unseen.
AWAY_SECONDS = 11.0
SEEN_WITHIN_SECONDS = 3.0


@pytest.fixture
def names() -> Iterator[Names]:
    with naming() as names:
        yield names


@contextlib.asynccontextmanager
async def replica(address: str, port: int) -> AsyncIterator[None]:
    async with serving(f"{address}:{port}", [Echo(address).register()], [], {}, OFF, Site()):
        yield


async def until_answered(ask: Callable[..., Awaitable[bytes]]) -> tuple[float, bytes]:
    """How long it takes until a call succeeds, and who answers it."""
    began = time.monotonic()
    while True:
        try:
            answer = await ask(b"", timeout=1)
        except MeshError:
            await asyncio.sleep(0.05)
        else:
            return time.monotonic() - began, answer


async def unseen_seconds(fault: Fault, *, is_known: bool) -> float:
    """How long a peer stays unseen after it was away for long, and its name was as the fault says meanwhile."""
    port = free_port()
    with naming() as names:
        names.addresses = [FIRST]
        async with channel.dial(names.target(port), OFF) as dialled:
            ask = now(dialled)
            if is_known:
                async with replica(FIRST, port):
                    assert await ask(b"") == FIRST.encode()
            names.fault = fault
            ends = time.monotonic() + AWAY_SECONDS
            while time.monotonic() < ends:
                with pytest.raises(MeshError):
                    await ask(b"", timeout=1)
                await asyncio.sleep(0.1)
            async with replica(FIRST, port):
                names.fault = ""
                seconds, _ = await until_answered(ask)
                return seconds


async def test_a_peer_that_was_away_for_long_is_seen_soon() -> None:
    faults: tuple[Fault, ...] = ("", "NXDOMAIN", "SERVFAIL", "silence")
    kinds = [(fault, is_known) for fault in faults for is_known in (True, False)]
    unseen = await asyncio.gather(*(unseen_seconds(fault, is_known=is_known) for fault, is_known in kinds))
    late = {kind: seconds for kind, seconds in zip(kinds, unseen, strict=True) if seconds > SEEN_WITHIN_SECONDS}
    assert late == {}


async def test_a_peer_that_comes_back_elsewhere_is_seen_soon(names: Names) -> None:
    port = free_port()
    names.addresses = [FIRST]
    async with channel.dial(names.target(port), OFF) as dialled:
        ask = now(dialled)
        async with replica(FIRST, port):
            assert await ask(b"") == FIRST.encode()
        names.fault = "NXDOMAIN"
        with pytest.raises(Unavailable):
            await ask(b"", timeout=1)
        async with replica(SECOND, port):
            names.fault, names.addresses = "", [SECOND]
            seconds, answered = await until_answered(ask)
    assert answered == SECOND.encode()
    assert seconds < SEEN_WITHIN_SECONDS


async def test_who_is_away_costs_a_name_server_two_questions_a_second_at_most(names: Names) -> None:
    async with channel.dial(names.target(free_port()), OFF) as dialled:
        ask = now(dialled)
        began = time.monotonic()
        while time.monotonic() < began + 4:
            with pytest.raises(MeshError):
                await ask(b"", timeout=1)
    seconds = time.monotonic() - began
    assert names.asked <= 2 * 2 * seconds + 4  # A and AAAA


async def test_a_rollout_fails_no_call_while_names_are_answered_from_a_cache(names: Names) -> None:
    """As on a real node: the name server goes on listing the old replica for half a minute."""
    port = free_port()
    names.addresses = [FIRST]
    async with virtual_address() as virtual:
        virtual.ready = [f"{FIRST}:{port}"]
        target = f"{names.target(port)} {HERE}:{virtual.port}"
        answered: set[bytes] = set()
        async with channel.dial(target, OFF) as dialled, contextlib.AsyncExitStack() as old:
            ask = now(dialled)
            await old.enter_async_context(replica(FIRST, port))
            assert await ask(b"") == FIRST.encode()
            async with replica(SECOND, port):
                virtual.ready = [f"{SECOND}:{port}"]
                ending = asyncio.create_task(old.aclose())
                ends = time.monotonic() + 4
                while time.monotonic() < ends:
                    answered.add(await ask(b"", timeout=5))
                await ending
                names.addresses = [SECOND]  # the cache has ended: the name leads there again
                await _led_by_name(names, ask, virtual_ready=virtual.ready)
    assert SECOND.encode() in answered


async def _led_by_name(names: Names, ask: Callable[..., Awaitable[bytes]], virtual_ready: list[str]) -> None:
    virtual_ready.clear()
    ends = time.monotonic() + SEEN_WITHIN_SECONDS
    while time.monotonic() < ends:
        assert await ask(b"", timeout=5) == SECOND.encode()


async def test_two_replicas_are_rolled_one_by_one_and_no_call_fails_or_waits_long(names: Names) -> None:
    port = free_port()
    old, new = (FIRST, SECOND), ("127.0.0.13", "127.0.0.14")
    names.addresses = [*old]  # for good: the cache outlives the rollout
    async with (
        virtual_address() as virtual,
        channel.dial(f"{names.target(port)} {HERE}:{virtual.port}", OFF) as dialled,
    ):
        ask, slowest = now(dialled), 0.0
        running = {address: asyncio.create_task(serving_until_cancelled(address, port)) for address in old}
        virtual.ready = [f"{address}:{port}" for address in old]
        for going, coming in zip(old, new, strict=True):
            running[coming] = asyncio.create_task(serving_until_cancelled(coming, port))
            virtual.ready = [*virtual.ready[1:], f"{coming}:{port}"]
            running[going].cancel()
            ends = time.monotonic() + 2
            while (began := time.monotonic()) < ends:
                assert (await ask(b"", timeout=5)).decode() in (*old, *new)
                slowest = max(slowest, time.monotonic() - began)
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)
    assert slowest < 2.5


async def serving_until_cancelled(address: str, port: int) -> None:
    async with replica(address, port):
        await asyncio.Event().wait()


async def test_where_the_name_is_not_known_the_second_way_is_taken_at_once(names: Names) -> None:
    names.fault = "NXDOMAIN"
    port = free_port()
    async with (
        replica(FIRST, port),
        channel.dial(f"{names.target(port)} {FIRST}:{port}", OFF) as dialled,
    ):
        ask = now(dialled)
        assert await ask(b"", timeout=5) == FIRST.encode()
        began = time.monotonic()
        for _ in range(50):
            assert await ask(b"", timeout=5) == FIRST.encode()
        assert time.monotonic() - began < 1


async def test_where_the_name_server_is_silent_the_second_way_is_taken_within_the_deadline(names: Names) -> None:
    names.fault = "silence"
    port = free_port()
    async with (
        replica(FIRST, port),
        channel.dial(f"{names.target(port)} {FIRST}:{port}", OFF) as dialled,
    ):
        assert await now(dialled)(b"", timeout=5) == FIRST.encode()


async def test_a_stream_takes_the_way_that_leads_somewhere(names: Names) -> None:
    names.fault = "NXDOMAIN"
    port = free_port()
    async with (
        replica(FIRST, port),
        channel.dial(f"{names.target(port)} {FIRST}:{port}", OFF) as dialled,
    ):
        await now(dialled)(b"", timeout=5)
        call = stream(dialled)(b"")
        assert await call.read() == FIRST.encode()
        call.cancel()


async def test_what_a_service_itself_refuses_is_asked_of_nobody_else() -> None:
    class Away(Echo):
        count = 0

        async def now(self, request: bytes, context: object) -> bytes:
            self.count += 1
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "The store cannot be reached.")

    away, other = Away("away"), Echo("other")
    async with (
        serving("127.0.0.1:0", [away.register()], [], {}, OFF) as first,
        serving("127.0.0.1:0", [other.register()], [], {}, OFF) as second,
        channel.dial(f"{HERE}:{first} {HERE}:{second}", OFF) as dialled,
    ):
        with pytest.raises(Unavailable, match="The store cannot be reached"):
            await now(dialled)(b"", timeout=2)
    assert away.count == 4  # the retries of one way


async def test_both_ways_together_take_no_longer_than_the_deadline() -> None:
    class Silent(Echo):
        async def now(self, request: bytes, context: object) -> bytes:
            await asyncio.Event().wait()
            return b""

    async with (
        serving("127.0.0.1:0", [Silent("s").register()], [], {}, OFF) as port,
        channel.dial(f"{HERE}:1 {HERE}:{port}", OFF) as dialled,
    ):
        began = time.monotonic()
        with pytest.raises(MeshError):
            await now(dialled)(b"", timeout=1.5)
        assert time.monotonic() - began < 2
