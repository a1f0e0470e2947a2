"""One way to dial a peer: deadline, retry, load spread over replicas, trace context, errors as they were raised."""

import json
from typing import Final

import grpc

from mesh import deadline
from mesh.interceptors import client_interceptors
from mesh.telemetry import Telemetry

MAX_MESSAGE_BYTES: Final = 32 * 1024 * 1024

# All of the mesh's RPCs may be repeated: effects happen once a position, and duplicates are found by event id.
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
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
    }
)

_OPTIONS: Final = [
    ("grpc.service_config", _SERVICE_CONFIG),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
]


def dial(target: str, telemetry: Telemetry, timeout_seconds: float = deadline.DEFAULT_SECONDS) -> grpc.aio.Channel:
    """A channel to a peer; connects when first used, and again by itself."""
    return grpc.aio.insecure_channel(
        target, options=_OPTIONS, interceptors=client_interceptors(telemetry, timeout_seconds)
    )
