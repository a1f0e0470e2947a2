"""Serves the application over HTTP until the process is to end."""

import asyncio
import contextlib
import ipaddress
import logging
import resource
import socket
import sys
from collections.abc import Iterator
from typing import Final

import uvicorn

from gateway.app import Application
from gateway.http.slow_clients import ReadTimeout, drop_slow_readers
from gateway.settings import Settings
from gateway.transport.acceptor import Acceptor
from gateway.transport.certificate import Certificates
from gateway.transport.connections import Connection, ConnectionLimits, SocketConnection
from mesh.retry import ExitForNow

_DRAIN_SECONDS: Final = 20
# Longer than load balancers keep idle connections, so that they close first.
_KEEP_ALIVE_SECONDS: Final = 75
_BACKLOG: Final = 2048
# Open files besides the clients' connections: logs, channels, libraries.
_OTHER_FILES: Final = 256
# Clients report outcomes, nothing longer.
_MESSAGE_BYTES: Final = 4096
_PING_SECONDS: Final = 20.0
_INTERVAL_SECONDS: Final = 0.05
# A client that acknowledges nothing for this long, as in a tunnel, is considered gone.
_GONE_MILLISECONDS: Final = 60_000

_WARNINGS: Final = {
    "required": "Listening for other machines without TLS: set JOURNEYMESH_HTTP_CERTIFICATE_FILE and _KEY_FILE, or let "
    "a proxy that terminates TLS stand in front.",
    "elsewhere": "Listening for other machines, and requests need no key: whoever gets through may do everything.",
}

_log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, listener: socket.socket, certificates: Certificates | None) -> None:
        super().__init__(config)
        self._acceptor = Acceptor(listener, certificates, self._connection)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - the acceptor has it
        """Accepts by itself; see the acceptor."""
        await super().startup([])
        self._acceptor.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes the port, then what the library serves."""
        await self._acceptor.leave()
        await super().shutdown(sockets)

    def _connection(self) -> Connection:
        protocol: type[Connection] = self.config.http_protocol_class  # type: ignore[assignment]
        return protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to the composition root, which has more to close than the server."""
        yield


def listen(address: str, keys: str = "none", *, is_tls: bool = False) -> socket.socket:
    """A socket that listens on `host:port`; exits with one sentence if it fails or lets strangers in."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        number = range(65_536).index(int(port))
        found = socket.getaddrinfo(host or None, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, where = found[0]
    except (OSError, ValueError):
        sys.exit(f"journeymesh: {address} is no address to listen on; JOURNEYMESH_HTTP_ADDRESS must be host:port.")
    # With an explicit protocol asyncio disables Nagle's algorithm; otherwise answers wait 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # connections inherit it; elsewhere the system's default applies
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GONE_MILLISECONDS)
    try:
        listener.bind(where)
        listener.listen(_BACKLOG)
    except OSError as error:
        sentence = f"journeymesh: cannot listen on {address}: {error.strerror}; end what does, or set another address."
        raise ExitForNow(sentence) from None
    if not is_loopback(where[0]):
        if keys == "none":
            listener.close()
            sys.exit(
                f"journeymesh: {address} can be reached from other machines, and requests need no key. "
                "Set JOURNEYMESH_KEYS=required, or listen on 127.0.0.1."
            )
        if keys != "required" or not is_tls:
            _log.warning("%s", _WARNINGS[keys])
    return listener


def is_loopback(host: object) -> bool:
    """Whether the host can be reached from this machine only."""
    return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback


def connections_within_files(wanted: int) -> int:
    """How many of the wanted connections the process has files for; raises its limit if it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - _OTHER_FILES))


async def serve(
    application: Application,
    listener: socket.socket,
    stop: asyncio.Event,
    settings: Settings,
    certificates: Certificates | None = None,
) -> None:
    """Serves until `stop` is set, then lets clients leave and requests in progress finish.

    With certificates it serves over TLS.
    """
    max_connections = connections_within_files(settings.connection_count)
    limits = ConnectionLimits.of(
        max_connections,
        settings.address_percent,
        settings.proxies,
        ReadTimeout(settings.body_seconds),
        application.refusal,
    )
    config = uvicorn.Config(
        application,
        http=type("ServerConnection", (Connection,), {"limits": limits}),
        ws=type("ServerSocketConnection", (SocketConnection,), {"limits": limits}),
        ws_max_size=_MESSAGE_BYTES,
        ws_ping_interval=_PING_SECONDS,
        ws_ping_timeout=_PING_SECONDS,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    server = _Server(config, listener, certificates)
    serving = asyncio.create_task(server.serve())
    looking = asyncio.create_task(drop_slow_readers(server.server_state.connections))
    stopping = asyncio.create_task(stop.wait())
    without_keys = ": requests need no key, and only this machine can send them" if settings.keys == "none" else ""
    scheme = "https" if certificates else "http"
    _log.info("listening on %s://%s:%d%s", scheme, *listener.getsockname()[:2], without_keys)
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not serving.done():
        _log.info("leaving")
        await _leave(server, settings.leave_seconds)
    server.should_exit = True
    await serving
    looking.cancel()


async def _leave(server: uvicorn.Server, seconds: float) -> None:
    """Returns once no connection is open, or after this many seconds."""
    ends = asyncio.get_running_loop().time() + seconds
    while server.server_state.connections and asyncio.get_running_loop().time() < ends:  # noqa: ASYNC110 - nothing signals it
        await asyncio.sleep(_INTERVAL_SECONDS)
