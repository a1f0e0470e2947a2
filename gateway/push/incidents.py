"""Pushes the incidents of a tenant's key figures: first those there are, then each as it changes.

A change has a sequence; a client that comes back with it is told only what changed since. Events have it as their `id`,
frames as `sequence`. Nothing waits for a slow client: it is told of all that changed meanwhile at once.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import msgspec

from gateway.core import Core
from gateway.formats.rendering import render
from gateway.http import cors, problems
from gateway.http.admission import STREAM_RETRY_SECONDS
from gateway.http.asgi import Request, Socket, Stream
from gateway.push.sse import HEADERS, HEARTBEAT_SECONDS
from gateway.push.watching import Incidents, Watch, watch_incidents
from mesh.errors import InvalidArgument

EVENT: Final = "incidents"
"""The name of the events, and the type of the frames."""


class Unheard(msgspec.Struct, tag_field="type", tag="problem"):
    """That a frame was not taken: the socket takes none."""

    problem: problems.Problem


async def stream_incidents(core: Core, request: Request) -> Stream:
    """Streams incidents as server-sent events until the client leaves or the process ends.

    Raises:
        InvalidArgument: what was seen last is no sequence.
        MeshError: too many streams are open; the service refused.
    """
    seen = request.header(b"last-event-id") or request.query.get("lastEventId", "")
    watched = await watch_incidents(core, request.address, request.caller, seen, "lastEventId")
    return Stream(_events(watched), "text/event-stream", HEADERS, watched.close)


async def connect_incidents(core: Core, request: Request) -> Socket:
    """Opens a socket over the same.

    Raises:
        InvalidArgument: the page is of an origin that may not connect; what was seen last is no sequence.
        MeshError: too many streams are open; the service refused.
    """
    if not cors.may_connect(request.scope, core.door.origins):
        raise InvalidArgument("INVALID_PARAMETER", "Pages of this origin may not connect.")
    seen = request.query.get("sequence", "")
    watched = await watch_incidents(core, request.address, request.caller, seen, "sequence")
    return Socket(_frames(watched), _refuse, watched.close)


def event(told: Incidents) -> bytes:
    """What is told, as a server-sent event."""
    return f"id: {told.sequence}\nevent: {EVENT}\ndata: ".encode() + msgspec.json.encode(render(told)) + b"\n\n"


async def _events(watched: Watch[Incidents]) -> AsyncGenerator[bytes, None]:
    yield f"retry: {STREAM_RETRY_SECONDS * 1000:.0f}\n\n".encode()
    async for each in watched.changes(HEARTBEAT_SECONDS):
        yield b": still here\n\n" if each is None else event(each)


async def _frames(watched: Watch[Incidents]) -> AsyncIterator[bytes]:
    async for each in watched.changes():
        if each is not None:
            yield msgspec.json.encode({"type": EVENT, **render(each)})


async def _refuse(request: Request, _message: str | bytes) -> bytes:
    error = InvalidArgument("INVALID_TYPE", "This socket takes no frames.")
    return msgspec.json.encode(Unheard(problems.problem(error, request.trace_id)))
