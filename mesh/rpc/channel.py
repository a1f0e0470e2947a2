"""One way to dial a peer: deadline, retry, load spread over replicas, trace context, errors as they were raised."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar, cast

import grpc

from mesh.errors import TooLarge
from mesh.observability.telemetry import Telemetry
from mesh.rpc import deadline
from mesh.rpc.interceptors import client_interceptors
from mesh.rpc.peer import Peer, Way
from mesh.rpc.tls import Identity, Tls

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")

MAX_MESSAGE_BYTES: Final = 32 * 1024 * 1024
KEEPALIVE_SECONDS: Final = 10
"""How often a caller that waits for an answer pings its peer."""

# All RPCs of the mesh are idempotent: effects happen once per position, and duplicates are found by event id. A
# draining server answers some late calls as unavailable, and some as cancelled.
_SERVICE_CONFIG: Final = json.dumps(
    {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.02s",
                    "maxBackoff": "0.5s",
                    "backoffMultiplier": 3,
                    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                },
            }
        ],
    }
)

_OPTIONS: Final = [
    ("grpc.service_config", _SERVICE_CONFIG),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Larger requests are not retried.
    ("grpc.per_rpc_retry_buffer_size", MAX_MESSAGE_BYTES),
    # Less than the retries of a call take, so that of two replicas restarted in turn one is found.
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # How long an attempt to connect may take, including its handshake on a busy machine.
    ("grpc.min_reconnect_backoff_ms", 2000),
    # Names are resolved again when a connection ends, at most this often: that is how new replicas are found.
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    # When a silent name server is given up.
    ("grpc.dns_ares_query_timeout", 1500),
    # A machine that is gone is silent: its calls fail once a ping is not answered.
    ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1000),
    ("grpc.http2.ping_timeout_ms", 5000),
    ("grpc.http2.max_pings_without_data", 0),
]


async def in_pieces(
    ask: Callable[[Sequence[_Item]], Awaitable[Sequence[_Answer]]], items: Sequence[_Item]
) -> list[_Answer]:
    """Asks for many items in as few calls as the size of messages allows: a call that is too large is halved.

    Raises:
        TooLarge: a single item is too large.
    """
    try:
        return [*await ask(items)]
    except TooLarge:
        if len(items) == 1:
            raise
    middle = len(items) // 2
    return [*await in_pieces(ask, items[:middle]), *await in_pieces(ask, items[middle:])]


def dial(
    target: str, telemetry: Telemetry, tls: Tls | None = None, timeout_seconds: float = deadline.DEFAULT_SECONDS
) -> grpc.aio.Channel:
    """A channel to a peer; connects on first use and reconnects by itself. Without `tls` in plain text.

    Args:
        target: as in gRPC's naming: `host:port`, `dns:///name:port` for all replicas behind a name, and others.
            Several are separated by spaces, each used if nobody answers by those before it.
        telemetry: the process's tracer.
        tls: the process's identity.
        timeout_seconds: for unary calls without a deadline of their own.
    """

    def way(address: str) -> Way:
        def make(identity: Identity | None) -> grpc.aio.Channel:
            interceptors = client_interceptors(telemetry)
            if identity is None:
                return grpc.aio.insecure_channel(address, options=_OPTIONS, interceptors=interceptors)
            credentials = identity.as_client()
            return grpc.aio.secure_channel(address, credentials, options=_OPTIONS, interceptors=interceptors)

        return Way(make, tls)

    return cast("grpc.aio.Channel", Peer([way(address) for address in target.split()], timeout_seconds))
