"""A system says who a customer is, over REST; from then on that decides which help the customer gets."""

from typing import Any

import pytest

from services.intervention.decision.domain.chance import held_out
from tests.e2e.following import until
from tests.e2e.in_process import Mesh, applied, event, running_mesh
from tests.e2e.journeys import journey
from tests.intervention.builders import edited
from tests.intervention.test_segments import STRATEGIES
from tests.processes import RunningMesh

BEANS = {"productId": "p-1", "name": "Beans", "reason": "due_again"}
CUPS = {"productId": "p-2", "name": "Cups", "reason": "popular_in_segment"}
HOLDOUT = {"share": 0.5, "salt": "exp"}


async def sent(mesh: Mesh, *events: dict[str, Any]) -> None:
    """Sends events, and waits until the last is applied."""
    answer = await mesh.client.post("/api/events/track", json={"events": events})
    assert answer.json()["accepted"] == len(events), answer.text
    await applied(mesh, events[-1]["eventId"])


async def told(mesh: Mesh, path: str, **query: Any) -> Any:
    answer = await mesh.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def stuck(number: int, user: str = "ada") -> dict[str, Any]:
    return event(number, "struggle_signal", user, page="/calculator", attempts=4)


async def test_who_struggles_gets_the_help_of_their_segment_without_what_they_bought() -> None:
    async with running_mesh(document=edited(actions=STRATEGIES, cooldown="0s")) as mesh:
        change = event(1, "segment_change", segment="Champions", previousSegment="Loyal", products=[BEANS, CUPS])
        await sent(mesh, change)
        await sent(mesh, event(2, "purchase", amount=5, currency="EUR", lines=[{"productId": "p-1"}]))
        await sent(mesh, stuck(3))
        waiting = (await told(mesh, "/api/interventions/ada/pending"))["intervention"]
        assert (waiting["action"], waiting["products"]) == ("thank", [CUPS])
        (decision, *_) = (await told(mesh, "/api/decisions", userId="ada"))["decisions"]
        assert (decision["segment"], decision["recommended"]) == ("Champions", [CUPS])
        events = (await told(mesh, "/api/users/ada/events"))["events"]
        (said,) = (each for each in events if each["eventType"] == "segment_change")
        assert said["context"]["active"] is False
        assert said["properties"]["segment"] == "Champions"
        await sent(mesh, stuck(1, "bob"))
        waiting = (await told(mesh, "/api/interventions/bob/pending"))["intervention"]
        assert (waiting["action"], waiting["products"]) == ("welcome", [])


async def test_it_is_no_sign_of_life() -> None:
    async with running_mesh() as mesh:
        await sent(mesh, event(1, "page_view", page="/"))
        before = await told(mesh, "/api/users/ada/features")
        await sent(mesh, event(2, "segment_change", segment="Loyal"))
        after = await told(mesh, "/api/users/ada/features")
        assert after["features"] == before["features"]
        (decision, *_) = (await told(mesh, "/api/decisions", userId="ada"))["decisions"]
        assert (decision["eventId"], decision["reasons"]) == ("ada-2", ["system_event"])


async def test_the_lift_of_each_segment_is_told() -> None:
    names = {f"user-{number}": ("Champions", "New", "")[number % 3] for number in range(18)}
    document = edited(actions=STRATEGIES, holdout=HOLDOUT)
    async with running_mesh(document=document) as mesh:
        for user, name in names.items():
            said = [event(1, "segment_change", user, segment=name, products=[BEANS])] if name else []
            await sent(mesh, *said, stuck(2, user))
        lifts = (await told(mesh, "/api/lift"))["lifts"]
        rows = {each["name"]: each for each in lifts if each["dimension"] == "segment"}
        for name in ("Champions", "New", "none"):
            its = [user for user, segment in names.items() if (segment or "none") == name]
            assert rows[name]["holdoutCount"] == sum(held_out("exp", user, 0.5) for user in its)
            assert rows[name]["treatedCount"] == sum(not held_out("exp", user, 0.5) for user in its)


async def test_a_segment_of_nothing_is_refused_and_can_be_found() -> None:
    async with running_mesh() as mesh:
        answer = await mesh.client.post("/api/events/track", json=event(1, "segment_change", group="g"))
        assert (answer.status_code, answer.json()["reason"]) == (400, "MISSING_FIELD")
        (failed,) = (await told(mesh, "/api/failed-events"))["failedEvents"]
        assert failed["reason"] == "MISSING_FIELD"


@pytest.mark.processes
def test_the_time_line_shows_the_segment(mesh: RunningMesh) -> None:
    one = journey(mesh)
    one.send(one.event(0, "page_view", page="/"), one.event(1, "segment_change", segment="Champions"))

    def shown() -> list[tuple[str, str]]:
        answer = mesh.post(f"/api/analytics/journeys/{one.user_id}", {"limit": 100})
        entries = answer.body["entries"] if answer.status == 200 else []
        return [(each["event"]["eventType"], each["event"]["target"]) for each in entries if each["event"]]

    until(lambda: ("segment_change", "Champions") in shown(), "the time line does not show the segment")
