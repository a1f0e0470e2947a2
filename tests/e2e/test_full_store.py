"""The store is full: events are refused with when to come again, what was accepted waits, and all goes on by itself."""

import time
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
import redis

from tests.processes import RunningMesh, running_mesh

pytestmark = pytest.mark.processes

PATIENCE_SECONDS: Final = 30.0
ROOM_BYTES: Final = 100_000


def event(number: int) -> dict[str, Any]:
    return {
        "eventId": f"e{number}",
        "userId": f"user-{number % 7}",
        "eventType": "page_view",
        "properties": {"page": "/a"},
    }


def await_refusal(mesh: RunningMesh, first: int) -> int:
    """Sends one by one until one is refused, which must come soon; gives its number."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    number = first
    while (answer := mesh.track(event(number))).status == 202:
        assert time.monotonic() < deadline
        number += 1
    assert answer.status == 503
    assert answer.body["reason"] == "DEPENDENCY_UNAVAILABLE"
    return number


def ids(processes: list[psutil.Process]) -> set[int]:
    return {process.pid for process in processes}


def test_a_full_store_stops_accepting_events_and_nothing_else(tmp_path: Path) -> None:
    with running_mesh(tmp_path) as mesh, redis.Redis(port=mesh.store_port, password=mesh.store_password) as store:
        assert mesh.track(event(0)).status == 202
        mesh.await_applied("e0")
        running = ids(mesh.processes())
        store.config_set("maxmemory", store.info("memory")["used_memory"] + ROOM_BYTES)
        refused = await_refusal(mesh, 1)
        assert mesh.get("/api/users/user-0/features").status == 200
        store.config_set("maxmemory", "0")
        for number in range(refused + 1):
            assert mesh.track(event(number)).status == 202
            mesh.await_applied(f"e{number}", PATIENCE_SECONDS)
        assert ids(mesh.processes()) == running, mesh.log.read_text()[-3000:]
        counted = [mesh.get(f"/api/users/user-{user}/profile").body for user in range(7)]
    assert sum(one.get("eventCount", 0) for one in counted) == refused + 1
    assert refused > 1
