"""Makes what the access service needs from its settings and joins it."""

import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from mesh.clock import system_clock
from mesh.process.lifecycle import in_background
from services.access.audit import upkeep
from services.access.audit.adapters import heads
from services.access.audit.ports import Signer
from services.access.audit.usecases import Audit, Signing
from services.access.settings import Settings

_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def keeping_up(settings: Settings, audit: Audit) -> AsyncIterator[Signer | None]:
    """Signs the audit log's heads and removes what is old in the background of the block; signs once more at its end.

    The block gets what signs receipts, None without files for heads. Ends the process if these are unusable.
    """
    heads_file = _heads_file(settings)
    signing = Signing(audit, heads_file, system_clock) if heads_file else None
    works = [upkeep.drop_old(audit, settings.audit_lifetime_seconds)]
    works += [upkeep.sign_heads(signing)] if signing else []
    async with in_background(*works):
        yield heads_file
    if signing:
        await upkeep.attempt(signing.sign)


def _heads_file(settings: Settings) -> heads.HeadsFile | None:
    """Where the audit log's heads are signed; None if they are not."""
    if not settings.audit_heads_file:
        _log.warning("heads of the audit log are not signed: JOURNEYMESH_AUDIT_HEADS_FILE is empty")
        return None
    try:
        return heads.opened(Path(settings.audit_heads_file), Path(settings.audit_key_file))
    except heads.HeadsError as error:
        sys.exit(f"journeymesh: {error}")
