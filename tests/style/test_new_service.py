"""A new service is its folder, its proto, a row of the topology and its name in the contract of layers.

Checked with one that only echoes.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.conftest import free_port
from tests.processes import addresses
from tests.style.test_repository import tracked

ROOT: Final = Path(__file__).parents[2]
HELM: Final = ROOT / ".tools" / "bin" / "helm"
PATIENCE_SECONDS: Final = 60.0

ROW: Final = """    Service(
        "echo",
        "Answers with what it was asked",
        "services.echo",
        (Process("echo", "Answers with what it was asked.", 7120, ("features",), Resources(10, 64, 128)),),
        extras=(),
        owns="nothing",
    ),
"""
SHAPED: Final = 'containers = ["services.features", '
FILES: Final = {
    "__init__.py": '"""Answers with what it was asked."""\n',
    "__main__.py": '''"""Composition root of the echo service."""

from journeymesh.echo.v1 import echo_pb2
from journeymesh.echo.v1.echo_pb2_grpc import add_EchoServiceServicer_to_server

from mesh.observability import log, telemetry
from mesh.observability.telemetry import TelemetrySettings
from mesh.process import lifecycle, server
from mesh.process.site import ServerSettings, open_site
from mesh.rpc.tls import TlsSettings
from mesh.settings import read_or_exit
from services.echo.servicer import EchoServicer
from services.echo.settings import Settings


async def main() -> None:
    """Serves until the process is asked to stop."""
    settings = read_or_exit(Settings)
    log.start("echo", read_or_exit(log.LogSettings))
    traced = telemetry.start("echo", read_or_exit(TelemetrySettings))
    async with open_site(read_or_exit(ServerSettings), read_or_exit(TlsSettings)) as site:
        await server.serve(
            settings.listen,
            [lambda grpc_server: add_EchoServiceServicer_to_server(EchoServicer(), grpc_server)],
            [echo_pb2.DESCRIPTOR.services_by_name["EchoService"].full_name],
            {},
            traced,
            site,
        )
    traced.close()


if __name__ == "__main__":
    lifecycle.run(main())
''',
    "settings.py": '''"""Settings of the echo service."""

from dataclasses import dataclass

import topology
from mesh.settings import setting


@dataclass(frozen=True)
class Settings:
    """Where it listens, and whom it calls."""

    listen: str = setting("JOURNEYMESH_ECHO_LISTEN", topology.address("echo"), "Where the echo service listens.")
    features: str = setting("JOURNEYMESH_FEATURES_TARGET", topology.address("features"), "Where features is reached.")
''',
    "servicer.py": '''"""The gRPC face of the echo service."""

from typing import TYPE_CHECKING

from journeymesh.echo.v1 import echo_pb2 as wire
from journeymesh.echo.v1.echo_pb2_grpc import EchoServiceServicer

from services.echo import usecases

if TYPE_CHECKING:
    from journeymesh.echo.v1.echo_pb2_grpc import _ServicerContext as Context


class EchoServicer(EchoServiceServicer):
    """Serves `EchoService`."""

    async def Echo(self, request: wire.EchoRequest, _context: "Context") -> wire.EchoResponse:
        """Answers with the text of the request."""
        return wire.EchoResponse(text=usecases.echo(request.text))
''',
    "usecases.py": '''"""The verb of the echo service."""

from services.echo.domain import reply


def echo(text: str) -> str:
    """What is answered to a text."""
    return reply.to(text)
''',
    "ports.py": '"""What the use cases need from outside: nothing."""\n',
    "adapters/__init__.py": '"""None: there are no ports."""\n',
    "domain/__init__.py": '"""What an echo is."""\n',
    "domain/reply.py": '''"""A reply."""


def to(text: str) -> str:
    """The reply to a text: the text."""
    return text
''',
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with one service more, and its code generated."""
    folder = tmp_path_factory.mktemp("copy")
    for path in tracked():
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for name, text in FILES.items():
        path = folder / "services" / "echo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    proto = folder / "protos" / "journeymesh" / "echo" / "v1" / "echo.proto"
    proto.parent.mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "style" / "echo" / "echo.proto", proto)
    table = folder / "topology" / "__init__.py"
    before, mark, after = table.read_text().partition(")\n\nPROCESSES: Final")
    table.write_text(before + ROW + mark + after)
    rules = folder / "pyproject.toml"
    rules.write_text(rules.read_text().replace(SHAPED, f'{SHAPED}"services.echo", '))
    shutil.copytree(ROOT / "gen", folder / "gen", ignore=shutil.ignore_patterns("__pycache__"))
    written = [f"--{kind}=gen" for kind in ("python_out", "grpc_python_out", "mypy_out", "mypy_grpc_out")]
    plugins = [f"--plugin={Path(sys.executable).parent / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "--proto_path=protos", *written, *plugins]
    run(folder, *protoc, "journeymesh/echo/v1/echo.proto")
    return folder


def environment(folder: Path) -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith("JOURNEYMESH_")}
    path = f"{Path(sys.executable).parent}:{given['PATH']}"
    return {**given, "PYTHONPATH": f"{folder}:{folder / 'gen'}", "PATH": path}


def run(folder: Path, *command: str) -> str:
    """What a command says that has to succeed."""
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), text=True, capture_output=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_keeps_the_rules_of_the_repository(copy: Path) -> None:
    run(copy, "lint-imports", "--no-cache")
    run(copy, "ruff", "check", "services/echo", "topology")
    run(copy, "ruff", "format", "--check", "services/echo")
    run(copy, "buf", "lint")
    run(copy, "mypy", "services/echo", "topology")


def test_a_layer_that_is_missing_is_seen(copy: Path) -> None:
    usecases = copy / "services" / "echo" / "usecases.py"
    usecases.rename(copy / "verbs.py")
    try:
        command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
        done = subprocess.run(command, cwd=copy, env=environment(copy), capture_output=True, check=False)
        assert done.returncode != 0
    finally:
        (copy / "verbs.py").rename(usecases)


def test_the_chart_and_the_documents_follow(copy: Path) -> None:
    run(
        copy,
        sys.executable,
        "-c",
        "from helm import render as r\n"
        "r.VALUES_PATH.write_text(r.values_text())\n"
        "r.SCHEMA_PATH.write_text(r.schema())\n"
        "from cli import reference as d; d.TOPOLOGY_PATH.write_text(d.topology_page())",
    )
    values = yaml.safe_load((copy / "helm" / "journeymesh" / "values.yaml").read_text())
    assert values["services"]["echo"] == {
        "image": "echo",
        "port": 7120,
        "calls": ["features"],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
    }
    assert "    echo --> features\n" in (copy / "docs" / "topology.md").read_text()


@pytest.mark.tools
def test_the_chart_installs_it_and_lets_its_calls_through(copy: Path) -> None:
    test_the_chart_and_the_documents_follow(copy)
    chart = str(copy / "helm" / "journeymesh")
    documents = list(yaml.safe_load_all(run(copy, str(HELM), "template", "journeymesh", chart)))
    made = {(each["kind"], each["metadata"]["name"]): each for each in documents if each}
    container = made["Deployment", "journeymesh-echo"]["spec"]["template"]["spec"]["containers"][0]
    named = {each["name"]: each.get("value") for each in container["env"]}
    assert "journeymesh-features" in str(named["JOURNEYMESH_FEATURES_TARGET"])
    assert "7102" in str(made["NetworkPolicy", "journeymesh-echo"]["spec"]["egress"])


@pytest.fixture
def running(copy: Path) -> Iterator[Mapping[str, str]]:
    """The mesh of the copy, as processes; gives its settings."""
    settings = addresses() | {"JOURNEYMESH_ECHO_LISTEN": f"127.0.0.1:{free_port()}"}
    command = [sys.executable, "-m", "cli", "run"]
    log = copy / "mesh.observability.log"
    with log.open("wb") as output:
        mesh = subprocess.Popen(
            command, cwd=copy, env={**environment(copy), **settings}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield settings
    finally:
        mesh.terminate()
        mesh.wait(60)


@pytest.mark.processes
def test_the_mesh_runs_it(running: Mapping[str, str], copy: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    with grpc.insecure_channel(running["JOURNEYMESH_ECHO_LISTEN"]) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        while True:
            try:
                answer = health.Check(health_pb2.HealthCheckRequest(service="journeymesh.echo.v1.EchoService"))
                break
            except grpc.RpcError:
                assert time.monotonic() < deadline, (copy / "mesh.observability.log").read_text()
                time.sleep(0.05)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        echo: Any = channel.unary_unary("/journeymesh.echo.v1.EchoService/Echo")
        assert echo(b"\n\x05hello", timeout=10) == b"\n\x05hello"
