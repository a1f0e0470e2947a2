"""The gateway as a process: start, drain, and error messages."""

import contextlib
import http.client
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from gateway import serving
from tests.conftest import free_port

ROOT = Path(__file__).parents[2]
_CLIENTS = 16


@contextlib.contextmanager
def process(address: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"JOURNEYMESH_HTTP_ADDRESS": address, "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"} | more
    command = [sys.executable, "-m", "gateway"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=ROOT) as started:
        try:
            yield started
        finally:
            started.kill()


def alive(url: str, patience_seconds: float = 20) -> httpx.Response:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return httpx.get(f"{url}/healthz")
        except httpx.ConnectError:
            if time.monotonic() > deadline:
                raise


def test_it_serves_without_services_and_drains_on_request() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    nowhere = {f"JOURNEYMESH_{name}_TARGET": f"127.0.0.1:{free_port()}" for name in ("ACCESS", "INGEST")}
    with process(f"127.0.0.1:{port}", **nowhere) as started:
        assert alive(url).status_code == 200
        event = {"userId": "ada", "eventType": "session_start"}
        refused = httpx.post(f"{url}/api/events/track", json=event, timeout=20)
        assert (refused.status_code, refused.json()["reason"]) == (503, "DEPENDENCY_UNAVAILABLE")
        assert httpx.get(f"{url}/readyz", timeout=20).json()["services"][:2] == ["access", "ingest"]
        started.send_signal(signal.SIGTERM)
        _, said = started.communicate(timeout=10)
    assert started.returncode == 0
    assert "drained" in said
    assert "without TLS" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_connection_does_not_hold_the_process(number: signal.Signals) -> None:
    port = free_port()
    with process(f"127.0.0.1:{port}") as started:
        alive(f"http://127.0.0.1:{port}")
        with socket.create_connection(("127.0.0.1", port)) as idle:
            idle.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert idle.recv(12) == b"HTTP/1.1 200"
            began = time.monotonic()
            started.send_signal(number)
            started.communicate(timeout=10)
    assert started.returncode == 0
    assert time.monotonic() - began < 5


def test_clients_with_an_open_connection_are_asked_to_close_it_first() -> None:
    port = free_port()
    with process(f"127.0.0.1:{port}", JOURNEYMESH_LEAVE_SECONDS="20") as started:
        alive(f"http://127.0.0.1:{port}")
        held = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        held.request("GET", "/healthz")
        before = held.getresponse()
        before.read()
        started.send_signal(signal.SIGTERM)
        read_until(started, "leaving")
        # Whoever comes while it waits is served too: not everybody knows yet that it goes.
        late = httpx.get(f"http://127.0.0.1:{port}/healthz")
        held.request("GET", "/healthz")  # a broken pipe, if the gateway had closed it
        after = held.getresponse()
        after.read()
        began = time.monotonic()
        started.communicate(timeout=10)
    assert (before.status, before.getheader("connection")) == (200, None)
    assert (after.status, after.getheader("connection")) == (200, "close")
    assert (late.status_code, late.headers["connection"]) == (200, "close")
    assert time.monotonic() - began < 5, "nobody is left to wait for"


def test_every_client_that_gets_a_connection_gets_an_answer_to_the_last() -> None:
    port = free_port()
    failed: list[str] = []
    counts: Counter[str] = Counter()
    with process(f"127.0.0.1:{port}", JOURNEYMESH_LEAVE_SECONDS="1") as started:
        alive(f"http://127.0.0.1:{port}")
        with ThreadPoolExecutor(_CLIENTS) as clients:
            for _ in range(_CLIENTS):
                clients.submit(_ask_until_refused, port, counts, failed)
            started.send_signal(signal.SIGTERM)
            read_until(started, "leaving")
            started.communicate(timeout=20)
    assert failed == []
    assert counts["refused"] == _CLIENTS
    assert counts["answered"] > _CLIENTS


def _ask_until_refused(port: int, counts: Counter[str], failed: list[str]) -> None:
    """Opens one connection after the other; the request follows the connection after up to 20 ms."""
    for number in itertools.count():
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                time.sleep(number % 5 * 0.005)
                connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
                answer = connection.recv(12)
        except ConnectionRefusedError:
            counts["refused"] += 1
            return
        except OSError as error:
            failed.append(repr(error))
        else:
            counts["answered"] += 1
            if answer != b"HTTP/1.1 200":
                failed.append(repr(answer))


def read_until(started: "subprocess.Popen[str]", word: str) -> None:
    assert started.stderr is not None
    while word not in (line := started.stderr.readline()):
        assert line


def test_a_taken_port_is_reported_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with process(address) as started:
            _, said = started.communicate(timeout=20)
    assert started.returncode == 1
    assert said.count("\n") == 1
    assert address in said
    assert "Address already in use" in said


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:many", "127.0.0.1:99999", "no.such.host.invalid:80"])
def test_an_invalid_address_is_refused_in_one_sentence(address: str) -> None:
    with pytest.raises(SystemExit, match="JOURNEYMESH_HTTP_ADDRESS must be host:port"):
        serving.listen(address)


@pytest.mark.parametrize("address", ["0.0.0.0:0", ":0", "[::]:0"])
def test_other_machines_are_served_only_if_a_key_is_required(address: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(
        SystemExit, match=r"requests need no key\. Set JOURNEYMESH_KEYS=required, or listen on 127\.0\.0\.1"
    ):
        serving.listen(address)
    for keys, warning in (("required", "without TLS"), ("elsewhere", "whoever gets through")):
        caplog.clear()
        with serving.listen(address, keys) as listener:
            assert listener.getsockname()[1] > 0
        assert any(warning in record.message for record in caplog.records)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0"])
@pytest.mark.parametrize("keys", ["none", "elsewhere", "required"])
def test_on_this_machine_keys_are_a_choice(address: str, keys: str, caplog: pytest.LogCaptureFixture) -> None:
    with serving.listen(address, keys) as listener:
        assert listener.getsockname()[1] > 0
    assert not caplog.records


@pytest.mark.parametrize(
    "said",
    [
        b"nonsense\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n",
        b"POST /api/events/track HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1\r\n\r\n{",
    ],
    ids=["no request", "no host", "another protocol", "no event"],
)
def test_bad_requests_write_no_log(said: bytes) -> None:
    port = free_port()
    with process(f"127.0.0.1:{port}") as started:
        alive(f"http://127.0.0.1:{port}")
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", port)) as bad:
                bad.sendall(said)
                assert bad.recv(8) == b"HTTP/1.1"
        started.send_signal(signal.SIGTERM)
        _, written = started.communicate(timeout=10)
    assert written.count("\n") == 3, written  # that it listens, leaves and is drained


def test_connections_beyond_a_bound_are_logged_once_per_second() -> None:
    port = free_port()
    with process(f"127.0.0.1:{port}", JOURNEYMESH_CONNECTION_COUNT="4") as started:
        alive(f"http://127.0.0.1:{port}")
        with contextlib.ExitStack() as held:
            for _ in range(100):
                held.enter_context(socket.create_connection(("127.0.0.1", port)))
            read_until(started, "JOURNEYMESH_TRUSTED_PROXIES")
        started.send_signal(signal.SIGTERM)
        _, written = started.communicate(timeout=10)
    assert written.count("JOURNEYMESH_TRUSTED_PROXIES") <= 1, written
    assert "127.0.0.1" not in written
