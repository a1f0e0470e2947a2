"""Releases of the mesh over running processes: an incident's reader is told by REST which one replaced which."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import redis

import topology
from mesh import VERSION
from tests.conftest import free_port
from tests.e2e.following import kill, until
from tests.processes import RunningMesh, running_mesh

pytestmark = pytest.mark.processes

NEXT: Final = "9.9.9"
KEY: Final = "jm:{analytics}:releases"
RUN: Final = """
import sys
from mesh.process import lifecycle
from services.analytics.__main__ import main
lifecycle.run(main(sys.argv[1]))
"""


@contextlib.contextmanager
def replica(mesh: RunningMesh, folder: Path, listen: str, version: str) -> Iterator[None]:
    """Another analytics process of the mesh, as if of this version, within the block."""
    settings = {
        topology.PROCESSES["analytics"].listen_setting: listen,
        "JOURNEYMESH_REDIS_URL": f"redis://127.0.0.1:{mesh.store_port}/0",
        "JOURNEYMESH_REDIS_PASSWORD_FILE": str(mesh.password_file),
        "JOURNEYMESH_ANALYTICS_FOLDER": str(folder / "replica"),
    }
    with (folder / "replica.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, version], env=os.environ | settings, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def deploys(mesh: RunningMesh) -> list[str]:
    """The releases that are told, the latest first."""
    answer = mesh.get("/api/insights/changes")
    assert answer.status == 200, answer
    return [each["name"] for each in answer.body["changes"] if each["kind"] == "deploy"]


def test_an_upgrade_and_its_roll_back_are_told_and_a_crash_of_an_old_process_is_neither(tmp_path: Path) -> None:
    forth, back = f"Journeymesh {VERSION} → {NEXT}", f"Journeymesh {NEXT} → {VERSION}"
    listen = f"127.0.0.1:{free_port()}"
    with running_mesh(tmp_path) as mesh, redis.Redis(port=mesh.store_port, password=mesh.store_password) as store:

        def await_start(number: int) -> None:
            """Returns once so many starts are noted in all."""
            until(lambda: int(store.hget(KEY, "changes") or 0) >= number, "a start is not noted")

        await_start(1)
        assert deploys(mesh) == []
        with replica(mesh, tmp_path, listen, NEXT):
            await_start(2)
            assert deploys(mesh) == [forth]
            kill(mesh, "analytics")
            await_start(3)
            until(mesh.is_ready, "the mesh is not ready again")
            assert deploys(mesh) == [forth]
        with replica(mesh, tmp_path, listen, VERSION):
            await_start(4)
            assert deploys(mesh) == [back, forth]
