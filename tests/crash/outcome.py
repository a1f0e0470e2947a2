"""What a mesh knows once everything that was sent is applied and archived.

Users are judged record by record, and which events stand in one record hangs on when requests meet. So what a user did
and what came of it in sum is as in any other run; the decisions are those that the archive derives again.
"""

import collections
import itertools
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import DECISIONS
from tests.crash.load import PATIENCE_SECONDS, Event
from tests.processes import RunningMesh


class Outcome(NamedTuple):
    """What is known of every user, every decision of the archive, and how its replays ended.

    `replay` is that of features, `derived` that of decisions.
    """

    users: dict[str, dict[str, Any]]
    risks: dict[str, dict[str, Any]]
    decisions: list[dict[str, Any]]
    replay: "subprocess.CompletedProcess[str]"
    derived: "subprocess.CompletedProcess[str]"


def outcome(mesh: RunningMesh, folder: Path, events: Sequence[Event], policies: Path) -> Outcome:
    """Waits until all is applied and archived, then asks for everything. A folder has the policies that decided."""
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
    derived = subprocess.run(
        [sys.executable, "-m", "cli", "replay", "--archive", archive, "--policies", str(policies)],
        text=True,
        capture_output=True,
        timeout=600,
        check=False,
    )
    risks = {user: mesh.get(f"/api/users/{user}/risk").body for user in last}
    return Outcome({user: _known(mesh, user) for user in last}, risks, decisions(archive), replay, derived)


def assert_each_event_led_to_one(decisions: Sequence[dict[str, Any]], counts: dict[str, int]) -> None:
    """Returns if each user has one decision per record, and they were made of as many events as were counted."""
    places = [(row["shard"], row["sequence"], row["user_id"]) for row in decisions]
    assert len(set(places)) == len(places)
    assert decided_events(decisions) == counts


def decided_events(decisions: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How many events of each user decisions were made of; of one that 0.1.0 made, of one."""
    events: collections.Counter[str] = collections.Counter()
    for row in decisions:
        events[row["user_id"]] += row.get("event_count") or 1
    return events


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
        "videos": {name: one for name, one in mesh.get(f"/api/users/{user}/videos").body.items() if name != "traceId"},
        "events": [event["eventId"] for event in recent],
    }


def decisions(url: str) -> list[dict[str, Any]]:
    """Every decision of the archive."""
    archive = ParquetArchive(url)
    batches = (batch.to_pylist() for file in archive.files(DECISIONS) for batch in archive.batches(file))
    return list(itertools.chain.from_iterable(batches))
