"""Interventions over a WebSocket: what waits is told at every change, and the client says what became of it.

The cursor is that of the poll and of the event stream. Frames are texts of JSON, told apart by their `type`.
"""

import functools
from collections.abc import AsyncIterator
from typing import Annotated, Final, Literal

import msgspec

from gateway.accepting.outcomes import report
from gateway.core import Core
from gateway.formats.json.refusal import decoded
from gateway.formats.rendering import render
from gateway.formats.schema import OUTCOMES
from gateway.http import cors, problems
from gateway.http.asgi import Request, Socket
from gateway.push.watching import Watch, watch
from mesh.errors import InvalidArgument

CHANGE: Final = "intervention"
"""The type of the frames that tell what waits."""
EXAMPLE: Final = '{"type":"outcome","id":"ID","outcome":"accepted"}'
"""A frame that a client may send."""


class OutcomeSaid(msgspec.Struct, forbid_unknown_fields=True):
    """What a client says became of an intervention."""

    type: Literal["outcome"]
    id: str
    outcome: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(OUTCOMES)})]


class OutcomeHeard(msgspec.Struct, tag_field="type", tag="outcome_taken", rename="camel"):
    """That an outcome was taken, and the event that carries it."""

    id: str
    outcome: str
    event_id: str
    trace_id: str


class Refused(msgspec.Struct, tag_field="type", tag="problem"):
    """That a frame was not taken, and why; the id is null where none was readable."""

    id: str | None
    problem: problems.Problem


async def connect(core: Core, request: Request) -> Socket:
    """Opens a socket over what waits for a user.

    Raises:
        InvalidArgument: a page of another origin asks.
        MeshError: there are too many streams; or what the service refused with.
    """
    if not cors.may_connect(request.scope, cors.origins(core.settings.cors_origins)):
        raise InvalidArgument("INVALID_PARAMETER", "Pages of this origin may not connect.")
    watched = await watch(core, request.parameters["userId"], request.address, request.query.get("cursor", ""))
    return Socket(_frames(watched), functools.partial(_hear, core), watched.close)


async def _frames(watched: Watch) -> AsyncIterator[bytes]:
    async for pending in watched.changes():
        if pending is not None:
            yield msgspec.json.encode({"type": CHANGE, **render(pending)})


async def _hear(core: Core, request: Request, message: str | bytes) -> bytes:
    said = None
    try:
        said = decoded(message, OutcomeSaid, EXAMPLE)
        core.intake.enter(request.address)
        try:
            taken = await report(core.peers, core.coalescer, request, said.id, said.outcome)
        finally:
            core.intake.leave(request.address)
    except Exception as error:  # noqa: BLE001 - what it is, is told or logged
        told = problems.problem(problems.understood(error, "An outcome over a socket"), request.trace_id)
        return msgspec.json.encode(Refused(said.id if said else None, told))
    return msgspec.json.encode(OutcomeHeard(said.id, said.outcome, taken.event_id, taken.trace_id))
