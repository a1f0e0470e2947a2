"""A process's place in the mesh: its identity, its health and probes, the age of its connections."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Final

import grpc
from grpc_health.v1 import health_pb2_grpc

from mesh.process.health import Health
from mesh.retry import ExitForNow
from mesh.rpc.callers import ANYBODY
from mesh.rpc.interceptors import Guard
from mesh.rpc.tls import Tls, TlsSettings
from mesh.settings import setting

_PROBE_BYTES: Final = 4096


@dataclasses.dataclass(frozen=True)
class ServerSettings:
    """Probes, reflection, and how long callers keep a connection."""

    probe_listen: str = setting(
        "JOURNEYMESH_PROBE_LISTEN",
        "",
        "Where health alone is served, in plain text, to probes without a certificate: readiness under the empty name, "
        "liveness under `live`. Empty: nowhere.",
    )
    connection_age_seconds: float = setting(
        "JOURNEYMESH_CONNECTION_AGE_SECONDS",
        300.0,
        "After how long callers are asked to reconnect, so that new replicas get their share.",
        minimum=1,
        maximum=86_400,
    )
    reflection: bool = setting(
        "JOURNEYMESH_REFLECTION",
        False,
        "Whether services describe their methods (gRPC reflection), for development tools.",
    )


@dataclasses.dataclass(frozen=True)
class Site:
    """A process's identity, health and connections; without `tls` its calls are in plain text."""

    tls: Tls | None = None
    connection_age_seconds: float = ServerSettings.connection_age_seconds
    is_reflecting: bool = False
    health: Health = dataclasses.field(default_factory=Health)


@contextlib.asynccontextmanager
async def open_site(settings: ServerSettings, tls: TlsSettings) -> AsyncIterator[Site]:
    """Makes this process's site and answers probes within the block. Ends the process if their address is taken."""
    site = Site(Tls.wanted(tls), settings.connection_age_seconds, settings.reflection)
    await site.health.begin()
    if not settings.probe_listen:
        yield site
        return
    server = grpc.aio.server(
        interceptors=[Guard(ANYBODY)],
        options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", _PROBE_BYTES)],
    )
    health_pb2_grpc.add_HealthServicer_to_server(site.health.servicer, server)
    try:
        server.add_insecure_port(settings.probe_listen)
    except RuntimeError:
        sentence = f"journeymesh: {settings.probe_listen} is taken by another process; choose another address."
        raise ExitForNow(sentence) from None
    await server.start()
    try:
        yield site
    finally:
        await server.stop(None)
