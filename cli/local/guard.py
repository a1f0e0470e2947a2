"""Ends what a runner leaves behind where it is killed itself.

`python -m cli.local.guard` reads from a pipe which processes the runner has started; the pipe closes however the runner
ends.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

# As long as the supervisor gives them.
_STOP_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.05


class Guard:
    """The runner's end of the pipe."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def began(self, pid: int, *, is_needed: bool) -> None:
        """A process runs; its group has its id. What others need is ended after them."""
        self._tell(f"{pid} {'needed' if is_needed else 'needs'}\n")

    def ended(self, pid: int) -> None:
        """It does not any more."""
        self._tell(f"{pid} ended\n")

    def _tell(self, line: str) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # a guard that was killed guards nothing, and holds nobody up
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


@contextlib.contextmanager
def guarding(files: Sequence[int]) -> Iterator[Guard]:
    """A guard that is there within the block; it keeps `files` open for as long as what it guards runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.local.guard"], stdin=subprocess.PIPE, pass_fds=files, start_new_session=True
    )
    try:
        yield Guard(process)
    finally:
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        process.wait()


def main() -> None:
    """Reads what runs until the runner has gone; then ends what is left, the first of it last."""
    running: dict[int, str] = {}
    for line in sys.stdin:
        pid, what = line.split()
        running[int(pid)] = what
    left = {pid: what for pid, what in running.items() if what != "ended"}
    if left:
        sys.stderr.write("journeymesh: the runner is gone; what it ran is ended\n")
        for what in ("needs", "needed"):
            _end([pid for pid in left if left[pid] == what])


def _end(pids: Sequence[int]) -> None:
    for pid in pids:
        _signal(pid, signal.SIGTERM)
        _signal(pid, signal.SIGCONT)  # one that was stopped hears of nothing else
    until = time.monotonic() + _STOP_SECONDS
    while any(map(_runs, pids)) and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
    for pid in filter(_runs, pids):
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _runs(pid: int) -> bool:
    """Whether the process is there, and not only its entry because nobody has asked how it ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0] != "Z"
    except OSError:  # a system that tells it otherwise, and whose first process asks
        return True


if __name__ == "__main__":
    main()
