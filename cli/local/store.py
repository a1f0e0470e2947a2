"""The embedded store: whose folder it is, and waiting for it, however long it loads its file."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

_LOCK: Final = "lock"
# So long nothing need be heard of it.
_PATIENCE_SECONDS: Final = 60.0
_TELL_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.1


class CannotRunError(Exception):
    """The mesh cannot run here; the text is one sentence."""


@contextlib.contextmanager
def taken(folder: Path) -> Iterator[int]:
    """Takes a folder, which is made if it is not there; gives the open file that holds it.

    It is held until the block is left and every process that inherited the file has ended: a store that outlives its
    runner keeps it.

    Raises:
        CannotRunError: another mesh has it, or it cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        message = f"The folder {folder} cannot be used ({error.strerror}); set JOURNEYMESH_VAR to another."
        raise CannotRunError(message) from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotRunError(_complaint(folder, os.pread(file, 32, 0))) from error
        os.ftruncate(file, 0)
        os.pwrite(file, b"%d\n" % os.getpid(), 0)
        yield file
    finally:
        os.close(file)


def _complaint(folder: Path, holder: bytes) -> str:
    pid = int(holder) if holder.strip().isdigit() else 0
    if pid and not _runs(pid):
        return (
            f"The folder {folder} is still used by what process {pid} left behind when it was killed; that ends within "
            "a minute, or set JOURNEYMESH_VAR to another."
        )
    by = f"process {pid}" if pid else "another process"
    return f"The folder {folder} is used by a mesh that runs already ({by}); end it, or set JOURNEYMESH_VAR to another."


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def answering(url: str, say: Callable[[str], None]) -> None:
    """Returns once the store takes commands; says how far it is while it loads its file.

    Raises:
        CannotRunError: for a minute nothing was heard of it.
    """
    now = asyncio.get_running_loop().time
    heard, told = now(), -_TELL_SECONDS
    async with redis.asyncio.Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client:
        while True:
            try:
                await client.ping()
            except redis.exceptions.BusyLoadingError:
                heard = now()
                if heard - told >= _TELL_SECONDS:
                    say(await _progress(client))
                    told = heard
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
                if now() - heard > _PATIENCE_SECONDS:
                    message = f"The embedded store has not answered for {_PATIENCE_SECONDS:.0f} s."
                    raise CannotRunError(message) from error
            else:
                return
            await asyncio.sleep(_POLL_SECONDS)


async def _progress(client: redis.asyncio.Redis) -> str:
    """How far the store has loaded its file, as far as it says."""
    try:
        told = await client.info("persistence")
        share, left_seconds = float(told["loading_loaded_perc"]), int(told["loading_eta_seconds"])
    except (redis.exceptions.RedisError, LookupError, ValueError):
        return "the store loads its file"
    return f"the store loads its file: {share:.0f}%, about {left_seconds} s left"
