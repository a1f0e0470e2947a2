"""Interventions pushed to a client as server-sent events.

Every event's `id` is the cursor of what it tells; a client that comes back with it in `Last-Event-ID` goes on after it.
A slow client holds back its own stream alone: nothing is read from the service until what was read is sent.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

import grpc
import msgspec
from journeymesh.intervention.v1 import intervention_pb2

from gateway.core import Core
from gateway.rendering import render
from gateway.web import Request, Stream
from mesh.errors import Unavailable, from_rpc_error

HEARTBEAT_SECONDS: Final = 15.0

# How long the service, with the channel's retries, may take to refuse before the answer begins. What waits is told at
# once, and silence is no refusal.
_REFUSAL_SECONDS: Final = 0.5
_RETRY_MILLISECONDS: Final = 2000

# Proxies must neither gather nor keep the stream.
_HEADERS: Final = ((b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))

_Watched = intervention_pb2.WatchPendingInterventionResponse


async def stream(core: Core, request: Request) -> Stream:
    """Tells what waits for a user, and every change, until the client leaves or the process ends.

    Raises:
        Unavailable: there are too many streams; or what the service refused with.
    """
    if len(core.streams) >= core.settings.stream_count:
        raise Unavailable("TOO_MANY_STREAMS", "Too many streams are open.", _RETRY_MILLISECONDS / 1000)
    asked = intervention_pb2.WatchPendingInterventionRequest(
        user_id=request.parameters["userId"],
        cursor=request.header(b"last-event-id") or request.query.get("lastEventId", ""),
    )
    call = core.peers.intervention.WatchPendingIntervention(asked)
    reading = asyncio.ensure_future(call.read())
    await asyncio.wait((reading,), timeout=_REFUSAL_SECONDS)
    if reading.done():
        _raise_refusal(reading)
    return Stream(_frames(core, call, reading), "text/event-stream", _HEADERS)


def frame(change: _Watched) -> bytes:
    """One change as a server-sent event."""
    has_pending = change.HasField("intervention")
    data = msgspec.json.encode(
        {"hasPendingIntervention": has_pending, "intervention": render(change.intervention) if has_pending else None}
    )
    name = "intervention" if has_pending else "none"
    return f"id: {change.cursor}\nevent: {name}\ndata: ".encode() + data + b"\n\n"


async def _frames(core: Core, call: Any, reading: "asyncio.Future[Any]") -> AsyncGenerator[bytes, None]:  # noqa: ANN401 - grpc's own
    closing = asyncio.ensure_future(core.closing.wait())
    core.streams.add(closing)
    try:
        yield f"retry: {_RETRY_MILLISECONDS}\n\n".encode()
        while True:
            await asyncio.wait((reading, closing), timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if closing.done() or (reading.done() and _has_ended(reading)):
                return  # the client comes back by itself, with its cursor
            if reading.done():
                yield frame(reading.result())
                reading = asyncio.ensure_future(call.read())
            else:
                yield b": still here\n\n"
    finally:
        core.streams.discard(closing)
        closing.cancel()
        reading.cancel()
        call.cancel()


def _has_ended(reading: "asyncio.Future[Any]") -> bool:
    return reading.exception() is not None or reading.result() is grpc.aio.EOF


def _raise_refusal(reading: "asyncio.Future[Any]") -> None:
    error = reading.exception()
    if isinstance(error, grpc.aio.AioRpcError):
        raise from_rpc_error(error) from error
    if error is not None:
        raise error
