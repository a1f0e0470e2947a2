"""Interventions over a WebSocket: pushes what waits at every change, and takes the outcomes that the client reports.

The cursor is that of polls and event streams. Frames are JSON texts, distinguished by their `type`.
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
from gateway.push.watching import Pending, Watch, watch
from mesh.errors import InvalidArgument
from mesh.keys import Scope

CHANGE: Final = "intervention"
"""The type of frames with what waits."""
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
        InvalidArgument: the page is of an origin that may not connect.
        MeshError: the caller may not act for this user; too many streams are open; the service refused.
    """
    if not cors.may_connect(request.scope, core.door.origins):
        raise InvalidArgument("INVALID_PARAMETER", "Pages of this origin may not connect.")
    cursor = request.query.get("cursor", "")
    watched = await watch(core, request.parameters["userId"], request.address, request.caller, cursor)
    return Socket(_frames(watched), functools.partial(_respond, core), watched.close)


async def _frames(watched: Watch[Pending]) -> AsyncIterator[bytes]:
    async for pending in watched.changes():
        if pending is not None:
            yield msgspec.json.encode({"type": CHANGE, **render(pending)})


async def _respond(core: Core, request: Request, message: str | bytes) -> bytes:
    frame = None
    try:
        frame = decoded(message, OutcomeSaid, EXAMPLE)
        request.caller = core.door.admit(request, Scope.HELP)
        request.admit()
        core.admission.enter(request.address, request.caller.tenant)
        try:
            taken = await report(core.peers, core.coalescer, request, frame.id, frame.outcome)
        finally:
            core.admission.leave(request.address, request.caller.tenant)
    except Exception as error:  # noqa: BLE001 - it is reported or logged
        problem = problems.problem(problems.as_mesh_error(error, "An outcome over a socket"), request.trace_id)
        return msgspec.json.encode(Refused(frame.id if frame else None, problem))
    return msgspec.json.encode(OutcomeHeard(frame.id, frame.outcome, taken.event_id, taken.trace_id))
