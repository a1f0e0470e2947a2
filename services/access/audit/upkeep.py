"""What a process does for the audit log in its background: signs heads, removes what is old."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from mesh.errors import Unavailable
from services.access.audit.usecases import DROPPED, Audit, Signing

SIGNED_EVERY_SECONDS: Final = 300.0
_DROPPED_EVERY_SECONDS: Final = 300.0
_PAUSE_SECONDS: Final = 0.2
"""Between two steps of retention while there is more to remove."""

_log = logging.getLogger(__name__)


async def sign_heads(signing: Signing) -> None:
    """Signs the chain's head every five minutes in which entries were added, for ever."""
    while True:
        await asyncio.sleep(SIGNED_EVERY_SECONDS)
        await attempt(signing.sign)


async def drop_old(audit: Audit, lifetime_seconds: int) -> None:
    """Removes entries that are older than a lifetime, for ever."""
    while True:
        dropped = await attempt(lambda: audit.drop_old(lifetime_seconds))
        await asyncio.sleep(_PAUSE_SECONDS if dropped == DROPPED else _DROPPED_EVERY_SECONDS)


async def attempt(work: Callable[[], Awaitable[int]]) -> int:
    """Does it; where the store or the disk is away, says so in the log and returns 0."""
    try:
        return await work()
    except (Unavailable, OSError) as error:
        _log.warning("the audit log is not kept up now: %s", error)
        return 0
