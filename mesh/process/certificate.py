"""Reports when the process's certificate expires."""

import asyncio
from typing import Final

from mesh.observability import registry
from mesh.observability.metrics import Metrics
from mesh.rpc.tls import Tls

_INTERVAL_SECONDS: Final = 5.0


async def report_expiry(tls: Tls | None, metrics: Metrics) -> None:
    """Sets the gauge of the certificate's expiry until cancelled; returns at once without TLS."""
    while tls is not None:
        metrics.set_gauge(registry.CERTIFICATE_EXPIRY, tls.identity().expires_at)
        await asyncio.sleep(_INTERVAL_SECONDS)
