"""The life of a process: its work, signals that end it, work in its background, garbage collection."""

import asyncio
import contextlib
import gc
import resource
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, NoReturn

import uvloop

from mesh.retry import ExitForNow
from mesh.settings import SettingError

CANNOT_RUN: Final = 78
"""Exit code of a process that cannot run as it is set up: starting it again is of no use (EX_CONFIG of sysexits.h)."""
_CANCEL_AGAIN_SECONDS: Final = 0.1
# A work that is cancelled may have to end tasks of its own, which is not to be interrupted.
_CANCEL_WORK_AGAIN_SECONDS: Final = 0.5
# Less than a page: the kernel writes no file. And the one value at which it starts no program for dumps either
# (fs/coredump.c of Linux); 0 would.
_NO_CORE_BYTES: Final = 1


def run(work: Coroutine[Any, Any, None]) -> None:
    """Runs the work of this process to its end.

    If a setting cannot be used, or something else exits with a sentence, it prints that and exits with `CANNOT_RUN`, or
    with 1 if the sentence is that of `ExitForNow`.
    """
    try:
        uvloop.run(work)
    except SettingError as error:
        _end(f"journeymesh: {error}")
    except SystemExit as end:
        if isinstance(end.code, str) and not isinstance(end, ExitForNow):
            _end(end.code)
        raise
    except BaseExceptionGroup as group:
        its = _setting_error(group)
        if its is None:
            raise
        _end(f"journeymesh: {its}")


def _end(sentence: str) -> NoReturn:
    sys.stderr.write(f"{sentence}\n")
    sys.exit(CANNOT_RUN)


def _setting_error(group: "BaseExceptionGroup[BaseException]") -> SettingError | None:
    """The one error of a group, however deep: it is raised beside what works in the background."""
    only = group.exceptions[0] if len(group.exceptions) == 1 else None
    if isinstance(only, BaseExceptionGroup):
        return _setting_error(only)
    return only if isinstance(only, SettingError) else None


@contextlib.asynccontextmanager
async def in_background(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs works in the background of the block. They end with it, and one that fails ends it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        try:
            yield
        finally:
            await cancel(*tasks, again_seconds=_CANCEL_WORK_AGAIN_SECONDS)


async def cancel(*tasks: "asyncio.Task[Any]", again_seconds: float = _CANCEL_AGAIN_SECONDS) -> None:
    """Cancels tasks; returns once they have ended.

    They are cancelled repeatedly: up to Python 3.11 `asyncio.wait_for`, which the store's client uses, sometimes
    swallows a cancellation.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=again_seconds)


def dump_no_core() -> None:
    """Keeps the memory of this process, and of those it starts, from being written down when they crash."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    most = _NO_CORE_BYTES if hard == resource.RLIM_INFINITY else min(hard, _NO_CORE_BYTES)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


def spare_collections() -> None:
    """Exempts all objects there are from garbage collection, and makes it rare.

    A batch allocates thousands of objects that live for milliseconds; with the default thresholds every batch would
    trigger several collections.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def stop_signal() -> asyncio.Event:
    """An event that is set on SIGTERM and SIGINT, and on SIGHUP unless it is ignored, as under `nohup`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, stop.set)
    return stop
