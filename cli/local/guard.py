"""Ends the processes that a runner leaves behind if it is killed.

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

# As long as the supervisor waits for them.
_STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05


class Guard:
    """The runner's end of the pipe."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def began(self, pid: int, *, is_needed: bool) -> None:
        """Reports a process that has started and leads its own process group; one that others need is ended last."""
        self._write(f"{pid} {'needed' if is_needed else 'needs'}\n")

    def ended(self, pid: int) -> None:
        """Reports that a process has ended."""
        self._write(f"{pid} ended\n")

    def _write(self, line: str) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # a killed guard must not hold up the runner
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


@contextlib.contextmanager
def guarding(files: Sequence[int]) -> Iterator[Guard]:
    """A guard for the duration of the block; it keeps `files` open while anything it guards still runs."""
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
    """Reads which processes run until the runner is gone; then ends those that are left, needed ones last."""
    running: dict[int, str] = {}
    for line in sys.stdin:
        pid, state = line.split()
        running[int(pid)] = state
    left = {pid: state for pid, state in running.items() if state != "ended"}
    if left:
        sys.stderr.write("journeymesh: the runner is gone; ending its processes\n")
        for state in ("needs", "needed"):
            _end([pid for pid in left if left[pid] == state])


def _end(pids: Sequence[int]) -> None:
    for pid in pids:
        _signal(pid, signal.SIGTERM)
        _signal(pid, signal.SIGCONT)  # a stopped process receives no other signal
    until = time.monotonic() + _STOP_SECONDS
    while any(map(runs, pids)) and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
    for pid in filter(runs, pids):
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def runs(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0] != "Z"
    except OSError:  # no /proc: a system whose init reaps zombies anyway
        return True


if __name__ == "__main__":
    main()
