"""The mesh as a cluster runs it: several pods of each deployment beside one store, restarted pod by pod."""

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import grpc
import psutil
import redis
from grpc_health.v1 import health_pb2, health_pb2_grpc

import topology
from mesh.store import embedded
from tests.conftest import free_port
from tests.processes import RunningMesh, ports_in_a_row
from tests.upgrade.builds import HERE, Build

PATIENCE_SECONDS: Final = 120.0
# What a cluster gives a pod before it kills it, without the time it waits before SIGTERM.
DRAIN_SECONDS: Final = 25.0
REPLICAS: Final = 2

_COMMANDS: Final = {
    each.name: [topology.service_of(each.name).module, *([each.role] if each.role else [])]
    for each in topology.in_start_order()
}
_CALLED: Final = {callee for _, callee in topology.calls()}


class Pod:
    """One replica; after a restart another process with another name at the same address, as behind a fixed target."""

    def __init__(self, deployment: str, number: int, build: Build, environment: dict[str, str], log: Path) -> None:
        self.deployment = deployment
        self.build = build
        """The version that it runs at its next start."""
        self.name = f"{deployment}-{number}"
        port = ports_in_a_row(2)
        self.address = f"127.0.0.1:{port}"
        self.log = log
        self.restarts = 0
        self._probe = f"127.0.0.1:{port + 1}"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts its process."""
        self.restarts += 1
        own = {
            topology.PROCESSES[self.deployment].listen_setting: self.address,
            "JOURNEYMESH_PROBE_LISTEN": self._probe,
            "JOURNEYMESH_READER_NAME": f"{self.name}-{self.restarts}",
        }
        command = _COMMANDS[self.deployment]
        # A service that the other version does not have yet is there before and after it.
        build = self.build if self.build.has(command[0]) else HERE
        environment = {**self._environment, **build.environment(), **own}
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [build.python, "-m", *command], cwd=build.root, env=environment, stdout=output, stderr=subprocess.STDOUT
            )

    def stop(self) -> int:
        """Ends its process as a cluster does, in time or by force, and returns its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def kill(self) -> None:
        """Ends its process at once, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def await_ready(self) -> None:
        """Returns once its probe says that it is ready."""
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._is_ready():
            assert self._process.poll() is None, self.log.read_text()[-4000:]
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        if self.deployment == "gateway":
            try:
                with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=5) as answer:
                    return bool(answer.status == 200)
            except (OSError, urllib.error.HTTPError):
                return False
        with grpc.insecure_channel(self._probe) as channel:
            try:
                answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
            except grpc.RpcError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


class Fleet(NamedTuple):
    """All pods by deployment, in the order of their start, and the store's port."""

    pods: dict[str, list[Pod]]
    store_port: int

    def gateway(self, number: int) -> RunningMesh:
        """What one gateway answers."""
        pod = self.pods["gateway"][number]
        return RunningMesh(f"http://{pod.address}", psutil.Process(), pod.log, self.store_port, 0)


@contextlib.contextmanager
def sailing(folder: Path, settings: Mapping[str, str], build: Build = HERE) -> Iterator[Fleet]:
    """A fleet that is ready within the block and ends with it."""
    store_port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JOURNEYMESH_")}
    environment |= {
        "JOURNEYMESH_REDIS_URL": f"redis://127.0.0.1:{store_port}/0",
        "JOURNEYMESH_ARCHIVE_URL": (folder / "archive").as_uri(),
        "PYTHONUNBUFFERED": "1",
        **settings,
    }
    pods = {
        deployment: [
            Pod(deployment, number, build, environment, folder / f"{deployment}.log") for number in range(REPLICAS)
        ]
        for deployment in _COMMANDS
    }
    for deployment in _CALLED:
        addresses = ",".join(pod.address for pod in pods[deployment])
        environment[f"JOURNEYMESH_{deployment.upper()}_TARGET"] = f"ipv4:{addresses}"
    everyone = [pod for replicas in pods.values() for pod in replicas]
    with subprocess.Popen(embedded.server_command(store_port, folder, "everysec"), stdout=subprocess.DEVNULL) as store:
        try:
            _await_store(store_port)
            for pod in everyone:
                pod.start()
            for pod in everyone:
                pod.await_ready()
            yield Fleet(pods, store_port)
        finally:
            for pod in everyone:
                pod.kill()
            store.terminate()


def _await_store(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    with redis.Redis(port=port) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                return
