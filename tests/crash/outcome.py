"""What a mesh knows once everything that was sent is applied and archived."""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from services.ingest.adapters.archive_files import ParquetArchive
from services.ingest.domain.archive import DECISIONS
from tests.crash.load import PATIENCE_SECONDS, Event
from tests.processes import RunningMesh


class Outcome(NamedTuple):
    """What is known of every user, every decision by its event, and how the replay of the archive ended."""

    users: dict[str, dict[str, Any]]
    decisions: dict[str, dict[str, Any]]
    replay: "subprocess.CompletedProcess[str]"


# What hangs on the time of day or on the place on the stream: a decision falls at the time the event was received.
# The draw comes from the place; the inputs hold places and times of earlier offers, of which one may be withdrawn.
_BY_CHANCE: Final = {
    "decision_id",
    "shard",
    "sequence",
    "event_index",
    "received_time",
    "explanation",
    "draw",
    "inputs",
    "withdrawn",
}
_HELP_BY_CHANCE: Final = {"id", "expires_at", "deliver_by_time"}


def outcome(mesh: RunningMesh, folder: Path, events: Sequence[Event]) -> Outcome:
    """Waits until all is applied and archived, then asks for everything."""
    _await_ready(mesh)
    last = {event["userId"]: event["eventId"] for event in events}
    for event_id in last.values():
        mesh.await_applied(event_id, PATIENCE_SECONDS)
    await_archived(mesh)
    archive = (folder / "var" / "archive").as_uri()
    replay = subprocess.run(
        [sys.executable, "-m", "offline.replay", "--archive", archive, "--compare", mesh.url],
        text=True,
        capture_output=True,
        timeout=600,
        check=False,
    )
    return Outcome({user: _known(mesh, user) for user in last}, decisions(archive), replay)


def _await_ready(mesh: RunningMesh) -> None:
    """The last kill may have been a moment ago."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not mesh.is_ready():
        assert time.monotonic() < deadline, "the mesh is not ready"
        time.sleep(0.05)


def await_archived(mesh: RunningMesh) -> None:
    """Returns once the archiver has all that the dispatcher has."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        done: dict[str, dict[str, Any]] = {"dispatcher": {}, "archiver": {}}
        for standing in mesh.get("/api/pipeline").body["standings"]:
            done[standing["reader"]][standing["shard"]] = standing["isEnded"] or standing["checkpoint"]
        if done["dispatcher"] and done["dispatcher"] == done["archiver"]:
            return
        assert time.monotonic() < deadline, done
        time.sleep(0.1)


def _known(mesh: RunningMesh, user: str) -> dict[str, Any]:
    recent = mesh.get(f"/api/users/{user}/events").body["events"]
    return {
        "features": mesh.get(f"/api/users/{user}/features").body,
        "profile": mesh.get(f"/api/users/{user}/profile").body,
        "risk": mesh.get(f"/api/users/{user}/risk").body,
        "videos": {name: one for name, one in mesh.get(f"/api/users/{user}/videos").body.items() if name != "traceId"},
        "events": [event["eventId"] for event in recent],
    }


def decisions(url: str) -> dict[str, dict[str, Any]]:
    """Every decision of the archive by its event; an event that stands there twice fails."""
    archive = ParquetArchive(url)
    found: dict[str, dict[str, Any]] = {}
    for file in archive.files(DECISIONS):
        for row in itertools.chain.from_iterable(batch.to_pylist() for batch in archive.batches(file)):
            told = {name: value for name, value in row.items() if name not in _BY_CHANCE}
            help_ = json.loads(row["intervention"] or "{}")
            told["intervention"] = {name: value for name, value in help_.items() if name not in _HELP_BY_CHANCE}
            assert row["event_id"] not in found, row
            found[row["event_id"]] = told
    return found
