"""What cannot be applied is set aside whole: no service keeps anything of it, and it can come again."""

import asyncio
from collections.abc import Sequence
from typing import Any

from services.intervention.decision.adapters.memory import MemoryLedger
from services.intervention.decision.domain import ledger as pages
from services.intervention.decision.ports import Entry
from tests.e2e.house import House, applied, event, housed


class BrokenLedger(MemoryLedger):
    """A ledger with a fault that one user's decisions bring out, after all other steps have applied the event."""

    is_broken = True

    async def record(self, entries: Sequence[Entry]) -> None:
        """Fails for `poison`."""
        if self.is_broken and any("poison" in pages.decode(entry.block).user_ids for entry in entries):
            raise ZeroDivisionError
        await super().record(entries)


async def known(house: House, user: str) -> dict[str, Any]:
    """What each service knows of a user."""
    paths = {"features": "features", "profile": "profile", "risk": "risk", "videos": "videos"}
    answers = {name: await house.client.get(f"/api/users/{user}/{path}") for name, path in paths.items()}
    pending = await house.client.get(f"/api/interventions/{user}/pending")
    return {name: answer.status_code for name, answer in answers.items()} | {
        "pending": pending.json()["hasPendingIntervention"]
    }


async def until_set_aside(house: House, count: int) -> None:
    """Returns once so many events are set aside."""
    async with asyncio.timeout(20):
        while True:
            listed = (await house.client.get("/api/failed-events?reason=POISON")).json()["failedEvents"]
            if len(listed) == count:
                return
            await asyncio.sleep(0.01)


async def test_nothing_is_left_of_an_event_that_was_set_aside_and_a_replay_counts_once() -> None:
    ledger = BrokenLedger()
    async with housed(ledger) as house:
        beat: dict[str, Any] = {"videoId": "v", "action": "heartbeat", "positionSeconds": 10, "watchedSeconds": 10}
        await house.client.post("/api/events/track", json=event(1, "page_view", "ada", page="/"))
        await house.client.post(
            "/api/events/track",
            json={
                "events": [
                    event(1, "video_playback", "poison", **beat),
                    event(2, "struggle_signal", "poison", page="/calculator", attempts=3),
                ]
            },
        )
        await house.client.post("/api/events/track", json=event(2, "page_view", "ada", page="/"))
        await applied(house, "ada-2")
        await until_set_aside(house, 2)
        assert await known(house, "poison") == {
            "features": 404,
            "profile": 404,
            "risk": 404,
            "videos": 404,
            "pending": False,
        }

        ledger.is_broken = False
        answer = (await house.client.post("/api/failed-events:replay", json={"reason": "POISON"})).json()
        assert answer.get("accepted") == 2, answer
        for number in (1, 2):
            await applied(house, f"poison-{number}")
        profile = (await house.client.get("/api/users/poison/profile")).json()
        decisions = (await house.client.get("/api/decisions?userId=poison")).json()["decisions"]
        videos = (await house.client.get("/api/users/poison/videos")).json()
    assert profile["eventCount"] == 2
    assert sorted(one["eventId"] for one in decisions) == ["poison-1", "poison-2"]
    assert len(videos["videos"]) == 1
