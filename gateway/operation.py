"""Routes for those who run the gateway: health and metrics."""

import msgspec

from gateway import metrics, problems
from gateway.core import Core
from gateway.web import Answer, Request, json
from mesh.errors import Unavailable


class State(msgspec.Struct):
    """Whether the gateway lives or is ready."""

    status: str


async def healthz(_core: Core, _request: Request) -> Answer:
    """The process lives."""
    return json(State("alive"))


async def readyz(core: Core, request: Request) -> Answer:
    """Every service says it serves."""
    lost = await core.peers.lost()
    if not lost:
        return json(State("ready"))
    error = Unavailable("DEPENDENCY_UNAVAILABLE", f"Not ready: {', '.join(lost)}.")
    return problems.answer(error, request.trace_id, services=lost)


async def counts(core: Core, _request: Request) -> Answer:
    """What was counted since the start, for Prometheus."""
    return Answer(200, core.metrics.render(), metrics.CONTENT_TYPE)
