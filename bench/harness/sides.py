"""The two sides of a comparison, each as its own processes on free ports: the mesh and an afternoon's work."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, NamedTuple

import psutil
import redis

import topology
from bench.afternoon import service
from bench.harness import load
from mesh.store import embedded
from tests.conftest import free_port
from tests.processes import RunningMesh, running_mesh

PROGRAMS: Final = (*topology.PROCESSES, "store")
_MOST_DISPATCHERS: Final = 4
MODELS: Final = Path(__file__).parents[2] / "models" / "exit-risk"
_PATIENCE_SECONDS: Final = 300.0


class Side(NamedTuple):
    """A system that takes events and decides on them."""

    name: str
    url: str
    processes: dict[str, psutil.Process]
    is_decided: load.IsDecided
    drain: Callable[[], None]
    """Returns once everything accepted is decided on."""
    store_port: int
    store_password: str | None = None


@contextlib.contextmanager
def journeymesh(folder: Path, **settings: str) -> Iterator[Side]:
    """The mesh as `make run` starts it, with every guarantee that no setting turns off."""
    with running_mesh(folder, **settings) as mesh:
        yield side_of(mesh)


def side_of(mesh: RunningMesh) -> Side:
    """A running mesh as a side."""
    programs = {}
    for name in (*PROGRAMS, *(f"dispatcher-{number}" for number in range(2, _MOST_DISPATCHERS + 1))):
        with contextlib.suppress(LookupError):  # the settings may leave it out
            programs[name] = mesh.process(name)
    return Side("Journeymesh", mesh.url, programs, load.is_applied, _Drain(mesh), mesh.store_port, mesh.store_password)


@contextlib.contextmanager
def both() -> Iterator[tuple[Side, Side]]:
    """The mesh and an afternoon's work, each with its own folder, to be measured in turn."""
    with contextlib.ExitStack() as stack:
        ours, theirs = (Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2))
        yield stack.enter_context(journeymesh(ours)), stack.enter_context(afternoon(theirs))


def await_rest(mesh_url: str) -> None:
    """Returns once the dispatchers have nothing left to do, without asking for receipts."""
    with contextlib.closing(load.connect(mesh_url)) as connection:

        def is_at_rest() -> bool:
            standings = load.ask(connection, "GET", "/api/pipeline")["standings"]
            return all(
                each["lagSeconds"] == 0 and not each["trouble"] for each in standings if each["reader"] == "dispatcher"
            )

        await_so(is_at_rest)


def live_model() -> Path:
    """The folder of the live exit-risk model."""
    return MODELS / (MODELS / "live").read_text(encoding="utf-8").strip()


@contextlib.contextmanager
def afternoon(folder: Path) -> Iterator[Side]:
    """`bench.afternoon`, with the mesh's store server and its settings."""
    port, store_port = free_port(), free_port()
    url = f"redis://127.0.0.1:{store_port}/0"
    serve = "-m uvicorn bench.afternoon.service:app --loop uvloop --http httptools --no-access-log --log-level warning"
    commands = {
        "store": embedded.server_command(store_port, folder, "everysec"),
        "service": [sys.executable, *serve.split(), "--port", str(port)],
        "worker": [sys.executable, "-m", "bench.afternoon.worker", url, str(live_model())],
    }
    environment = os.environ | {"AFTERNOON_REDIS": url}
    with contextlib.ExitStack() as stack, redis.Redis.from_url(url) as store:
        processes = {}
        for name, command in commands.items():
            processes[name] = stack.enter_context(running(command, environment))
            await_so(lambda: answers(store))
        await_so(lambda: _answers_at(port))
        yield Side(
            "an afternoon's work",
            f"http://127.0.0.1:{port}",
            processes,
            _is_listed,
            lambda: await_so(lambda: _is_idle(store)),
            store_port,
        )


class _Drain:
    """Sends events to all shards, and returns once they are applied."""

    def __init__(self, mesh: RunningMesh) -> None:
        self._mesh = mesh
        self._count = 0

    def __call__(self) -> None:
        self._count += 1
        ids = [f"last-{self._count}-{number}" for number in range(64)]
        for each in ids:
            event = {"eventId": each, "userId": each, "eventType": "page_view", "properties": {"page": "/"}}
            await_so(lambda event=event: self._mesh.track(event).status == HTTPStatus.ACCEPTED)  # type: ignore[misc]
        for each in ids:
            self._mesh.await_applied(each, _PATIENCE_SECONDS)


def _is_listed(connection: HTTPConnection, event_id: str, user_id: str) -> bool:
    return event_id in load.ask(connection, "GET", f"/api/users/{user_id}/decisions")


def _is_idle(store: redis.Redis) -> bool:
    groups = store.xinfo_groups(service.STREAM)  # none until the worker has started
    return bool(groups) and all(group["pending"] == 0 and group["lag"] == 0 for group in groups)


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str], log: Path | None = None) -> Iterator[psutil.Process]:
    """A process that runs within the block; its stderr is shown, or goes to a log."""
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(log.open("wb")) if log else None
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)  # noqa: S603 - commands of the bench
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def answers(store: redis.Redis) -> bool:
    """Whether a Redis server answers."""
    with contextlib.suppress(redis.ConnectionError):
        return bool(store.ping())
    return False


def _answers_at(port: int) -> bool:
    with contextlib.suppress(OSError), contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        load.ask(connection, "GET", "/api/users/nobody/decisions")
        return True
    return False


def is_there(port: int) -> bool:
    """Whether anything listens on a loopback port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def await_so(is_so: Callable[[], bool]) -> None:
    """Returns once a condition holds.

    Raises:
        TimeoutError: it did not within five minutes.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            message = "Waited too long."
            raise TimeoutError(message)
        time.sleep(0.01)
