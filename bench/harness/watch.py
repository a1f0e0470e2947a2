"""CPU of processes over a block."""

from collections.abc import Iterable
from typing import Self

import psutil


class Watch:
    """CPU seconds, user and system, that processes took within the block, in sum: `seconds` afterwards."""

    def __init__(self, processes: Iterable[psutil.Process]) -> None:
        self._processes = list(processes)
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self.seconds = -self._spent()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += self._spent()

    def _spent(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._processes)
