"""A mesh with journeys in it: simulated users, viewers of a video, users who were helped, and an event that failed.

Half of the users are held out, and those who were helped reach the goal more often.
"""

import contextlib
import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from tests.processes import RunningMesh, running_mesh

VIDEO: Final = "how-a-loan-works"
STRUGGLER: Final = "ada"
CROWDED_HOUR: Final = 60

_POLICY: Final = Path(__file__).parents[2] / "policies" / "measured.yaml"
_OUTCOMES: Final = (("shown", "accepted"), ("shown", "declined"), ("shown",))
_EVENTS: Final = 3000
_VISITORS: Final = 320
_EXPERIMENT: Final = {"share": 0.5, "salt": "demo"}
_PATIENCE_SECONDS: Final = 60.0
_BATCH: Final = 400


@contextlib.contextmanager
def filled_mesh(folder: Path) -> Iterator[RunningMesh]:
    """A mesh whose analytics know all that was sent."""
    policy = folder / "policy.yaml"
    # What the simulator sends happened days ago; help comes for it all the same.
    measured = yaml.safe_load(_POLICY.read_text())
    changes = {"version": "measured-demo", "freshness": "31d", "holdout": _EXPERIMENT}
    policy.write_text(yaml.safe_dump({**measured, **changes}, sort_keys=False))
    settings = {
        "JOURNEYMESH_PROMPTS": str(Path(__file__).parents[2] / "prompts"),
        "JOURNEYMESH_PROMPT_EXPERIMENT": "words",
        "JOURNEYMESH_POLICY": str(policy),
        "JOURNEYMESH_ARCHIVE_PERIOD_SECONDS": "1",
        "JOURNEYMESH_ANALYTICS_PERIOD_SECONDS": "0.5",
        "JOURNEYMESH_INSIGHTS_PERIOD_SECONDS": "1",
    }
    with running_mesh(folder, **settings) as mesh:
        _simulate(mesh.url)
        _help(mesh)
        _measure(mesh)
        _watch(mesh)
        _crowd(mesh)
        mesh.track({"userId": "grace", "eventType": "no_such_event"})
        _await_counted(mesh)
        yield mesh


def _simulate(url: str) -> None:
    """Sends the journeys of the demo."""
    command = [sys.executable, "-m", "cli", "demo", "--source", "simulated", "--events", str(_EVENTS), "--url", url]
    subprocess.run(command, check=True, capture_output=True, env=os.environ)


def _help(mesh: RunningMesh) -> None:
    """Users who struggle, and what they make of the help they get; of some there is none, for comparison."""
    for index, user in enumerate((STRUGGLER, "barbara", "edsger", "grace", "hedy", "katherine", "radia", "tony")):
        about = {"page": "/calculator", "target": "loan", "attempts": 3}
        kinds = ("page_view", "form_start", "form_submit", "struggle_signal")
        whose = {"userId": user, "properties": about}
        events = ({**whose, "eventId": f"{user}-{kind}", "eventType": kind} for kind in kinds)
        assert mesh.track(*events).status == 202
        mesh.await_applied(f"{user}-struggle_signal")
        help_of = mesh.get(f"/api/interventions/{user}/pending").body["intervention"]
        if help_of:
            for outcome in _OUTCOMES[index % len(_OUTCOMES)]:
                assert mesh.post(f"/api/interventions/{help_of['id']}/outcome", {"outcome": outcome}).status == 202


def _measure(mesh: RunningMesh) -> None:
    """Visitors who struggle. Of those who get help, seven in ten buy; of the others, three in ten."""
    visitors = [f"visitor-{number}" for number in range(_VISITORS)]
    about = {"page": "/checkout", "target": "payment", "attempts": 3}
    struggles = [
        {"userId": each, "eventId": f"{each}-struggles", "eventType": "struggle_signal", "properties": about}
        for each in visitors
    ]
    assert mesh.track(*struggles).status == 202
    for each in visitors:
        mesh.await_applied(f"{each}-struggles")
    helped = {each for each in visitors if mesh.get(f"/api/interventions/{each}/pending").body["intervention"]}
    buyers = [each for number, each in enumerate(visitors) if number * 7 % 10 < (7 if each in helped else 3)]
    bought = {"amount": 20, "currency": "EUR", "page": "/checkout"}
    assert (
        mesh.track(*({"userId": each, "eventType": "purchase", "properties": bought} for each in buyers)).status == 202
    )


def _watch(mesh: RunningMesh) -> None:
    """Viewers of a video: fewer with each part of it, and one part that several watch again."""
    now = dt.datetime.now(dt.UTC)
    events = [
        event
        for viewer in range(12)
        for event in _playback(f"viewer-{viewer}", 30 * (viewer % 4 + 1), now, replays=viewer % 3 == 0)
    ]
    assert mesh.track(*events).status == 202


def _playback(user: str, until: int, now: dt.datetime, *, replays: bool) -> Iterator[dict[str, Any]]:
    stretches = [(start, start + 10) for start in range(0, until, 10)] + [(10, 20)] * replays
    begin = now - dt.timedelta(minutes=10)
    for index, (start, end) in enumerate(stretches):
        yield {
            "userId": user,
            "eventType": "video_playback",
            "timestamp": (begin + dt.timedelta(seconds=11 * index)).isoformat(),
            "properties": {
                "videoId": VIDEO,
                "action": "heartbeat",
                "playbackSessionId": f"{user}-1",
                "positionSeconds": end,
                "watchedSeconds": end - start,
                "durationSeconds": 120,
            },
        }


def _crowd(mesh: RunningMesh) -> None:
    """Readers, ten in each of 70 hours; in one of the last of them, eighty."""
    begin = dt.datetime.now(dt.UTC).replace(minute=0, second=0, microsecond=0) - dt.timedelta(hours=70)
    events = [
        {
            "userId": f"reader-{reader}",
            "eventType": "page_view",
            "timestamp": (begin + dt.timedelta(hours=hour, seconds=reader)).isoformat(),
            "properties": {"page": "/news"},
        }
        for hour in range(70)
        for reader in range(80 if hour == CROWDED_HOUR else 10)
    ]
    for first in range(0, len(events), _BATCH):
        assert mesh.track(*events[first : first + _BATCH]).status == 202


def _await_counted(mesh: RunningMesh) -> None:
    """Returns once the number of events and outcomes no longer grows for two seconds."""
    deadline, before, since = time.monotonic() + _PATIENCE_SECONDS, None, time.monotonic()
    while time.monotonic() < deadline:
        answer = mesh.post("/api/analytics/kpis", {})
        found = answer.body.get("kpis") if answer.status == 200 else None
        if found != before:
            before, since = found, time.monotonic()
        elif found and time.monotonic() - since > 4:
            return
        time.sleep(0.2)
    raise TimeoutError
