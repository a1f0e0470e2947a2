"""Gauges sampled in the background: the lag of consumers, and the memory of the store."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from redis.exceptions import ResponseError

from mesh.errors import MeshError
from mesh.observability import registry
from mesh.observability.metrics import Metrics
from mesh.store import redis
from mesh.stream.port import END
from services.ingest.accept.ports import Pipeline

_CONSUMERS_SECONDS: Final = 1.0
_STORE_SECONDS: Final = 5.0


async def report_consumers(pipeline: Pipeline, metrics: Metrics) -> None:
    """Reports how far the consumers are, until it is cancelled; nothing where that is not known."""
    while True:
        try:
            standings = await pipeline.standings()
        except MeshError:
            standings = []
        open_ = {(each.consumer, each.shard): each.standing for each in standings if each.standing.checkpoint != END}
        metrics.set_gauges(registry.LAG, {key: each.lag_seconds for key, each in open_.items()})
        metrics.set_gauges(registry.TROUBLE, {key: bool(each.trouble or not each.owner) for key, each in open_.items()})
        await asyncio.sleep(_CONSUMERS_SECONDS)


async def report_store(client: redis.Client, metrics: Metrics) -> None:
    """Reports how full the store or its fullest node is, until it is cancelled; nothing if it does not say."""
    while True:
        try:
            memory = max(await redis.memory(client), key=_share)
        except (MeshError, ResponseError):  # the store user may lack the permission
            memory = {}
        used, limit = memory.get("used_memory"), memory.get("maxmemory")
        metrics.set_gauges(registry.STORE_MEMORY, {(): used} if used else {})
        metrics.set_gauges(registry.STORE_MEMORY_LIMIT, {(): limit} if limit else {})
        await asyncio.sleep(_STORE_SECONDS)


def _share(memory: Mapping[str, Any]) -> tuple[float, int]:
    used, limit = memory.get("used_memory", 0), memory.get("maxmemory", 0)
    return (used / limit if limit else 0.0), used
