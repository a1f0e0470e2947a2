"""Routes of the published Segment clients.

The write key is accepted and not looked at, wherever it stands. As Segment does, a limit that is passed is answered
400, and a body may be said to be text, which browsers send to other origins without asking first.
"""

import msgspec

from gateway import acceptance, problems
from gateway.acceptance import Tracked, Warned, accept
from gateway.core import Core
from gateway.problems import Rejected
from gateway.routing import Serve
from gateway.segment import batch
from gateway.segment.batch import Cut
from gateway.segment.messages import Reader
from gateway.splicing import with_members
from gateway.web import Answer, Request, json
from mesh.errors import InvalidArgument


class Taken(msgspec.Struct, rename="camel"):
    """What became of a request's messages: what Segment answers, and a verdict each."""

    success: bool
    accepted: int
    duplicates: int
    rejected: list[Rejected]
    event_ids: list[str | None]
    trace_id: str
    warnings: list[Warned]


def one(kind: str) -> Serve:
    """What takes one message of a kind, which its path says."""

    async def take(core: Core, request: Request) -> Answer:
        try:
            body = await request.told_body()
        except InvalidArgument as error:
            return _refused(error, request)
        # The last member of a name counts, so that the body cannot say otherwise.
        return await _accepted(core, request, Cut([with_members(body, {"type": kind})], Reader()))

    return take


class Heard(msgspec.Struct):
    """What Segment answers."""

    success: bool


async def many(core: Core, request: Request) -> Answer:
    """Takes a batch of messages."""
    try:
        cut = batch.split(await request.told_body())
        request.require_few(len(cut.messages))
    except InvalidArgument as error:
        return _refused(error, request)
    return await _accepted(core, request, cut)


async def metrics(_core: Core, request: Request) -> Answer:
    """Takes what a client has counted of itself, and keeps nothing of it."""
    await request.body()
    return json(Heard(success=True))


async def _accepted(core: Core, request: Request, cut: Cut) -> Answer:
    tracked: Tracked = await accept(core, request, cut.messages, cut.reader.read)
    error = acceptance.refusal_of(tracked)
    if error is not None:
        return problems.answer(error, request.trace_id, rejected=tracked.rejected)
    return json(Taken(True, *msgspec.structs.astuple(tracked)))


def _refused(error: InvalidArgument, request: Request) -> Answer:
    return problems.answer(error, request.trace_id, code=400 if error.reason == "REQUEST_TOO_LARGE" else None)
