"""`journeymesh demo` against a mesh whose shards do not keep pace with one another."""

import datetime as dt
import json

import httpx
import msgspec
from rich.console import Console

from cli import demo
from services.intervention.policy.adapters.yaml import parse
from services.intervention.policy.domain.interpretation import policy_of
from tests.intervention.builders import DOCUMENT, HOUR, POLICY

READS_UNTIL_APPLIED = 5


class LateShard:
    """A gateway that refuses the first request, and knows one user only once their event was asked for some times."""

    def __init__(self, late: str) -> None:
        self.late = late
        self.user_of: dict[str, str] = {}
        self.posts = self.reads = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        match request.url.path.split("/")[2:]:
            case ["events", "track"]:
                self.posts += 1
                if self.posts == 1:
                    return httpx.Response(429, headers={"Retry-After": "0"})
                events = json.loads(request.content)["events"]
                self.user_of = {event["eventId"]: event["userId"] for event in events}
                return httpx.Response(202, json={"eventIds": list(self.user_of)})
            case ["events", event_id]:
                is_late = self.user_of[event_id] == self.late
                self.reads += is_late
                return httpx.Response(
                    200, json={"state": "buffered" if is_late and not self._is_applied else "applied"}
                )
            case ["users", user, "risk"] if user != self.late or self._is_applied:
                return httpx.Response(200, json={"assessment": {"level": "low"}, "signals": []})
            case ["decisions"]:
                user = request.url.params["userId"]
                decisions = [("d-1", {"id": "i-1"}, "risk_at_trigger"), ("d-2", None, "too_old")]
                made = {
                    "decisions": [
                        {"id": f"{user}-{each}", "intervention": help_, "reasons": [reason, "bot"]}
                        for each, help_, reason in decisions
                    ]
                }
                return httpx.Response(200, json=made)
        return httpx.Response(404)

    @property
    def _is_applied(self) -> bool:
        return self.reads >= READS_UNTIL_APPLIED


async def test_a_user_is_looked_at_only_once_the_last_event_of_theirs_is_applied() -> None:
    events = [
        {"eventId": f"e{index}", "userId": "late" if index == 1 else "quick", "timestamp": "2026-01-01T00:00:00Z"}
        for index in range(60)
    ]
    async with httpx.AsyncClient(transport=httpx.MockTransport(LateShard("late")), base_url="http://mesh") as client:
        findings = await demo._send(client, list(demo._batches(events)), Console(quiet=True))
    assert findings.levels == {"low": 2}
    assert findings.interventions == {"i-1"}
    said = demo._reasons(findings.reasons.values())
    assert said == "Decisions by first reason: risk at trigger 2, too old 2."


def test_reasons_are_listed_most_frequent_first_and_none_as_none() -> None:
    reasons = ["cooldown", "below_trigger", "below_trigger", "unknown"]
    assert demo._reasons(reasons) == "Decisions by first reason: below trigger 2, cooldown 1, unknown 1."
    assert demo._reasons([]) == "Decisions by first reason: none."


def test_the_demonstration_covers_the_past_until_now_and_the_mesh_helps() -> None:
    source, events = demo._journeys("simulated", 500, 1)
    times = [dt.datetime.fromisoformat(each["timestamp"]) for each in events]
    assert "simulated" in source
    assert abs(max(times) - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    assert times == sorted(times)
    made = policy_of(parse(demo._with_long_freshness(DOCUMENT)))
    assert made.freshness_us == 31 * 24 * HOUR
    assert msgspec.structs.replace(made, version="", freshness_us=0) == msgspec.structs.replace(
        POLICY, version="", freshness_us=0
    )
