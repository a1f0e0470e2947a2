"""The whole mesh as real processes, on free ports and in a folder of its own."""

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil

import topology
from cli.local.programs import METRICS_ORDER
from cli.local.store import PASSWORD_FILE
from tests.conftest import PORTS_BEFORE, PORTS_PER_PROCESS, free_port

# Longer than the mesh gives any question, so that its own answer is seen.
_ANSWER_SECONDS: Final = 60
_PATIENCE_SECONDS: Final = 90.0

PROGRAMS: Final = ("fork server", "store", *topology.PROCESSES)
# Those that the system knows by another name than the supervisor.
_NAMES: Final = {"store": "valkey-server"}
TELLERS: Final = METRICS_ORDER
# With some further dispatchers.
_METRICS_PORTS: Final = len(TELLERS) + 4
# Runs of the tests beside one another begin at different places.
_attempts = itertools.count(os.getpid())


class Answer(NamedTuple):
    """An HTTP answer: its status, and its body read as JSON."""

    status: int
    body: Any


class RunningMesh(NamedTuple):
    """A mesh that runs, and the key with which it is called, if any."""

    url: str
    supervisor: psutil.Process
    log: Path
    store_port: int
    metrics_port: int
    password_file: Path | None = None
    key: str = ""

    @property
    def store_password(self) -> str | None:
        """What the store asks for; None if it is not the embedded one of `journeymesh run`."""
        if self.password_file is None or not self.password_file.exists():
            return None
        return self.password_file.read_text(encoding="ascii")

    def metrics_url(self, name: str) -> str:
        """Where a program tells its metrics."""
        return f"http://127.0.0.1:{self.metrics_port + TELLERS.index(name)}/metrics"

    def metrics(self, name: str) -> dict[str, float]:
        """What a program tells, by names with their labels as they stand in the text."""
        with urllib.request.urlopen(self.metrics_url(name), timeout=10) as response:
            lines = response.read().decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {sample: float(value) for sample, _, value in pairs}

    def process(self, name: str) -> psutil.Process:
        """The process a program has now; `dispatcher-2` is the second dispatcher."""
        for child in self.supervisor.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.name() == _NAMES.get(name, name) and child.status() != psutil.STATUS_ZOMBIE:
                    return child
        raise LookupError(name)

    def processes(self) -> list[psutil.Process]:
        """All processes of the mesh, the supervisor too."""
        return [self.supervisor, *self.supervisor.children()]

    def get(self, path: str) -> Answer:
        """Gets a path."""
        return self._call(urllib.request.Request(self.url + path))

    def post(self, path: str, body: object) -> Answer:
        """Posts JSON."""
        data = json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        return self._call(urllib.request.Request(self.url + path, data=data, headers=headers))

    def track(self, *events: dict[str, Any]) -> Answer:
        """Sends events."""
        return self.post("/api/events/track", {"events": events})

    def await_applied(self, event_id: str, patience_seconds: float = 30.0) -> None:
        """Returns once an event has gone through the mesh."""
        deadline = time.monotonic() + patience_seconds
        while (answer := self.get(f"/api/events/{event_id}")).body.get("state") != "applied":
            assert time.monotonic() < deadline, answer
            time.sleep(0.005)

    def is_ready(self) -> bool:
        """Whether every service answers."""
        try:
            return self.get("/readyz").status == 200
        except OSError:
            return False

    def _call(self, request: urllib.request.Request) -> Answer:
        if self.key:
            request.add_header("authorization", f"Bearer {self.key}")
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as response:
                return Answer(response.status, json.load(response))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, json.load(error))


@contextlib.contextmanager
def running_mesh(folder: Path, **settings: str) -> Iterator[RunningMesh]:
    """A mesh that runs within the block and ends, cleanly, with it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JOURNEYMESH_")}
    environment |= addresses() | {"JOURNEYMESH_VAR": str(folder / "var")} | settings
    log = folder / "mesh.observability.log"
    with log.open("wb") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "cli", "run"], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    mesh = RunningMesh(
        "http://" + environment["JOURNEYMESH_HTTP_ADDRESS"],
        psutil.Process(supervisor.pid),
        log,
        int(environment["JOURNEYMESH_STORE_PORT"]),
        int(environment["JOURNEYMESH_METRICS_PORT"]),
        Path(environment["JOURNEYMESH_VAR"]) / PASSWORD_FILE,
    )
    try:
        _await_ready(mesh, supervisor)
        yield mesh
    finally:
        supervisor.terminate()
        try:
            supervisor.wait(60)
        except subprocess.TimeoutExpired:
            for process in mesh.processes():
                process.kill()
            raise


def addresses() -> dict[str, str]:
    """An environment in which every listener has a free port, and every caller knows it."""
    environment = {
        "JOURNEYMESH_STORE_PORT": str(free_port()),
        "JOURNEYMESH_METRICS_PORT": str(ports_in_a_row(_METRICS_PORTS)),
    }
    called = {callee for _, callee in topology.calls()}
    for name, process in topology.PROCESSES.items():
        address = f"127.0.0.1:{free_port()}"
        environment[process.listen_setting] = address
        if name in called:
            environment[f"JOURNEYMESH_{name.upper()}_TARGET"] = address
    return environment


def ports_in_a_row(count: int) -> int:
    """The first of so many ports in a row that nothing listens on now."""
    while True:
        first = 20_000 + PORTS_BEFORE + next(_attempts) * count % (PORTS_PER_PROCESS - count)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def _await_ready(mesh: RunningMesh, supervisor: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not mesh.is_ready():
        ended = supervisor.poll() is not None
        assert not ended, mesh.log.read_text()
        assert time.monotonic() < deadline, mesh.log.read_text()
        time.sleep(0.05)
