"""Accepts connections over TLS. A connection has its place from the first byte, and its handshake must end in time."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

from gateway.http.certificate import Certificates
from gateway.http.connections import Connection

# How long a client may take to read what is left and to say goodbye, once the connection closes.
_GOODBYE_SECONDS: Final = 5.0
# How long to wait for files, when the process or the machine has no more.
_PAUSE_SECONDS: Final = 0.1

_log = logging.getLogger(__name__)


async def accept(listener: socket.socket, certificates: Certificates, connection: Callable[[], Connection]) -> None:
    """Accepts connections until cancelled, which ends the handshakes under way. Each gets the certificate of now.

    Beyond the limit a connection is closed at once: without a handshake it cannot be told why.
    """
    listener.setblocking(False)
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as handshakes:
        while True:
            try:
                client, peer = await loop.sock_accept(listener)
            except OSError as error:
                _log.warning("cannot accept connections now: %s", error.strerror)
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            opening = connection()
            if opening.take_place(peer[0]) is None:
                handshakes.create_task(_shake_hands(client, certificates, opening))
            else:
                client.close()


async def _shake_hands(client: socket.socket, certificates: Certificates, connection: Connection) -> None:
    """Opens the connection; if the handshake fails or takes too long, its place is free again."""
    try:
        # Otherwise answers wait 40 ms for an acknowledgement.
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: connection,
            client,
            ssl=certificates.identity().context,
            ssl_handshake_timeout=connection.limits.read_timeout.seconds,
            ssl_shutdown_timeout=_GOODBYE_SECONDS,
        )
    except OSError as error:  # no TLS, too slow, or gone
        _log.debug("a handshake failed: %s", error)
    finally:
        connection.give_up()
