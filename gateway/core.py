"""Everything the routes work with, as one value that the composition root makes."""

import asyncio
import dataclasses
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from gateway.accepting.coalescer import Coalescer
from gateway.access.door import Door
from gateway.access.people.sign_in import SignIn
from gateway.http.admission import MIN_ADDRESS_BYTES, AdmissionControl, OpenStreams
from gateway.http.files import File
from gateway.http.rates import Rates
from gateway.http.shares import Shares, share
from gateway.metrics import count_events
from gateway.peers import Peers
from gateway.settings import Settings
from gateway.transport.refusals import Refusals
from mesh.clock import Clock, monotonic_clock
from mesh.observability import registry
from mesh.observability.telemetry import Telemetry

# A service that stays away longer does not keep the gateway from starting; its routes answer 503.
_PATIENCE_SECONDS: Final = 60.0


class Startup:
    """Which services have not been reached since the process began: a kubelet sends no traffic before."""

    def __init__(self, services: Collection[str]) -> None:
        self._unreached = [*services]
        self._began = asyncio.get_running_loop().time()

    def note(self, lost: Collection[str]) -> None:
        """Records which services do not serve now."""
        self._unreached = [name for name in self._unreached if name in lost]

    def unreached(self) -> list[str]:
        """The services to wait for; none once each was reached, or after a minute."""
        waited = asyncio.get_running_loop().time() - self._began
        return self._unreached if waited < _PATIENCE_SECONDS else []


@dataclasses.dataclass(frozen=True)
class Core:
    """The services, the way to ingest, the limits, files for browsers; `closing` is set once the process is to end."""

    settings: Settings
    peers: Peers
    coalescer: Coalescer
    telemetry: Telemetry
    closing: asyncio.Event
    admission: AdmissionControl
    rates: Rates
    refusals: Refusals
    startup: Startup
    streams: OpenStreams
    door: Door
    sign_in: SignIn | None
    files: Mapping[str, File]


def bootstrap(
    settings: Settings,
    peers: Peers,
    telemetry: Telemetry,
    closing: asyncio.Event,
    sign_in: SignIn | None = None,
    files: Mapping[str, File] = MappingProxyType({}),
    monotonic: Clock = monotonic_clock,
) -> Core:
    """Makes the core from its settings and services; without a `sign_in` people do not."""
    wait_seconds = settings.wait_milliseconds / 1000
    waiting = _bound(settings, settings.waiting_bytes, MIN_ADDRESS_BYTES)
    coalescer = Coalescer(peers.accept, telemetry, settings.rpc_events, waiting, wait_seconds)
    admission = AdmissionControl(
        _bound(settings, settings.request_count), _bound(settings, settings.request_bytes, MIN_ADDRESS_BYTES)
    )
    of_users = Shares(settings.stream_count, settings.user_stream_count)
    streams = OpenStreams(_bound(settings, settings.stream_count), of_users)
    count_events(telemetry.metrics, 0, 0, 0)
    for policy in ("key", "tenant"):
        telemetry.metrics.count(registry.RATE_LIMITED_REQUESTS, 0, policy)
    telemetry.metrics.set_gauge(registry.STREAMS, 0)
    door = Door(
        is_key_required=settings.keys == "required",
        is_host_checked=settings.keys == "none" and not settings.trusted_proxies,
        cors_origins=settings.cors_origins,
        cookies=sign_in.cookies if sign_in else None,
        tenant_rate=settings.tenant_rate,
    )
    rates = Rates(monotonic, telemetry.metrics)
    return Core(
        settings,
        peers,
        coalescer,
        telemetry,
        closing,
        admission,
        rates,
        Refusals(rates, monotonic),
        Startup(peers.health),
        streams,
        door,
        sign_in,
        files,
    )


def _bound(settings: Settings, most: int, least: int = 1) -> Shares:
    """A bound, of which addresses and tenants may take their shares, but `least` in any case."""
    of_address, of_tenant = settings.address_percent, settings.tenant_percent
    return Shares(most, share(most, of_address, least), share(most, of_tenant, least))
