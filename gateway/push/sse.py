"""Pushes interventions as server-sent events.

An event's `id` is its cursor; a client that comes back with it in `Last-Event-ID` continues after it.
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
"""The names of the events: help waits; none does any more."""

HEADERS: Final = ((b"x-accel-buffering", b"no"),)
"""Proxies must not buffer."""


async def stream(core: Core, request: Request) -> Stream:
    """Streams what waits for a user, and every change of it, until the client leaves or the process ends.

    Raises:
        MeshError: the caller may not act for this user; too many streams are open; the service refused.
    """
    cursor = request.header(b"last-event-id") or request.query.get("lastEventId", "")
    watched = await watch(core, request.parameters["userId"], request.address, request.caller, cursor)
    return Stream(_frames(watched), "text/event-stream", HEADERS, watched.close)


def frame(pending: Pending) -> bytes:
    """What waits, as a server-sent event."""
    name = EVENT if pending.has_pending_intervention else NO_EVENT
    return f"id: {pending.cursor}\nevent: {name}\ndata: ".encode() + msgspec.json.encode(render(pending)) + b"\n\n"


async def _frames(watched: Watch[Pending]) -> AsyncGenerator[bytes, None]:
    yield f"retry: {STREAM_RETRY_SECONDS * 1000:.0f}\n\n".encode()
    async for pending in watched.changes(HEARTBEAT_SECONDS):
        yield b": still here\n\n" if pending is None else frame(pending)
