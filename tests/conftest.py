"""Fixtures shared by all tests."""

import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis as redis_client
from hypothesis import settings

from mesh import embedded, redis

# A change is judged by the same examples on every machine, and no example by the machine's speed; `make explore` draws
# others.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=500, print_blob=True)
settings.load_profile("steady")


def free_port() -> int:
    """A port nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
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


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[redis.Client]:
    """A client of the real server, emptied before the test."""
    client = redis.connect(valkey_url)
    await client.flushall()
    yield client
    await client.aclose()


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
