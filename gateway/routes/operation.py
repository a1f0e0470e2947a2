"""Routes for operation: health, metrics, and how far the consumers of the stream are."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
from journeymesh.ingest.v1 import ingest_pb2

from gateway.core import Core
from gateway.formats.rendering import render
from gateway.http import problems
from gateway.http.asgi import Answer, Request, json
from mesh.errors import MeshError, NotFound, Unavailable
from mesh.observability import registry
from mesh.observability.metrics import CONTENT_TYPE

# Readiness does not wait longer for how far the consumers are.
_ASKING_SECONDS: Final = 1.0
_INTERVAL_SECONDS: Final = 1.0


class State(msgspec.Struct, omit_defaults=True):
    """Whether the gateway lives, has started or is ready, and what needs attention all the same."""

    status: str
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET


async def healthz(_core: Core, _request: Request) -> Answer:
    """The process lives."""
    return json(State("alive"))


async def startupz(core: Core, request: Request) -> Answer:
    """Every service was reached once, or has been waited for long enough; permanent from then on."""
    unreached = core.startup.unreached()
    if unreached:
        return _unavailable("Not reached yet", unreached, request)
    return json(State("started"))


async def readyz(core: Core, request: Request) -> Answer:
    """Every service reports that it serves.

    A consumer in trouble is a warning only: events are accepted and wait in the stream, whereas a gateway out of
    service would refuse them.
    """
    lost = await core.peers.lost()
    if lost:
        return _unavailable("Not ready", lost, request)
    if not request.caller.is_operator:
        return json(State("ready"))
    warnings = [warning for one in await _standings(core) if (warning := _warning(one))]
    return json(State("ready", warnings or msgspec.UNSET))


async def pipeline(core: Core, _request: Request) -> Answer:
    """How far each consumer has come on each shard of the stream."""
    return json(render(await core.peers.ingest.GetPipeline(ingest_pb2.GetPipelineRequest())))


async def counts(core: Core, _request: Request) -> Answer:
    """The process's metrics, for Prometheus, unless they are served at another address and the gateway is public.

    Raises:
        NotFound: they are.
    """
    metrics = core.telemetry.metrics
    if metrics.is_served and not core.settings.is_local:
        raise NotFound("PATH_NOT_FOUND", "Metrics are told at an address of their own.")
    return Answer(200, metrics.render(), CONTENT_TYPE)


def _unavailable(what: str, services: Sequence[str], request: Request) -> Answer:
    """The answer that services are missing; which ones is for those who operate the mesh."""
    if not request.caller.is_operator:
        return problems.answer(Unavailable("DEPENDENCY_UNAVAILABLE", f"{what}."), request.trace_id)
    error = Unavailable("DEPENDENCY_UNAVAILABLE", f"{what}: {', '.join(services)}.")
    return problems.answer(error, request.trace_id, services=[*services])


async def watch_services(core: Core) -> None:
    """Reports which services serve, every second, until cancelled."""
    while True:
        lost = await core.peers.lost()
        core.startup.note(lost)
        for name in core.peers.health:
            core.telemetry.metrics.set_gauge(registry.DEPENDENCY_UP, name not in lost, name)
        await asyncio.sleep(_INTERVAL_SECONDS)


async def _standings(core: Core) -> Sequence[ingest_pb2.ShardStanding]:
    try:
        asked = core.peers.ingest.GetPipeline(ingest_pb2.GetPipelineRequest(), timeout=_ASKING_SECONDS)
        return (await asked).standings
    except MeshError:
        return ()


def _warning(one: ingest_pb2.ShardStanding) -> str:
    if one.is_ended or (one.owner and not one.trouble):
        return ""
    return f"{one.reader}, shard {one.shard}: {one.trouble or 'Nobody reads it.'}"
