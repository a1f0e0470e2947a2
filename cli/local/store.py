"""The embedded store: a lock on its folder, and waiting until it has loaded its file."""

import asyncio
import contextlib
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from cli.local.guard import runs

_LOCK: Final = "lock"
PASSWORD_FILE: Final = "store-password"  # noqa: S105 - the name of a file
"""The file in the folder that holds the store's password as long as the mesh runs, and until the next one starts."""
_PASSWORD_BYTES: Final = 32
_PRIVATE: Final = 0o700
# For how long it may be silent.
_PATIENCE_SECONDS: Final = 60.0
_REPORT_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.1


class Credentials(NamedTuple):
    """What the store asks its clients for, and the files it and they read it from."""

    password: str
    password_file: Path
    configuration: Path


class CannotRunError(Exception):
    """The mesh cannot run here; the message is one sentence."""


@contextlib.contextmanager
def taken(folder: Path) -> Iterator[int]:
    """Locks a folder, creating it if necessary, and keeps other users of the machine out; gives the open lock file.

    The lock is held until the block is left and every process that inherited the file has ended: a store that outlives
    its runner keeps it.

    Raises:
        CannotRunError: another mesh holds the folder, or it cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(_PRIVATE)  # also one of an earlier version
        file = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
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


def credentials(folder: Path) -> Credentials:
    """A new password for the store, in files of the folder that only this user can read."""
    made = Credentials(secrets.token_hex(_PASSWORD_BYTES), folder / PASSWORD_FILE, folder / "store.conf")
    _write(made.password_file, made.password)
    _write(made.configuration, f"requirepass {made.password}\n")
    return made


def _write(file: Path, text: str) -> None:
    """Writes a file that nobody else can read at any moment."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as into:
        into.write(text)


def _complaint(folder: Path, holder: bytes) -> str:
    pid = int(holder) if holder.strip().isdigit() else 0
    if pid and not runs(pid):
        return (
            f"The folder {folder} is still used by processes that {pid} left behind when it was killed; they end "
            "within a minute. Wait, or set JOURNEYMESH_VAR to another folder."
        )
    by = f"process {pid}" if pid else "another process"
    return f"The folder {folder} is used by a running mesh ({by}); stop it, or set JOURNEYMESH_VAR to another folder."


async def answering(url: str, say: Callable[[str], None], password: str | None = None) -> None:
    """Returns once the store takes commands; reports its progress while it loads its file.

    Raises:
        CannotRunError: it did not answer for a minute.
    """
    now = asyncio.get_running_loop().time
    heard, reported = now(), -_REPORT_SECONDS
    async with redis.asyncio.Redis.from_url(url, password=password, retry=Retry(NoBackoff(), 0)) as client:
        while True:
            try:
                await client.ping()
            except redis.exceptions.BusyLoadingError:
                heard = now()
                if heard - reported >= _REPORT_SECONDS:
                    say(await _progress(client))
                    reported = heard
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
                if now() - heard > _PATIENCE_SECONDS:
                    message = f"The embedded store has not answered for {_PATIENCE_SECONDS:.0f} s."
                    raise CannotRunError(message) from error
            else:
                _heed_cancellation()
                return
            _heed_cancellation()
            await asyncio.sleep(_POLL_SECONDS)


def _heed_cancellation() -> None:
    """Ends the task if it was cancelled and the store's client swallowed that, as it sometimes does (Python 3.11).

    Raises:
        CancelledError: it was.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _progress(client: redis.asyncio.Redis) -> str:
    """How far the store has loaded its file, if it says so."""
    try:
        info = await client.info("persistence")
        share, left_seconds = float(info["loading_loaded_perc"]), int(info["loading_eta_seconds"])
    except (redis.exceptions.RedisError, LookupError, ValueError):
        return "the store is loading its file"
    return f"the store is loading its file: {share:.0f}%, about {left_seconds} s left"
