"""Where the parts of a job are worked on: in this process, or in some on this machine."""

import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from typing import Final, TypeVar

from mesh.errors import Unavailable

_LOSSES: Final = 3
"""How often processes may be lost before a job is given up."""

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class Here:
    """Works in this process, one task after the other."""

    def map(
        self, do: Callable[[_Task], _Result], tasks: Sequence[_Task], done: Callable[[int], None]
    ) -> Iterator[_Result]:
        """See `parts.Engine`. A task is begun when its result is asked for."""
        for count, task in enumerate(tasks, 1):
            result = do(task)
            done(count)
            yield result


class Processes:
    """Works in processes of this machine, which end with this one; what a lost one had begun is begun again."""

    def __init__(self, count: int) -> None:
        self._count = count

    def map(
        self, do: Callable[[_Task], _Result], tasks: Sequence[_Task], done: Callable[[int], None]
    ) -> Sequence[_Result]:
        """See `parts.Engine`."""
        results: dict[int, _Result] = {}
        for _ in range(_LOSSES):
            with contextlib.suppress(BrokenExecutor), _pool(self._count) as pool:
                begun = {pool.submit(do, task): place for place, task in enumerate(tasks) if place not in results}
                for each in as_completed(begun):
                    results[begun[each]] = each.result()
                    done(len(results))
            if len(results) == len(tasks):
                return [results[place] for place in range(len(tasks))]
        raise Unavailable("DEPENDENCY_UNAVAILABLE", f"Processes were lost {_LOSSES} times. They may need more memory.")


@contextlib.contextmanager
def _pool(count: int) -> Iterator[ProcessPoolExecutor]:
    # Spawned: threads of Arrow and gRPC do not survive a fork.
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Ends this process when the one that started it is gone: it would wait for tasks for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - it was started by one

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
