"""One way to dial a peer: deadline, retry, load spread over replicas, trace context, errors as they were raised."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar, cast

import grpc

from mesh import deadline
from mesh.errors import TooLarge
from mesh.interceptors import client_interceptors
from mesh.peer import Peer, Way
from mesh.telemetry import Telemetry
from mesh.tls import Identity, Tls

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")

MAX_MESSAGE_BYTES: Final = 32 * 1024 * 1024
KEEPALIVE_SECONDS: Final = 10
"""How often a caller that waits for an answer asks whether the other is still there."""

# All of the mesh's RPCs may be repeated: effects happen once a position, and duplicates are found by event id. A server
# that ends answers some of what reaches it too late as unavailable, and some as cancelled.
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
    # What is larger is not repeated.
    ("grpc.per_rpc_retry_buffer_size", MAX_MESSAGE_BYTES),
    # Less than the retries of a call take: of two replicas that are restarted one after the other, one is found.
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # So long an attempt to connect may take, with its handshake on a busy machine.
    ("grpc.min_reconnect_backoff_ms", 2000),
    # Names are asked for anew when a connection ends, and then as often as this: new replicas are found by it.
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    # A name server that is silent for so long does not answer.
    ("grpc.dns_ares_query_timeout", 1500),
    # A machine that is gone says nothing: without an answer to a ping, its calls end here.
    ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1000),
    ("grpc.http2.ping_timeout_ms", 5000),
    ("grpc.http2.max_pings_without_data", 0),
]


async def in_pieces(
    ask: Callable[[Sequence[_Item]], Awaitable[Sequence[_Answer]]], items: Sequence[_Item]
) -> list[_Answer]:
    """The answers to many items, asked for in as few calls as messages allow: a call that is too large is halved.

    Raises:
        TooLarge: what is told of one item alone is too large.
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
    """A channel to a peer; connects when first used, and again by itself. Without `tls` in plain text.

    Args:
        target: as in gRPC's naming: `host:port`, `dns:///name:port` for all replicas behind a name, and others.
            Further ones follow after a space, each taken where nobody answers by those before it.
        telemetry: the process's tracer.
        tls: the process's identity.
        timeout_seconds: for unary calls that bring no deadline.
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
