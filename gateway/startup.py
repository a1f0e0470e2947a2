"""Whether the gateway has started: a kubelet sends it nobody before."""

import asyncio
from collections.abc import Collection
from typing import Final

# A service that is away for so long keeps no gateway from starting: what needs it is answered 503.
_PATIENCE_SECONDS: Final = 60.0


class Startup:
    """Which services were not reached yet, since the process began."""

    def __init__(self, services: Collection[str]) -> None:
        self._unreached = [*services]
        self._began = asyncio.get_running_loop().time()

    def note(self, lost: Collection[str]) -> None:
        """Takes note of the services that do not serve now."""
        self._unreached = [name for name in self._unreached if name in lost]

    def unreached(self) -> list[str]:
        """The services to wait for; none once each was reached, or after a minute."""
        waited = asyncio.get_running_loop().time() - self._began
        return self._unreached if waited < _PATIENCE_SECONDS else []
