"""The fork server: imports once what all services import, and for each request becomes a service, in a fork.

`python -m cli.local.fork_server MODULE… FILE` imports the modules, then serves the socket that it inherits as FILE
until its other end is closed. `forking.py` has that end. The server starts no threads and opens nothing, as a fork
would lose the ones and share the other; if a module starts any, the server refuses every request.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

NAME: Final = "fork server"
_REQUEST_BYTES: Final = 65_536
_FILES: Final = 2
_ADOPTION_SECONDS: Final = 0.0005
_PR_SET_NAME: Final = 15
# Of /proc/self/stat, counted behind the name: where the command line begins and ends in memory.
_COMMAND_LINE: Final = slice(45, 47)


class Request(NamedTuple):
    """A program to become: a module and its arguments, and the environment that it has beside the server's."""

    name: str
    module: str
    arguments: list[str]
    environment: dict[str, str]


def main() -> None:
    """Serves; in a fork, runs the module that was asked for as `python -m` does."""
    *modules, file = sys.argv[1:]
    _name(NAME)
    for module in modules:
        with contextlib.suppress(Exception):  # who needs it says why it cannot be imported
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # or the first collection in a fork would copy all that it shares
    with socket.socket(fileno=int(file)) as requests:
        request = _served(requests)
    if request is not None:
        os.environ.update(request.environment)
        sys.argv[1:] = request.arguments
        runpy.run_module(request.module, run_name="__main__", alter_sys=True)


def _served(requests: socket.socket) -> Request | None:
    """Forks for each request; returns it in the fork, and None in the server once nobody can ask any more."""
    while True:
        sent, files, _, _ = socket.recv_fds(requests, _REQUEST_BYTES, _FILES)
        if not sent:
            return None
        if _is_safe() and (parent := _forked()):
            output, answer = files
            os.dup2(output, sys.stdout.fileno())
            os.dup2(output, sys.stderr.fileno())
            os.close(output)
            request = Request(**json.loads(sent))
            _get_ready(request)
            with socket.socket(fileno=answer) as asking:
                _begin(asking, parent)
            return request
        for each in files:
            os.close(each)


def _is_safe() -> bool:
    """Whether a fork has everything that this process has: it has one thread."""
    return len([*Path("/proc/self/task").iterdir()]) == 1


def _forked() -> int:
    """Forks twice; 0 in this process, and in the last fork its parent, which waits until it ends or begins."""
    if between := os.fork():
        os.waitpid(between, 0)
        return 0
    parent = os.getpid()
    if fork := os.fork():
        os.waitpid(fork, 0)
        os._exit(0)
    return parent


def _begin(asking: socket.socket, parent: int) -> None:
    """Says that this fork is ready, and returns when told to begin: as a child of the runner, which adopts orphans.

    Ends the process if nobody waits for it any more.
    """
    with contextlib.suppress(OSError):
        asking.send(b"%d" % os.getpid())
        if asking.recv(1):
            if os.getppid() == parent:
                os.kill(parent, signal.SIGKILL)
            while os.getppid() == parent:
                time.sleep(_ADOPTION_SECONDS)
            return
    os._exit(0)


def _get_ready(request: Request) -> None:
    """Leads a session; has `ps` and `pgrep` show the program's name, and the command that would have started it."""
    os.setsid()
    _name(request.name)
    after_name = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    start, end = map(int, after_name[_COMMAND_LINE])
    command = " ".join((sys.executable, "-m", request.module, *request.arguments)).encode()
    # A last byte other than NUL tells the kernel that this is one text, which ends at its first NUL (fs/proc/base.c).
    ctypes.memmove(start, command[: end - start - 2].ljust(end - start - 1, b"\0") + b" ", end - start)


def _name(name: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


if __name__ == "__main__":
    main()
