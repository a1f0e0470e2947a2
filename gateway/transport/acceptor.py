"""Accepts connections, over TLS or not, and takes leave of the port without failing a client.

The server underneath would stop accepting and close the port in two steps; whoever connected in between, or sat in the
kernel's queue, would see the connection reset. Over TLS it would keep its certificate for ever, and handshakes without
a limit.
"""

import asyncio
import ctypes
import logging
import socket
import struct
import sys
from collections.abc import Callable, Coroutine
from typing import Final

from gateway.transport.certificate import Certificates
from gateway.transport.connections import Connection

# How long a client may take to read what is left and to say goodbye, once the connection closes.
_GOODBYE_SECONDS: Final = 5.0
# How long handshakes may still take when the port is closed.
_LAST_HANDSHAKES_SECONDS: Final = 1.0
# How long connections that had begun before the port takes no new ones may need to arrive.
_LAST_ARRIVALS_SECONDS: Final = 0.1
# A packet filter (classic BPF, as code, two jumps and operand): drops what has SYN and not ACK in the flags of TCP.
_DROPS_NEW: Final = (
    (0x30, 0, 0, 13),
    (0x54, 0, 0, 0x12),
    (0x15, 0, 1, 0x02),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
)
_SO_ATTACH_FILTER: Final = 26
# How long to wait for files, when the process or the machine has no more.
_PAUSE_SECONDS: Final = 0.1
# How many connections to accept before others are served again.
_AT_ONCE: Final = 64

_log = logging.getLogger(__name__)


class Acceptor:
    """Accepts the connections of one listener, from `start` to `leave`. Over TLS each gets the certificate of now.

    Over TLS a connection has its place from the first byte, and its handshake must end in time; beyond the limit it is
    closed at once, because without a handshake it cannot be told why.
    """

    def __init__(
        self, listener: socket.socket, certificates: Certificates | None, connection: Callable[[], Connection]
    ) -> None:
        self._listener = listener
        self._certificates = certificates
        self._connection = connection
        self._opening: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accepts from now on."""
        self._listener.setblocking(False)
        self._resume()

    async def leave(self) -> None:
        """Accepts whoever has connected, closes the port, and returns once their connections are open or have failed.

        First the kernel takes no new connections, where it can do that: closing would reset those that came between the
        last look into its queue and the close. A client that tries meanwhile tries again after a second, and is
        refused. Handshakes have a moment to end.
        """
        if _takes_no_new(self._listener):
            await asyncio.sleep(_LAST_ARRIVALS_SECONDS)
        if self._pause is None:
            asyncio.get_running_loop().remove_reader(self._listener)
        else:
            self._pause.cancel()
        try:
            while self._accept():
                pass
        except OSError as error:
            _log.warning("cannot accept the last connections: %s", error.strerror)
        self._listener.close()
        if self._opening:
            await asyncio.wait(self._opening, timeout=_LAST_HANDSHAKES_SECONDS)
        for late in self._opening:
            late.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)

    def _resume(self) -> None:
        self._pause = None
        asyncio.get_running_loop().add_reader(self._listener, self._accept_some)

    def _accept_some(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            for _ in range(_AT_ONCE):
                if not self._accept():
                    break
        except OSError as error:
            _log.warning("cannot accept connections now: %s", error.strerror)
            loop.remove_reader(self._listener)
            self._pause = loop.call_later(_PAUSE_SECONDS, self._resume)

    def _accept(self) -> bool:
        """Accepts the next connection; False if there is none."""
        try:
            client, peer = self._listener.accept()
        except BlockingIOError:
            return False
        except ConnectionAbortedError:  # it left while it waited
            return True
        client.setblocking(False)
        connection = self._connection()
        if self._certificates is None:
            self._open(_take_over(client, connection))
        elif connection.take_place(peer[0]) is None:
            self._open(_shake_hands(client, self._certificates, connection))
        else:
            client.close()
        return True

    def _open(self, opening: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(opening)
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)


async def _take_over(client: socket.socket, connection: Connection) -> None:
    try:
        _send_at_once(client)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, client)
    except OSError as error:
        _log.debug("a connection failed: %s", error)


async def _shake_hands(client: socket.socket, certificates: Certificates, connection: Connection) -> None:
    """Opens the connection; if the handshake fails or takes too long, its place is free again."""
    try:
        _send_at_once(client)
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


def _send_at_once(client: socket.socket) -> None:
    """Otherwise answers wait 40 ms for an acknowledgement. Fails, on some systems, for a client that has left."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _takes_no_new(listener: socket.socket) -> bool:
    """Makes a listener ignore new connections; those that have begun go on. False where the system cannot do that."""
    if sys.platform != "linux":
        return False
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _DROPS_NEW))
    try:
        described = struct.pack("HP", len(_DROPS_NEW), ctypes.addressof(program))
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
    except OSError:
        return False
    return True
