"""A published client against the whole mesh: what it sends is what is read back."""

import datetime as dt
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.clients.story import EVENTS, tell_by_node, tell_by_python
from tests.processes import RunningMesh, running_mesh

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with running_mesh(tmp_path_factory.mktemp("mesh")) as running:
        yield running


@pytest.mark.parametrize(("teller", "user"), [(tell_by_python, "ada"), (tell_by_node, "grace")])
def test_a_story_told_by_a_client_is_read_back(
    mesh: RunningMesh, teller: Callable[[str, str, dt.datetime], Any], user: str
) -> None:
    beginning = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=2)
    assert not teller(mesh.url, user, beginning)
    sent = [event for event in read_back(mesh, user) if "copiedEventId" not in event]
    sent.sort(key=lambda event: event["timestamp"])
    kinds = [kind for kind, _, _ in EVENTS[1:]]  # the first was nobody's yet
    assert [event["eventType"] for event in sent] == kinds
    bought = next(event for event in sent if event["eventType"] == "purchase")
    assert (bought["properties"]["revenue"], bought["properties"]["amount"]) == (25.5, 25.5)
    profile = mesh.get(f"/api/users/{user}/profile").body
    assert profile["eventCount"] >= len(kinds)
    assert {"mobile", "backend"} <= set(profile["platforms"])
    (video,) = mesh.get(f"/api/users/{user}/videos").body["videos"]
    assert video["videoId"] == f"video-{user}"
    assert video["watchedSeconds"] == pytest.approx(24)


def read_back(mesh: RunningMesh, user: str, patience_seconds: float = 20) -> Any:
    """The user's events, once the last of the story has been applied."""
    deadline = time.monotonic() + patience_seconds
    while True:
        answer = mesh.get(f"/api/users/{user}/events")
        events = answer.body["events"] if answer.status == 200 else []
        paused = [event for event in events if event["properties"].get("event") == "Video Playback Paused"]
        if paused and mesh.get(f"/api/events/{paused[0]['eventId']}").body["state"] == "applied":
            return events
        assert time.monotonic() < deadline, answer
        time.sleep(0.02)
