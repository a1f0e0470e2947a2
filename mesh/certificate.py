"""Reports when the process's certificate expires."""

import asyncio
from typing import Final

from mesh import registry
from mesh.metrics import Metrics
from mesh.tls import Tls

_INTERVAL_SECONDS: Final = 5.0


async def tell_end(tls: Tls | None, metrics: Metrics) -> None:
    """Sets the gauge of the certificate's expiry until cancelled; returns at once without TLS."""
    while tls is not None:
        metrics.tell(registry.CERTIFICATE_EXPIRY, tls.identity().expires_at)
        await asyncio.sleep(_INTERVAL_SECONDS)
