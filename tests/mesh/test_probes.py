"""What a process says of its health, to its callers and to probes: `mesh.process.health`, `mesh.process.site`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mesh.errors import Unavailable
from mesh.observability import telemetry
from mesh.process.health import LIVE
from mesh.process.server import serving
from mesh.process.site import ServerSettings, Site, open_site
from mesh.rpc.tls import TlsSettings
from tests import certificates
from tests.conftest import free_port
from tests.mesh.echo import Echo, later

OFF = telemetry.off()


class Store:
    """A dependency that may be away, or not answer at all."""

    def __init__(self) -> None:
        self.is_away = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def check(self) -> None:
        await self.answers.wait()
        if self.is_away:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "The store cannot be reached.")


class Probe:
    """Asks as the kubelet does."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = health_pb2_grpc.HealthStub(channel)

    async def says(self, name: str = "") -> str:
        answer = await self._stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

    async def becomes(self, status: str, name: str = "") -> None:
        async with asyncio.timeout(10):
            async for answer in self._stub.Watch(health_pb2.HealthCheckRequest(service=name)):
                if health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status) == status:
                    return


@contextlib.asynccontextmanager
async def probed(tls: TlsSettings | None = None) -> AsyncIterator[tuple[Site, Probe]]:
    address = f"127.0.0.1:{free_port()}"
    async with (
        open_site(ServerSettings(address), tls or TlsSettings()) as site,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield site, Probe(channel)


async def test_before_it_serves_a_process_lives_and_is_not_ready() -> None:
    async with probed() as (_, probe):
        assert await probe.says(LIVE) == "SERVING"
        assert await probe.says() == "NOT_SERVING"


async def test_readiness_follows_the_store_and_life_does_not() -> None:
    store = Store()
    async with probed() as (site, probe), serving("127.0.0.1:0", [], ["a.B"], {"state": store.check}, OFF, site):
        for is_away, status in ((False, "SERVING"), (True, "NOT_SERVING"), (False, "SERVING")):
            store.is_away = is_away
            await probe.becomes(status)
            await probe.becomes(status, "a.B")
            assert await probe.says(LIVE) == "SERVING"


async def test_a_check_that_raises_what_it_should_not_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    store, faults = Store(), [ValueError("of a driver"), KeyError("of a driver")]

    async def check() -> None:
        if faults:
            raise faults.pop()
        await store.check()

    async with probed() as (site, probe), serving("127.0.0.1:0", [], ["a.B"], {"state": check}, OFF, site):
        await probe.becomes("SERVING")
        assert not faults
        faults.append(RuntimeError("of a driver"))
        await probe.becomes("NOT_SERVING", "a.B")
        assert await probe.says(LIVE) == "SERVING"
        await probe.becomes("SERVING", "a.B")
    logged = [record.getMessage() for record in caplog.records if record.name == "mesh.process.health"]
    assert any(text.startswith("not ready. state: ") and "RuntimeError" in text for text in logged)


async def test_a_process_is_not_ready_before_its_store_has_answered() -> None:
    store = Store()
    store.answers.clear()
    async with probed() as (site, probe), serving("127.0.0.1:0", [], [], {"state": store.check}, OFF, site):
        assert await probe.says() == "NOT_SERVING"
        store.answers.set()
        await probe.becomes("SERVING")


async def test_who_drains_is_not_ready_at_once_and_its_calls_go_on() -> None:
    echo, stop = Echo("here"), asyncio.Event()

    async def serve(site: Site, started: "asyncio.Future[int]") -> None:
        async with serving("127.0.0.1:0", [echo.register()], [], {}, OFF, site) as port:
            started.set_result(port)
            await stop.wait()

    async with probed() as (site, probe):
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        served = asyncio.create_task(serve(site, started))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{await started}") as channel:
            await probe.becomes("SERVING")
            call = asyncio.ensure_future(later(channel)(b""))
            await echo.begun.wait()
            stop.set()
            await probe.becomes("NOT_SERVING")
            assert await probe.says(LIVE) == "SERVING"
            assert not call.done()
            echo.may_end.set()
            assert await call == b"here"
            await served


async def test_probes_need_no_certificate(tmp_path: Path) -> None:
    files = certificates.issue(tmp_path, trustme.CA())
    async with probed(certificates.settings(files)) as (site, probe), serving("127.0.0.1:0", [], [], {}, OFF, site):
        await probe.becomes("SERVING")


async def test_an_address_that_is_taken_ends_the_start() -> None:
    async with probed(), serving("127.0.0.1:0", [], [], {}, OFF) as port:
        with pytest.raises(SystemExit, match="is taken"):
            async with open_site(ServerSettings(f"127.0.0.1:{port}"), TlsSettings()):
                pass
