"""What a consumer does about a shard on which it fails: log it now and then, report it with the lease, and wait."""

import asyncio
import contextlib
import logging
from typing import Final

from mesh.errors import MeshError
from mesh.leases.port import Lease, Leases
from mesh.observability import log

# The pause after each failure in a row; the last one is repeated.
_PAUSE_SECONDS: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
# A failure is reported with the lease once it lasts: after so many attempts, or beyond this lag, because a service that
# hangs takes seconds for each attempt.
_ATTEMPTS: Final = 5
_LATE_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class Failures:
    """The failures in a row of a consumer, such as the `dispatcher`, on a shard that it holds."""

    def __init__(self, consumer: str, leases: Leases, lease: Lease) -> None:
        self._consumer = consumer
        self._leases = leases
        self._lease = lease
        self._count = 0

    def end(self) -> None:
        """Records that the shard has advanced."""
        self._count = 0

    async def add(self, error: Exception, lag_seconds: float) -> None:
        """Records a failure, and returns when it is time to try again. An error that is no `MeshError` is a fault."""
        self._count += 1
        is_fault = not isinstance(error, MeshError)
        level = logging.WARNING if self._count in (5, 50) or self._count % 500 == 0 else logging.DEBUG
        if is_fault and self._count == 1:
            level = logging.ERROR
        what = log.fault(error) if is_fault else error
        _log.log(level, "the %s waits on shard %s, try %d: %s", self._consumer, self._lease.shard, self._count, what)
        if is_fault or self._count >= _ATTEMPTS or lag_seconds > _LATE_SECONDS:
            detail = error.detail if isinstance(error, MeshError) else f"A fault of the {self._consumer}; see its log."
            with contextlib.suppress(MeshError):
                await self._leases.complain(self._lease, detail, lag_seconds)
        await asyncio.sleep(_PAUSE_SECONDS[min(self._count, len(_PAUSE_SECONDS)) - 1])
