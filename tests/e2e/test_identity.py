"""An anonymous journey becomes part of the known user's, through the running mesh."""

import time
from typing import Any

import pytest

from tests.processes import RunningMesh

pytestmark = pytest.mark.processes


def _known(mesh: RunningMesh, user: str, count: int) -> list[dict[str, Any]]:
    """The user's events, oldest first, once there are so many."""
    deadline = time.monotonic() + 20
    while True:
        answer = mesh.get(f"/api/users/{user}/events")
        if answer.status == 200 and len(answer.body["events"]) >= count:
            return list(reversed(answer.body["events"]))
        assert time.monotonic() < deadline, answer
        time.sleep(0.01)


def test_events_before_the_login_count_for_the_user(mesh: RunningMesh) -> None:
    mark = f"{time.time_ns():x}"
    visitor, user = f"visitor-{mark}", f"user-{mark}"

    def event(number: int, kind: str, **members: Any) -> dict[str, Any]:
        at = f"2026-01-02T10:{number:02}:00Z"
        properties = {"page": f"/step-{number}", "target": "login"}
        return {
            "eventId": f"{mark}-{number}",
            "eventType": kind,
            "timestamp": at,
            "properties": properties,
            "anonymousId": visitor,
            **members,
        }

    mesh.track(event(0, "page_view"), event(1, "error"), event(2, "error"), event(3, "help_request"))
    mesh.track(event(4, "identify", userId=user))
    mesh.track(event(5, "page_view"))  # another tab, which does not know the user yet

    events = _known(mesh, user, 6)
    assert [one["properties"]["page"] for one in sorted(events, key=lambda one: one["timestamp"])] == [
        f"/step-{number}" for number in range(6)
    ]
    assert {one["sessionId"] for one in events} == {events[0]["sessionId"]}
    features = mesh.get(f"/api/users/{user}/features").body["features"]
    assert features["error_count"] == 2
    assert features["help_requests"] == 1
    assert features["session_count"] == 1
    assert features["session_duration"] == 300


def test_identifying_again_copies_nothing_again(mesh: RunningMesh) -> None:
    mark = f"{time.time_ns():x}"
    visitor, user = f"visitor-{mark}", f"user-{mark}"
    first = {"eventId": f"{mark}-0", "anonymousId": visitor, "eventType": "error", "properties": {"page": "/"}}
    mesh.track(first)
    for number in range(1, 4):
        known = {**first, "eventId": f"{mark}-{number}", "eventType": "identify", "userId": user}
        mesh.track(known)
    _known(mesh, user, 4)
    last = {"eventId": f"{mark}-9", "userId": user, "eventType": "page_view", "properties": {"page": "/"}}
    mesh.track(last)
    mesh.await_applied(f"{mark}-9")
    assert mesh.get(f"/api/users/{user}/profile").body["eventCount"] == 5


def test_of_two_people_on_one_device_each_has_their_own_from_one_request(mesh: RunningMesh) -> None:
    mark = f"{time.time_ns():x}"
    device, ada, bob = (f"{name}-{mark}" for name in ("device", "ada", "bob"))

    def event(number: int, kind: str, user: str = "") -> dict[str, Any]:
        ids = {"userId": user} if user else {}
        at = f"2026-01-02T10:{number:02}:00Z"
        properties = {"page": f"/step-{number}"}
        return {
            "eventId": f"{mark}-{number}",
            "anonymousId": device,
            "eventType": kind,
            "timestamp": at,
            "properties": properties,
            **ids,
        }

    mesh.track(
        event(0, "error"),
        event(1, "identify", ada),
        event(2, "session_end"),  # without the user
        event(3, "error"),
        event(4, "identify", bob),
        event(5, "session_end", bob),
        event(6, "error"),
    )
    for user, pages in ((ada, [0, 1, 2]), (bob, [3, 4, 5])):
        pages_seen = [one["properties"]["page"] for one in _known(mesh, user, 3)]
        assert sorted(pages_seen) == [f"/step-{number}" for number in pages]
