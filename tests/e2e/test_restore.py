"""A backup of the store, restored into an empty mesh as in docs/operations.md: everything goes on and counts once."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.processes import RunningMesh, running_mesh

pytestmark = pytest.mark.processes

USERS = ("ada", "ben")
PATIENCE_SECONDS = 20.0


def events(first: int, count: int) -> list[dict[str, Any]]:
    """Events of both users, in order, with ids and times of their own."""
    return [
        {
            "eventId": f"{user}-{number}",
            "userId": user,
            "eventType": "feature_interaction",
            "timestamp": f"2026-01-02T10:{number:02d}:00Z",
            "properties": {"page": "/calculator", "feature": f"field-{number % 3}"},
        }
        for number in range(first, first + count)
        for user in USERS
    ]


def send(mesh: RunningMesh, batch: list[dict[str, Any]]) -> dict[str, Any]:
    answer = mesh.track(*batch)
    assert answer.status == 202, answer
    for event in batch:
        mesh.await_applied(event["eventId"])
    body: dict[str, Any] = answer.body
    return body


def known(mesh: RunningMesh) -> list[Any]:
    """What the mesh knows of the users."""
    return [mesh.get(f"/api/users/{user}/{what}").body for user in USERS for what in ("features", "risk", "events")]


def without_receipts(answers: list[Any]) -> list[Any]:
    """Answers without when an event was received: some were received again."""
    return [
        [{**event, "receivedTime": ""} for event in answer["events"]] if "events" in answer else answer
        for answer in answers
    ]


def back_up(mesh: RunningMesh, folder: Path) -> Path:
    """A snapshot of the store as it runs."""
    with redis.Redis(port=mesh.store_port, password=mesh.store_password) as store:
        before = store.lastsave()
        # Its time is in whole seconds, so two snapshots within one second would look the same.
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.time() < before.timestamp() + 1:
            assert time.monotonic() < deadline
        store.bgsave()
        while store.lastsave() == before:
            assert time.monotonic() < deadline
        saved = Path(store.config_get("dir")["dir"]) / store.config_get("dbfilename")["dbfilename"]
    return Path(shutil.copy(saved, folder / "backup.rdb"))


def restore(backup: Path, folder: Path) -> None:
    """Makes a snapshot the base of the append-only file that a new store begins with."""
    folder.mkdir(parents=True)
    shutil.copy(backup, folder / "appendonly.aof.1.base.rdb")
    (folder / "appendonly.aof.manifest").write_text("file appendonly.aof.1.base.rdb seq 1 type b\n")


def test_a_restored_backup_knows_all_it_held_and_takes_the_rest_again_exactly_once(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    with running_mesh(first) as mesh:
        send(mesh, events(0, 10))
        backed_up = known(mesh)
        backup = back_up(mesh, tmp_path)
        send(mesh, events(10, 10))
        at_the_end = known(mesh)
    restore(backup, second / "var" / "appendonlydir")
    with running_mesh(second) as mesh:
        assert known(mesh) == backed_up
        again = send(mesh, events(0, 20))
        assert (again["accepted"], again["duplicates"]) == (20, 20)
        assert without_receipts(known(mesh)) == without_receipts(at_the_end)
    assert backed_up != at_the_end
