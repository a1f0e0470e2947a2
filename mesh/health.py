"""Health by named dependency, told by the standard gRPC health protocol.

The empty name is the whole process. It serves while every required dependency answers.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from grpc_health.v1 import health, health_pb2

from mesh.errors import MeshError

Check = Callable[[], Awaitable[None]]
"""Returns if the dependency answers, raises a `MeshError` if not."""

_PERIOD_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


async def watch(servicer: health.aio.HealthServicer, names: list[str], checks: Mapping[str, Check]) -> None:
    """Keeps the health of `names` and of the whole process true, until cancelled."""
    was_lost: str | None = None
    while True:
        lost = await _first_lost(checks)
        if lost != was_lost:
            _log.warning("not ready: %s does not answer", lost) if lost else _log.info("ready again")
        was_lost = lost
        status = health_pb2.HealthCheckResponse.NOT_SERVING if lost else health_pb2.HealthCheckResponse.SERVING
        for name in ("", *names):
            await servicer.set(name, status)
        await asyncio.sleep(_PERIOD_SECONDS)


async def _first_lost(checks: Mapping[str, Check]) -> str | None:
    for name, check in checks.items():
        try:
            await check()
        except MeshError:
            return name
    return None
