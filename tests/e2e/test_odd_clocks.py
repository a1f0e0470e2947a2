"""Impossible times of sending, by both formats that have one, through the running mesh."""

import time
from collections.abc import Callable

import pytest

from tests.processes import Answer, RunningMesh

pytestmark = pytest.mark.processes


def _tracked(mesh: RunningMesh, user: str, written: str, sent: str) -> Answer:
    return mesh.track({"userId": user, "eventType": "error", "timestamp": written, "sentAt": sent})


def _of_segment(mesh: RunningMesh, user: str, written: str, sent: str) -> Answer:
    message = {"type": "track", "userId": user, "event": "Error", "timestamp": written}
    return mesh.post("/v1/batch", {"batch": [message], "sentAt": sent})


def _event_time(mesh: RunningMesh, user: str) -> str:
    deadline = time.monotonic() + 20
    while True:
        answer = mesh.get(f"/api/users/{user}/events")
        if answer.status == 200 and answer.body["events"]:
            return str(answer.body["events"][0]["timestamp"])
        assert time.monotonic() < deadline, answer
        time.sleep(0.01)


@pytest.mark.parametrize("send", [_tracked, _of_segment], ids=["own", "segment"])
def test_the_same_clock_is_corrected_and_another_is_not_believed(
    send: Callable[[RunningMesh, str, str, str], Answer], mesh: RunningMesh
) -> None:
    user = f"user-{time.time_ns():x}"
    this_year = time.strftime("%Y-", time.gmtime())
    send(mesh, f"{user}-own", "2025-03-01T10:00:00Z", "1975-01-01T00:00:00Z")
    send(mesh, f"{user}-future", "2025-03-02T10:00:00Z", "2099-01-01T00:00:00Z")
    send(mesh, f"{user}-same", "1975-01-01T00:00:00Z", "1975-01-01T00:00:01Z")
    assert _event_time(mesh, f"{user}-own").startswith("2025-03-01T10:00:00")
    assert _event_time(mesh, f"{user}-future").startswith("2025-03-02T10:00:00")
    assert _event_time(mesh, f"{user}-same").startswith(this_year)
