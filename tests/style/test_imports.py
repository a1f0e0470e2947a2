"""The import contracts hold, and each fails when it is broken."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("topology", "comparison", "mesh", "records", "services", "gateway", "offline", "cli", "monitoring")

# What is seeded: the file it goes into, the line, and the contract that must refuse it.
VIOLATIONS = {
    "a service imports another": (
        "services/video/domain/playback.py",
        "import services.features.domain.vector",
        "No service imports another",
    ),
    "a stray module": ("services/scoring/utils.py", "", "Every service has the same layers"),
    "the domain imports a port": (
        "services/ingest/events/domain/event.py",
        "import services.ingest.events.ports",
        "Every room of ingest has the same layers",
    ),
    "an adapter imports a use case": (
        "services/ingest/accept/adapters/redis.py",
        "import services.ingest.accept.usecases",
        "Adapters import no use cases",
    ),
    "a stray room of intervention": (
        "services/intervention/utils.py",
        "",
        "Intervention is made of rooms",
    ),
    "a room imports one above it": (
        "services/intervention/decision/domain/facts.py",
        "import services.intervention.delivery.domain.delivery",
        "Intervention is made of rooms",
    ),
    "the domain of a room imports its ports": (
        "services/intervention/decision/domain/facts.py",
        "import services.intervention.decision.ports",
        "Every room of intervention has the same layers",
    ),
    "an adapter of a room imports a use case": (
        "services/intervention/delivery/adapters/webhook.py",
        "import services.intervention.delivery.usecases",
        "Adapters import no use cases",
    ),
    "the domain of a room imports redis": (
        "services/intervention/decision/domain/facts.py",
        "import redis",
        "The domain is pure",
    ),
    "a use case of a room imports a message": (
        "services/intervention/batch/rows.py",
        "import journeymesh.common.v1.event_pb2",
        "Wire messages stay at the faces",
    ),
    "the runtime imports a service": ("mesh/clock.py", "import services.ingest", "The runtime knows no service"),
    "the runtime imports a message": ("mesh/clock.py", "import journeymesh.common.v1", "The runtime knows no service"),
    "the topology imports a service": ("topology/__init__.py", "import services.ingest", "The topology is data"),
    "records import the runtime": ("records/table.py", "import mesh.clock", "Records know the contract only"),
    "a comparison imports numpy": ("comparison/sums.py", "import numpy", "Comparisons need the standard library alone"),
    "a use case imports a message": (
        "services/ingest/accept/usecases.py",
        "import journeymesh.common.v1.event_pb2",
        "Wire messages stay at the faces",
    ),
    "a state imports a message": (
        "services/scoring/states.py",
        "import journeymesh.common.v1.event_pb2",
        "Wire messages stay at the faces",
    ),
    "the audit log imports the keys": (
        "services/access/audit/usecases.py",
        "import services.access.keys.ports",
        "Access is made of four rooms",
    ),
    "a stray module in a room of access": (
        "services/access/keys/utils.py",
        "",
        "Every room of access has the same layers",
    ),
    "a room of ingest imports another": (
        "services/ingest/dispatch/steps.py",
        "import services.ingest.accept.ports",
        "Ingest has a room per role",
    ),
    "a stray module in a room": ("services/ingest/archive/utils.py", "", "Every room of ingest has the same layers"),
    "a domain of ingest imports the runtime": (
        "services/ingest/accept/domain/skew.py",
        "import mesh.clock",
        "The domain is pure",
    ),
    "the domain imports redis": ("services/features/domain/window.py", "import redis", "The domain is pure"),
    "the domain imports the runtime": ("services/features/domain/window.py", "import mesh.clock", "The domain is pure"),
    "a dashboard imports a service": (
        "monitoring/rules.py",
        "import services.ingest",
        "Dashboards and alerts know the registry only",
    ),
    "the gateway imports a service": ("gateway/app.py", "import services.ingest", "The gateway knows services"),
    "a format imports a route": (
        "gateway/formats/native.py",
        "import gateway.contract.route",
        "The gateway is built in layers",
    ),
    "a stray module of the gateway": ("gateway/utils.py", "", "The gateway is built in layers"),
    "a service imports offline": ("services/scoring/usecases.py", "import offline", "Only offline and the command"),
    "a cycle": ("mesh/errors.py", "import mesh.state.applied", "No cycles"),
}


def test_the_layers_of_every_service_are_held() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    held = [each for contract in contracts if contract["type"] == "layers" for each in contract.get("containers", [])]
    assert {f"services.{path.parent.name}" for path in ROOT.glob("services/*/__init__.py")} <= set(held)


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    environment = {"PYTHONPATH": f"{folder}:{ROOT / 'gen'}", "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    return subprocess.run(
        [*command, "--no-cache"], cwd=folder, env=environment, text=True, capture_output=True, check=False
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_repository_keeps_its_contracts(repository: Path) -> None:
    result = lint(repository)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("file", "line", "contract"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_broken_contract_is_refused(repository: Path, file: str, line: str, contract: str) -> None:
    path = repository / file
    before = path.read_text() if path.exists() else None
    path.write_text((before or "") + f"\n{line}\n")
    try:
        result = lint(repository)
    finally:
        path.unlink() if before is None else path.write_text(before)
    assert result.returncode != 0
    (verdict,) = [one for one in result.stdout.splitlines() if one.startswith(contract) and "KEPT" not in one][:1]
    assert "BROKEN" in verdict
