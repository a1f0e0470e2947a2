"""Routes for those who run the gateway: health, metrics, and how far the readers of the stream are."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
from journeymesh.ingest.v1 import ingest_pb2
from journeymesh.intervention.v1 import intervention_pb2

from gateway import metrics, problems
from gateway.core import Core
from gateway.rendering import render
from gateway.web import Answer, Request, json
from mesh.errors import MeshError, Unavailable

# What a scrape asks services for; it answers without it where it takes longer.
_ASKING_SECONDS: Final = 1.0


class State(msgspec.Struct, omit_defaults=True):
    """Whether the gateway lives or is ready, and what to look after although it is."""

    status: str
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET


async def healthz(_core: Core, _request: Request) -> Answer:
    """The process lives."""
    return json(State("alive"))


async def readyz(core: Core, request: Request) -> Answer:
    """Every service says it serves.

    A reader that is in trouble makes nothing unready: events are taken and wait in the stream, and a gateway taken out
    of service would refuse them. It is a warning.
    """
    lost = await core.peers.lost()
    if lost:
        error = Unavailable("DEPENDENCY_UNAVAILABLE", f"Not ready: {', '.join(lost)}.")
        return problems.answer(error, request.trace_id, services=lost)
    warnings = [warning for one in await _standings(core) if (warning := _warning(one))]
    return json(State("ready", warnings or msgspec.UNSET))


async def pipeline(core: Core, _request: Request) -> Answer:
    """How far each reader of the stream has come on each shard."""
    return json(render(await core.peers.ingest.GetPipeline(ingest_pb2.GetPipelineRequest())))


async def counts(core: Core, _request: Request) -> Answer:
    """What was counted, for Prometheus; how far the readers are and what models cost, where that is known."""
    standings, usage = await asyncio.gather(_standings(core), _model_usage(core))
    core.metrics.tell_standings(standings)
    core.metrics.tell_model_usage(usage)
    return Answer(200, core.metrics.render(), metrics.CONTENT_TYPE)


async def _standings(core: Core) -> Sequence[ingest_pb2.ShardStanding]:
    try:
        asked = core.peers.ingest.GetPipeline(ingest_pb2.GetPipelineRequest(), timeout=_ASKING_SECONDS)
        return (await asked).standings
    except MeshError:
        return ()


async def _model_usage(core: Core) -> intervention_pb2.GetModelUsageResponse | None:
    try:
        asked = intervention_pb2.GetModelUsageRequest()
        return await core.peers.intervention.GetModelUsage(asked, timeout=_ASKING_SECONDS)
    except MeshError:
        return None


def _warning(one: ingest_pb2.ShardStanding) -> str:
    if one.is_ended or (one.owner and not one.trouble):
        return ""
    return f"{one.reader}, shard {one.shard}: {one.trouble or 'Nobody reads it.'}"
