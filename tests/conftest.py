"""Fixtures shared by all tests."""

import contextlib
import itertools
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import redis as redis_client
from hypothesis import settings

from mesh.store import embedded, redis
from mesh.store.cluster import Cluster

if TYPE_CHECKING:
    from tests.cluster import StoreCluster

# A change is judged by the same examples on every machine, and no example by the machine's speed; `make explore` draws
# others.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=500, print_blob=True)
settings.load_profile("steady")


# Tests that run beside each other take ports of their own, so that none is given twice before somebody listens on it.
# All are below those the kernel gives to whoever asks for any, so that no connection made meanwhile has one of them.
PORTS_PER_PROCESS: Final = 1_000
PORTS_BEFORE: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10 * PORTS_PER_PROCESS
_attempts: Final = itertools.count(os.getpid())


def free_port() -> int:
    """A port nothing listens on now."""
    while True:
        port = 10_000 + PORTS_BEFORE + next(_attempts) % PORTS_PER_PROCESS
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Valkey server, one for all tests of the run; each test uses it through `valkey`, which empties it."""
    port, folder = free_port(), Path(tmp_path_factory.mktemp("valkey"))
    server = subprocess.Popen(embedded.server_command(port, folder, "everysec"), stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        _await_answer(url)
        yield url
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator["StoreCluster"]:
    """A real cluster of three primaries, one for all tests of the run."""
    from tests.cluster import running_cluster

    with running_cluster(Path(tmp_path_factory.mktemp("cluster"))) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def cluster_url(cluster: "StoreCluster") -> str:
    """How a client finds the cluster."""
    return cluster.url


@pytest.fixture
async def server(valkey_url: str) -> AsyncIterator[redis.Client]:
    """A client of the real server, emptied before the test."""
    async with contextlib.aclosing(redis.connect(valkey_url)) as client:
        await client.flushall()
        yield client


@pytest.fixture(params=["server", "cluster"])
async def valkey(request: pytest.FixtureRequest) -> AsyncIterator[redis.Client]:
    """A client of the real server, then of the real cluster, emptied before the test."""
    name = "valkey_url" if request.param == "server" else "cluster_url"
    url: str = request.getfixturevalue(name)
    async with contextlib.aclosing(redis.connect(url)) as client:
        await (client.each("FLUSHALL") if isinstance(client, Cluster) else client.flushall())
        yield client


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what would run in memory or on Kinesis a second time, because a cluster stands unused beside it."""
    twice = {item for item in items if _is_beside_the_cluster(item)}
    config.hook.pytest_deselected(items=list(twice))
    items[:] = [item for item in items if item not in twice]


def _is_beside_the_cluster(item: pytest.Item) -> bool:
    parameters = dict(item.callspec.params) if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    store = parameters.pop("valkey", "server")
    return store == "cluster" and any(str(each).startswith(("memory", "kinesis")) for each in parameters.values())


def _await_answer(url: str, patience_seconds: float = 10) -> None:
    deadline = time.monotonic() + patience_seconds
    with redis_client.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except redis_client.ConnectionError:
                if time.monotonic() > deadline:
                    raise
            else:
                return
