"""A gateway in the test's own process over recording services."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import httpx

from gateway import peers
from gateway.access.people.sign_in import SignIn
from gateway.app import Application
from gateway.core import Core, bootstrap
from gateway.serving import listen, serve
from gateway.settings import Settings
from gateway.transport.certificate import Certificates
from mesh.clock import Clock, monotonic_clock
from mesh.observability import telemetry
from tests.gateway.fakes import SECONDS, Services
from tests.serving import serving

NOW_US = SECONDS * 1_000_000 + 60_000_000


@dataclasses.dataclass(frozen=True)
class Gateway:
    """The application, the services behind it and a client in front of it."""

    services: Services
    core: Core
    application: Application
    client: httpx.AsyncClient

    async def track(self, *events: dict[str, Any]) -> httpx.Response:
        """Sends a batch."""
        return await self.client.post("/api/events/track", json={"events": events})

    async def post(self, body: bytes, path: str = "/api/events/track", **headers: str) -> httpx.Response:
        """Sends bytes as JSON."""
        given = {"content-type": "application/json"} | headers
        return await self.client.post(path, content=body, headers=given)


@contextlib.asynccontextmanager
async def running(
    traced: telemetry.Telemetry | None = None,
    services: Services | None = None,
    clock: Clock = lambda: NOW_US,
    **members: Any,
) -> AsyncIterator[Gateway]:
    """A gateway called without a network; the services are called over one.

    Unless `members` say otherwise, it stands behind a proxy that is not there, and so takes any `Host`.
    """
    monotonic = members.pop("monotonic", monotonic_clock)
    members = {"trusted_proxies": "192.0.2.1"} | members
    services, tracing = services or Services(), traced or telemetry.off()
    settings = Settings(**members)
    async with serving(services.register, observed_by=tracing) as channel, httpx.AsyncClient() as outside:
        known = peers.over(dict.fromkeys(peers.SERVICES, channel))
        people = SignIn.wanted(settings, outside)
        core = bootstrap(settings, known, tracing, asyncio.Event(), people, monotonic=monotonic)
        application = Application(core, clock)
        transport = httpx.ASGITransport(application, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield Gateway(services, core, application, client)


@contextlib.asynccontextmanager
async def listening(**members: Any) -> AsyncIterator[tuple[Gateway, str]]:
    """A gateway on a free port, and its address."""
    async with running(**members) as gateway:
        listener = listen("127.0.0.1:0")
        settings = gateway.core.settings
        url = f"{'https' if settings.is_tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        stop = gateway.core.closing
        certificates = Certificates.wanted(settings.certificate_file, settings.key_file)
        server = asyncio.create_task(serve(gateway.application, listener, stop, settings, certificates))
        try:
            yield gateway, url
        finally:
            stop.set()
            await server
