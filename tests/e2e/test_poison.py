"""An event that cannot be applied fails as a whole: no service keeps anything of it, and it can be replayed."""

import asyncio
from collections.abc import Sequence
from typing import Any

from services.intervention.decision.adapters.memory import MemoryLedger
from services.intervention.decision.domain import ledger as pages
from services.intervention.decision.ports import Entry
from tests.e2e.in_process import Mesh, applied, event, running_mesh


class BrokenLedger(MemoryLedger):
    """A ledger with a fault that one user's decisions bring out, after all other steps have applied the event."""

    is_broken = True

    async def record(self, entries: Sequence[Entry]) -> None:
        """Fails for `poison`."""
        if self.is_broken and any("poison" in pages.decode(entry.block).user_ids for entry in entries):
            raise ZeroDivisionError
        await super().record(entries)


async def known(mesh: Mesh, user: str) -> dict[str, Any]:
    """What each service knows of a user."""
    paths = {"features": "features", "profile": "profile", "risk": "risk", "videos": "videos"}
    answers = {name: await mesh.client.get(f"/api/users/{user}/{path}") for name, path in paths.items()}
    pending = await mesh.client.get(f"/api/interventions/{user}/pending")
    return {name: answer.status_code for name, answer in answers.items()} | {
        "pending": pending.json()["hasPendingIntervention"]
    }


async def until_failed(mesh: Mesh, count: int) -> None:
    """Returns once there are this many failed events."""
    async with asyncio.timeout(20):
        while True:
            listed = (await mesh.client.get("/api/failed-events?reason=POISON")).json()["failedEvents"]
            if len(listed) == count:
                return
            await asyncio.sleep(0.01)


async def test_nothing_is_left_of_a_failed_event_and_a_replay_counts_once() -> None:
    ledger = BrokenLedger()
    async with running_mesh(ledger) as mesh:
        playback: dict[str, Any] = {"videoId": "v", "action": "heartbeat", "positionSeconds": 10, "watchedSeconds": 10}
        await mesh.client.post("/api/events/track", json=event(1, "page_view", "ada", page="/"))
        await mesh.client.post(
            "/api/events/track",
            json={
                "events": [
                    event(1, "video_playback", "poison", **playback),
                    event(2, "struggle_signal", "poison", page="/calculator", attempts=3),
                ]
            },
        )
        await mesh.client.post("/api/events/track", json=event(2, "page_view", "ada", page="/"))
        await applied(mesh, "ada-2")
        await until_failed(mesh, 2)
        assert await known(mesh, "poison") == {
            "features": 404,
            "profile": 404,
            "risk": 404,
            "videos": 404,
            "pending": False,
        }

        ledger.is_broken = False
        answer = (await mesh.client.post("/api/failed-events:replay", json={"reason": "POISON"})).json()
        assert answer.get("accepted") == 2, answer
        for number in (1, 2):
            await applied(mesh, f"poison-{number}")
        profile = (await mesh.client.get("/api/users/poison/profile")).json()
        decisions = (await mesh.client.get("/api/decisions?userId=poison")).json()["decisions"]
        videos = (await mesh.client.get("/api/users/poison/videos")).json()
    assert profile["eventCount"] == 2
    assert sorted(one["eventId"] for one in decisions) == ["poison-1", "poison-2"]
    assert len(videos["videos"]) == 1
