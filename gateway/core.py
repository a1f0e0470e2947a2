"""What the routes work with: one value, made in the composition root."""

import asyncio
import dataclasses

from gateway.coalesce import Coalescer
from gateway.intake import LEAST_BYTES, Intake
from gateway.metrics import count_events
from gateway.peers import Peers
from gateway.settings import Settings
from gateway.shares import Shares, share
from gateway.startup import Startup
from gateway.streams import Streams
from mesh import registry
from mesh.telemetry import Telemetry


@dataclasses.dataclass(frozen=True)
class Core:
    """The services, the way events take to ingest, what is under way.

    `closing` is set once the process is to end.
    """

    settings: Settings
    peers: Peers
    coalescer: Coalescer
    telemetry: Telemetry
    closing: asyncio.Event
    intake: Intake
    startup: Startup
    streams: Streams


def assemble(settings: Settings, peers: Peers, telemetry: Telemetry, closing: asyncio.Event) -> Core:
    """The core over services; `closing` tells that the process is to end."""
    wait_seconds = settings.wait_milliseconds / 1000
    percent = settings.address_percent
    waiting = Shares(settings.waiting_bytes, share(settings.waiting_bytes, percent, LEAST_BYTES))
    coalescer = Coalescer(peers.accept, telemetry, settings.rpc_events, waiting, wait_seconds)
    intake = Intake(settings.request_count, settings.request_bytes, percent)
    streams = Streams(settings.stream_count, share(settings.stream_count, percent), settings.user_stream_count)
    count_events(telemetry.metrics, 0, 0, 0)
    telemetry.metrics.tell(registry.STREAMS, 0)
    return Core(settings, peers, coalescer, telemetry, closing, intake, Startup(peers.health), streams)
