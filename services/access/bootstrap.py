"""Makes what the access service needs from its settings and joins it."""

import contextlib
import logging
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from mesh.clock import system_clock
from mesh.errors import FailedPrecondition, InvalidArgument
from mesh.process.lifecycle import in_background
from mesh.settings import SettingError, or_exit, secret
from mesh.store import redis
from services.access.audit import upkeep
from services.access.audit.adapters import heads
from services.access.audit.adapters.redis import RedisChain
from services.access.audit.ports import Signer
from services.access.audit.usecases import Audit, Signing
from services.access.keys.adapters.imported import RedisImportedKeys
from services.access.keys.adapters.redis import RedisKeys
from services.access.keys.importing import Importing
from services.access.keys.translation import VOCABULARY
from services.access.keys.usecases import Access
from services.access.limits.adapters.redis import RedisLimits
from services.access.limits.usecases import Limits
from services.access.people.adapters.redis import RedisSessions
from services.access.people.usecases import People
from services.access.settings import Settings

_log = logging.getLogger(__name__)


class Rooms(NamedTuple):
    """The use cases of each room."""

    audit: Audit
    access: Access
    people: People
    limits: Limits


def over_redis(client: redis.Client) -> Rooms:
    """The service over Redis."""
    audit = Audit(RedisChain(client), system_clock, secrets.token_bytes)
    access = Access(RedisKeys(client), audit, VOCABULARY, system_clock, secrets.token_bytes)
    people = People(RedisSessions(client), audit, system_clock, secrets.token_bytes, access.require_tenant)
    return Rooms(audit, access, people, Limits(RedisLimits(client), system_clock))


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


def importing(access: Access, client: redis.Client) -> Importing:
    """What takes keys that somebody else made."""
    return Importing(access, RedisImportedKeys(client))


async def take_keys(folder: str, taking: Importing) -> None:
    """Takes the keys in the files of a folder, each named like its file; returns once the store has them. Empty: none.

    Ends the process if a file holds no key.
    """

    async def take() -> None:
        wanted = _texts(Path(folder))
        try:
            count = await taking.take(wanted)
        except (InvalidArgument, FailedPrecondition) as error:
            message = f"A key of JOURNEYMESH_KEYS_FOLDER is not taken: {error.detail}"
            raise SettingError(message) from error
        _log.info("%d of %d keys in %s are new", count, len(wanted), folder)

    if folder:
        await or_exit(take)


def _texts(folder: Path) -> dict[str, str]:
    """The content of each file of a folder, by name, without what begins with a dot: Kubernetes mounts such folders.

    Raises:
        SettingError: something cannot be read.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        message = f"The folder {folder} of JOURNEYMESH_KEYS_FOLDER cannot be read: {error.strerror}."
        raise SettingError(message) from error
    return {path.name: secret(str(path)) or "" for path in files}


def _heads_file(settings: Settings) -> heads.HeadsFile | None:
    """Where the audit log's heads are signed; None if they are not."""
    if not settings.audit_heads_file:
        _log.warning("heads of the audit log are not signed: JOURNEYMESH_AUDIT_HEADS_FILE is empty")
        return None
    try:
        return heads.opened(Path(settings.audit_heads_file), Path(settings.audit_key_file))
    except heads.HeadsError as error:
        sys.exit(f"journeymesh: {error}")
