"""What is known of one user: the mesh's features and score, and the features alone from Feast's server with Redis."""

import contextlib
import itertools
import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from bench.harness import connections, environments, load, sides
from bench.harness.cpu import CpuTime
from bench.harness.report import Bounded, Claim, Found, Ratio, Table
from bench.harness.sides import await_so, is_there, running
from bench.sections import Scale
from mesh.store import embedded
from services.scoring.domain.schema import FEATURES
from tests.conftest import free_port

_USERS: Final = 1_000
_CLIENTS: Final = (1, 16)
_PATH: Final = "/api/users/{}"


class _Server(NamedTuple):
    """A server, and the request that reads each user."""

    url: str
    processes: Sequence[psutil.Process]
    requests: list[bytes]


class _Turn(NamedTuple):
    users_per_second: float
    cpu_micros: float
    p50_ms: float
    p99_ms: float


def reading(scale: Scale) -> Found:
    """Users per second, CPU per user and latency, each side in turn."""
    title = "Features and score of one user against Feast's server"
    about = (
        "The mesh answers the 13 features and the score with its reasons in one call, Feast the features and no score, "
        "by one worker. CPU is of servers and stores."
    )
    try:
        interpreter = environments.python("feast", installs=not scale.is_quick)
    except environments.NotInstalledError as error:
        return Found(title, about, skipped=str(error))
    turns: dict[tuple[int, str], list[_Turn]] = {}
    with _mesh() as ours, _feast(interpreter) as theirs:
        for _ in range(scale.rounds):
            for clients in _CLIENTS:
                for name, server in (("mesh", ours), ("Feast", theirs)):
                    turns.setdefault((clients, name), []).append(_turn(server, clients, scale.seconds))
    medians = {
        key: _Turn(*(statistics.median(column) for column in zip(*each, strict=True))) for key, each in turns.items()
    }
    rows = [[str(clients), name, *(f"{figure:,.2f}" for figure in each)] for (clients, name), each in medians.items()]
    columns = ("clients", "side", "users/s", "CPU µs per user", "p50 ms", "p99 ms")
    claims: list[Claim] = [
        Ratio(
            f"{clients} clients: users/s",
            medians[clients, "mesh"].users_per_second / medians[clients, "Feast"].users_per_second,
            10,
        )
        for clients in _CLIENTS
    ]
    claims.append(Bounded("p50 of one user's answer", medians[1, "mesh"].p50_ms, "ms", 2))
    return Found(title, about, [Table(title, columns, rows)], claims=claims)


def _turn(server: _Server, clients: int, seconds: int) -> _Turn:
    with CpuTime(server.processes) as cpu:
        answered = connections.saturate(server.url, itertools.cycle(server.requests), clients, seconds)
    assert not answered.refused  # noqa: S101 - figures of refusals are worth nothing
    waited = [seconds * 1000 for seconds in answered.latencies]
    return _Turn(
        len(waited) / answered.seconds,
        cpu.seconds / len(waited) * 1e6,
        load.percentile(waited, 0.5),
        load.percentile(waited, 0.99),
    )


@contextlib.contextmanager
def _mesh() -> Iterator[_Server]:
    with tempfile.TemporaryDirectory() as folder, sides.journeymesh(Path(folder)) as side:
        event = '{"eventId":"read-%d","userId":"user-%d","eventType":"page_view","properties":{"page":"/p"}}'
        bodies = [
            '{"events":[' + ",".join(event % (user, user) for user in range(first, first + 100)) + "]}"
            for first in range(0, _USERS, 100)
        ]
        posts = (connections.post("/api/events/track", body.encode()) for body in bodies)
        connections.saturate(side.url, posts, 1, 60)
        side.drain()
        requests = [connections.get(_PATH.format(f"user-{user}")) for user in range(_USERS)]
        yield _Server(side.url, [*side.processes.values()], requests)


@contextlib.contextmanager
def _feast(interpreter: Path) -> Iterator[_Server]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store, port = free_port(), free_port()
        environment = {"PATH": f"{interpreter.parent}:{os.environ['PATH']}", "HOME": str(folder)}
        kept = stack.enter_context(running(embedded.server_command(store, folder, "everysec"), environment))
        await_so(lambda: is_there(store))
        filling = Path(__file__).parents[1] / "peers" / "feast_users.py"
        fill = [str(interpreter), str(filling), str(folder), str(store), str(_USERS), json.dumps(FEATURES)]
        subprocess.run(fill, check=True, env=environment, cwd=folder, capture_output=True)  # noqa: S603 - a command of this module
        serve = f"--chdir {folder} serve --host 127.0.0.1 --port {port} --workers 1 --no-access-log"
        no_restart = "--max-requests 0 --max-requests-jitter 0"  # or its worker is replaced after a thousand
        command = [str(interpreter.with_name("feast")), *serve.split(), *no_restart.split()]
        server = stack.enter_context(running(command, environment, folder / "feast.log"))
        await_so(lambda: is_there(port))
        requests = [_request(user) for user in range(_USERS)]
        connections.saturate(f"http://127.0.0.1:{port}", iter(requests[:50]), 1, 60)  # its worker starts with the first
        yield _Server(f"http://127.0.0.1:{port}", [kept, server, *server.children(recursive=True)], requests)


def _request(user: int) -> bytes:
    body = {"features": [f"journey:{name}" for name in FEATURES], "entities": {"user_id": [f"user-{user}"]}}
    return connections.post("/get-online-features", json.dumps(body).encode())
