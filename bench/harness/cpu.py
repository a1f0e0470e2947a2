"""CPU time of processes."""

from collections.abc import Iterable
from typing import Self

import psutil


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of a process so far."""
    return float(sum(process.cpu_times()[:2]))


class CpuTime:
    """CPU seconds that processes took within the block, in sum: `seconds`, afterwards."""

    def __init__(self, processes: Iterable[psutil.Process]) -> None:
        self._processes = list(processes)
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self.seconds = -sum(map(cpu_seconds, self._processes))
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += sum(map(cpu_seconds, self._processes))
