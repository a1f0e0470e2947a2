"""Pushes what happens to the users of a tenant, as server-sent events.

Nothing of it is kept, so that events have no id: a client that comes back looks at the lists for what it has missed.
"""

from collections.abc import AsyncGenerator
from typing import Final

import msgspec

from gateway.core import Core
from gateway.formats.rendering import render
from gateway.http.admission import STREAM_RETRY_SECONDS
from gateway.http.asgi import Request, Stream
from gateway.push.sse import HEADERS, HEARTBEAT_SECONDS
from gateway.push.watching import Happenings, Watch, watch_happenings

EVENT: Final = "happenings"
"""The name of the events. The first says nothing but that all later happenings will be told."""


async def happenings(core: Core, request: Request) -> Stream:
    """Streams what happens until the client leaves or the process ends.

    Raises:
        MeshError: too many streams are open; the service refused.
    """
    watched = await watch_happenings(core, request.address, request.caller)
    return Stream(_frames(watched), "text/event-stream", HEADERS, watched.close)


async def _frames(watched: Watch[Happenings]) -> AsyncGenerator[bytes, None]:
    yield f"retry: {STREAM_RETRY_SECONDS * 1000:.0f}\n\n".encode()
    async for each in watched.changes(HEARTBEAT_SECONDS):
        yield b": still here\n\n" if each is None else frame(each)


def frame(happened: Happenings) -> bytes:
    """What happened, as a server-sent event."""
    return f"event: {EVENT}\ndata: ".encode() + msgspec.json.encode(render(happened)) + b"\n\n"
