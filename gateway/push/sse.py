"""Interventions pushed to a client as server-sent events.

Every event's `id` is the cursor of what it tells; a client that comes back with it in `Last-Event-ID` goes on after it.
"""

from collections.abc import AsyncGenerator
from typing import Final

import msgspec

from gateway.core import Core
from gateway.formats.rendering import render
from gateway.http.admission import STREAM_RETRY_SECONDS
from gateway.http.asgi import Request, Stream
from gateway.push.watching import Pending, Watch, watch

HEARTBEAT_SECONDS: Final = 15.0
EVENT: Final = "intervention"
NO_EVENT: Final = "none"
"""The names of the events: what waits, and that nothing does any more."""

# Proxies must not gather what is told.
_HEADERS: Final = ((b"x-accel-buffering", b"no"),)


async def stream(core: Core, request: Request) -> Stream:
    """Tells what waits for a user, and every change, until the client leaves or the process ends.

    Raises:
        MeshError: there are too many streams; or what the service refused with.
    """
    cursor = request.header(b"last-event-id") or request.query.get("lastEventId", "")
    watched = await watch(core, request.parameters["userId"], request.address, cursor)
    return Stream(_frames(watched), "text/event-stream", _HEADERS, watched.close)


def frame(pending: Pending) -> bytes:
    """What waits as a server-sent event."""
    name = EVENT if pending.has_pending_intervention else NO_EVENT
    return f"id: {pending.cursor}\nevent: {name}\ndata: ".encode() + msgspec.json.encode(render(pending)) + b"\n\n"


async def _frames(watched: Watch) -> AsyncGenerator[bytes, None]:
    yield f"retry: {STREAM_RETRY_SECONDS * 1000:.0f}\n\n".encode()
    async for pending in watched.changes(HEARTBEAT_SECONDS):
        yield b": still here\n\n" if pending is None else frame(pending)
