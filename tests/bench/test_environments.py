"""What the mesh is compared with is pinned, and what a guarantee is left out by still fits the mesh."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from bench.harness import environments, rewiring
from bench.harness.clusters import running_cluster
from bench.harness.report import Ratio
from bench.sections import QUICK, cluster, reading, scoring


@pytest.mark.parametrize("name", ["mlserver", "feast"])
def test_a_lock_pins_with_hashes_and_names_no_address(name: str) -> None:
    text = (environments.LOCKS / f"{name}.lock").read_text()
    packages = re.findall(r"^[a-z0-9][^ ]*", text, flags=re.MULTILINE)
    assert len(packages) > 20
    assert all("==" in package for package in packages)
    assert text.count("--hash=sha256:") >= len(packages)
    assert not re.search(r"https?://|index-url|find-links", text)


@pytest.mark.parametrize("section", [scoring.scoring, reading.reading])
def test_who_is_not_installed_is_left_out_with_the_reason(
    section: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environments, "_CACHE", tmp_path)
    assert callable(section)
    assert "is not installed" in section(QUICK).skipped


@pytest.mark.processes
def test_the_mesh_runs_on_a_cluster_beside_one_store() -> None:
    assert all(ratio.value > 0 for ratio in cluster.cluster(QUICK).claims if isinstance(ratio, Ratio))


@pytest.mark.parametrize("name", ["ids", "fences"])
def test_a_process_of_the_mesh_leaves_it_out(name: str) -> None:
    shown = (
        "from services.ingest.events.adapters.redis_seen import RedisSeenEvents as a\n"
        "from mesh.state.redis import RedisState as b\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", f"{shown}print(a.__module__, b.save.__module__)", "services.ingest"],
        env=rewiring.settings(name),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.split().count("bench.harness.rewiring") == 1


def test_a_process_does_not_start_with_a_wiring_that_does_not_fit() -> None:
    environment = rewiring.settings("nothing of the kind")
    assert (
        subprocess.run([sys.executable, "-c", ""], env=environment, capture_output=True, check=False).returncode == 70
    )


def test_a_process_of_the_mesh_has_another_store() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.environ['JOURNEYMESH_REDIS_URL'])", "services.scoring"],
        env={**rewiring.settings("store", "redis://elsewhere:1/0"), "JOURNEYMESH_REDIS_URL": "redis://here:1/0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "redis://elsewhere:1/0"


def test_a_cluster_takes_commands_for_every_slot(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as cluster, redis.RedisCluster("127.0.0.1", cluster.ports[0]) as client:
        for number in range(100):
            client.set(f"key-{number}", number)
        assert [int(client.get(f"key-{number}") or -1) for number in range(100)] == list(range(100))
        assert len({client.get_node_from_key(f"key-{number}") for number in range(100)}) == 3
