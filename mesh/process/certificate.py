"""Reports when the process's certificate expires."""

import asyncio
from typing import Final, Protocol

from mesh.observability import registry
from mesh.observability.metrics import Metrics
from mesh.observability.registry import Metric

_INTERVAL_SECONDS: Final = 5.0


class _Identity(Protocol):
    @property
    def expires_at(self) -> float: ...


class _Tls(Protocol):
    def identity(self) -> _Identity: ...


async def report_expiry(tls: _Tls | None, metrics: Metrics, metric: Metric = registry.CERTIFICATE_EXPIRY) -> None:
    """Sets the gauge of the certificate's expiry until cancelled; returns at once without TLS."""
    while tls is not None:
        metrics.set_gauge(metric, tls.identity().expires_at)
        await asyncio.sleep(_INTERVAL_SECONDS)
