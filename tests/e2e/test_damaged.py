"""A stored value that cannot be read is the loss of its key: it is kept aside and begun anew, and all others go on."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mesh.state.applied import ASIDE
from mesh.state.memory import MemoryState
from tests.e2e.in_process import applied, event, running_mesh

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "no MessagePack": lambda _: b"\xc1garbage",
    "cut short": lambda whole: whole[:-7],
    "nothing": lambda _: b"",
    "another shape": lambda _: msgspec.msgpack.encode([1, 2, 3]),
    "a position that is no number": lambda whole: _with(whole, 2, "abc"),
    "a state of another kind": lambda whole: _with(_with(whole, 3, b"\xc1\xc1"), 4, b"\xc1\xc1"),
}


def _with(envelope: bytes, place: int, value: object) -> bytes:
    members = msgspec.msgpack.decode(envelope)
    members[place] = value
    return msgspec.msgpack.encode(members)


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> list[MemoryState]:
    """All states that are made."""
    made: list[MemoryState] = []
    plain = MemoryState.__init__

    def init(self: MemoryState, *args: Any, **members: Any) -> None:
        plain(self, *args, **members)
        made.append(self)

    monkeypatch.setattr(MemoryState, "__init__", init)
    return made


def story(user: str, first: int) -> list[dict[str, object]]:
    return [
        event(first, "video_playback", user, videoId="v", action="heartbeat", positionSeconds=10, watchedSeconds=10),
        event(first + 1, "struggle_signal", user, page="/calculator", attempts=9),
        event(first + 2, "error", user, page="/calculator", errorCode="E1"),
    ]


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("which", ["victim", "tally", "curve"])
async def test_a_value_that_cannot_be_read_is_the_loss_of_its_key_alone(
    states: list[MemoryState], which: str, damage: Callable[[bytes], bytes]
) -> None:
    async with running_mesh() as mesh:
        await mesh.client.post("/api/events/track", json={"events": [*story("victim", 0), *story("other", 0)]})
        await applied(mesh, "other-2")
        await applied(mesh, "victim-2")
        damaged = 0
        for state in states:
            for key, value in list(state._values.items()):
                if which in key and len(value) > 20 and value[0] & 0xF0 == 0x90:
                    state._values[key] = damage(value)
                    damaged += 1
        assert damaged
        paths = ("features", "profile", "risk", "videos", "events")
        read = [await mesh.client.get(f"/api/users/victim/{path}") for path in paths]
        read += [
            await mesh.client.get(path) for path in ("/api/interventions/victim/pending", "/api/videos/v/retention")
        ]
        assert {each.status_code for each in read} <= {200, 404}
        both = [*story("victim", 5), *story("other", 5), *story("new", 5)]
        assert (await mesh.client.post("/api/events/track", json={"events": both})).status_code == 202
        for user in ("other", "victim", "new"):
            assert await applied(mesh, f"{user}-7")
        failed = (await mesh.client.get("/api/failed-events")).json()["failedEvents"]
        profiles = {
            user: (await mesh.client.get(f"/api/users/{user}/profile")).json()["eventCount"]
            for user in ("other", "victim", "new")
        }
        lift = await mesh.client.get("/api/lift")
        pending = await mesh.client.get("/api/interventions/new/pending")
    assert failed == []
    assert profiles == {"other": 6, "victim": 3 if which == "victim" else 6, "new": 3}
    assert (lift.status_code, pending.status_code) == (200, 200)
    aside = [key for state in states for key in state._values if key.startswith(ASIDE)]
    assert aside or damage is DAMAGE["nothing"]
    assert all(which in key for key in aside)
