"""Health per dependency, served by the standard gRPC health protocol.

The empty name is the whole process. It serves while every required dependency answers. The name `live` serves for as
long as the process can answer at all.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final

from grpc_health.v1 import health, health_pb2

from mesh.errors import MeshError
from mesh.observability import log, registry
from mesh.observability.metrics import Metrics
from mesh.process.lifecycle import cancel

Check = Callable[[], Awaitable[None]]
"""Returns if the dependency answers; raises if not, a `MeshError` if the reason is known."""

LIVE: Final = "live"

_PERIOD_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Health:
    """A process's health: not ready before its dependencies were checked, nor after it began to drain."""

    def __init__(self) -> None:
        self.servicer = health.aio.HealthServicer()

    async def begin(self) -> None:
        """Reports the process live and not ready; to be called before the servicer is served."""
        await self.servicer.set(LIVE, health_pb2.HealthCheckResponse.SERVING)
        await self._set([""], is_ready=False)

    @contextlib.asynccontextmanager
    async def watched(self, names: Sequence[str], checks: Mapping[str, Check], metrics: Metrics) -> AsyncIterator[None]:
        """Keeps the health of `names` and of the whole process current within the block; not ready after it."""
        watching = asyncio.create_task(self._watch(names, checks, metrics))
        try:
            yield
        finally:
            await cancel(watching)
            await self._set(["", *names], is_ready=False)

    async def _watch(self, names: Sequence[str], checks: Mapping[str, Check], metrics: Metrics) -> None:
        was_lost = ""
        while True:
            troubles = dict(zip(checks, await asyncio.gather(*map(_trouble, checks.values())), strict=True))
            for name, trouble in troubles.items():
                metrics.set_gauge(registry.DEPENDENCY_UP, not trouble, name)
            lost = " ".join(f"{name}: {trouble}" for name, trouble in troubles.items() if trouble)
            if lost != was_lost:
                _log.warning("not ready. %s", lost) if lost else _log.info("ready again")
            was_lost = lost
            await self._set(["", *names], is_ready=not lost)
            await asyncio.sleep(_PERIOD_SECONDS)

    async def _set(self, names: Sequence[str], *, is_ready: bool) -> None:
        status = health_pb2.HealthCheckResponse
        for name in names:
            await self.servicer.set(name, status.SERVING if is_ready else status.NOT_SERVING)


async def _trouble(check: Check) -> str:
    """Why the dependency does not answer; empty if it does."""
    try:
        await check()
    except MeshError as error:
        return error.detail
    except Exception as error:  # noqa: BLE001 - whatever it is, the next check may pass
        return f"The check itself failed: {log.fault(error)}"
    return ""
