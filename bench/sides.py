"""The two sides of a comparison, each as processes of its own on free ports: the mesh, and what an afternoon makes."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, NamedTuple

import psutil
import redis

from bench import load
from bench.afternoon import service
from mesh import embedded
from tests.conftest import free_port
from tests.processes import RunningMesh, running_mesh

PROGRAMS: Final = (
    "gateway",
    "ingest",
    "dispatcher",
    "video",
    "features",
    "scoring",
    "intervention",
    "archiver",
    "store",
)
_MODELS: Final = Path("models/exit-risk")
_PATIENCE_SECONDS: Final = 300.0


class Side(NamedTuple):
    """A system that takes events and decides on them."""

    name: str
    url: str
    processes: dict[str, psutil.Process]
    is_decided: load.IsDecided
    drain: Callable[[], None]
    """Returns once everything that was taken is decided on."""


@contextlib.contextmanager
def journeymesh(folder: Path) -> Iterator[Side]:
    """The mesh as `make run` starts it, every guarantee on."""
    with running_mesh(folder) as mesh:
        yield side_of(mesh)


def side_of(mesh: RunningMesh) -> Side:
    """A mesh that runs."""
    return Side("Journeymesh", mesh.url, {name: mesh.process(name) for name in PROGRAMS}, load.is_applied, _Drain(mesh))


@contextlib.contextmanager
def afternoon(folder: Path) -> Iterator[Side]:
    """`bench.afternoon`, with the same server and settings of the store."""
    port, store_port = free_port(), free_port()
    url = f"redis://127.0.0.1:{store_port}/0"
    model = _MODELS / (_MODELS / "live").read_text(encoding="utf-8").strip()
    serve = "-m uvicorn bench.afternoon.service:app --loop uvloop --http httptools --no-access-log --log-level warning"
    commands = {
        "store": embedded.server_command(store_port, folder, "everysec"),
        "service": [sys.executable, *serve.split(), "--port", str(port)],
        "worker": [sys.executable, "-m", "bench.afternoon.worker", url, str(model)],
    }
    environment = os.environ | {"AFTERNOON_REDIS": url}
    with contextlib.ExitStack() as stack, redis.Redis.from_url(url) as store:
        processes = {}
        for name, command in commands.items():
            processes[name] = stack.enter_context(_running(command, environment))
            _await(lambda: _answers(store))
        _await(lambda: _answers_at(port))
        yield Side(
            "an afternoon's work",
            f"http://127.0.0.1:{port}",
            processes,
            _is_listed,
            lambda: _await(lambda: _is_idle(store)),
        )


class _Drain:
    """Sends one more event for every shard, and returns once each has gone through."""

    def __init__(self, mesh: RunningMesh) -> None:
        self._mesh = mesh
        self._count = 0

    def __call__(self) -> None:
        self._count += 1
        ids = [f"last-{self._count}-{number}" for number in range(64)]
        for each in ids:
            self._mesh.track({"eventId": each, "userId": each, "eventType": "page_view", "properties": {"page": "/"}})
        for each in ids:
            self._mesh.await_applied(each, _PATIENCE_SECONDS)


def _is_listed(connection: HTTPConnection, event_id: str, user_id: str) -> bool:
    return event_id in load.ask(connection, "GET", f"/api/users/{user_id}/decisions")


def _is_idle(store: redis.Redis) -> bool:
    (group,) = store.xinfo_groups(service.STREAM)
    return bool(group["pending"] == 0 and group["lag"] == 0)


@contextlib.contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[psutil.Process]:
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603 - commands of this module
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _answers(store: redis.Redis) -> bool:
    with contextlib.suppress(redis.ConnectionError):
        return bool(store.ping())
    return False


def _answers_at(port: int) -> bool:
    with contextlib.suppress(OSError), contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        load.ask(connection, "GET", "/api/users/nobody/decisions")
        return True
    return False


def _await(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            message = "Waited too long."
            raise TimeoutError(message)
        time.sleep(0.01)
