"""Journeys for end-to-end tests: short to write, in the JSON a client sends."""

import datetime as dt
import itertools
import time
import uuid
from typing import Any, NamedTuple

from tests.processes import RunningMesh

_numbers = itertools.count()


class Journey(NamedTuple):
    """One user's way, from a moment on."""

    mesh: RunningMesh
    user_id: str
    start: dt.datetime
    context: dict[str, str]

    def event(self, seconds: float, event_type: str, **properties: Any) -> dict[str, Any]:
        """An event so many seconds after the start."""
        at = self.start + dt.timedelta(seconds=seconds)
        return {
            "eventId": f"{self.user_id}-{next(_numbers)}",
            "userId": self.user_id,
            "eventType": event_type,
            "timestamp": at.isoformat().replace("+00:00", "Z"),
            "properties": properties,
            "context": self.context,
        }

    def now(self) -> float:
        """How many seconds after the start it is now."""
        return (dt.datetime.now(dt.UTC) - self.start).total_seconds()

    def send(self, *events: dict[str, Any]) -> float:
        """Sends events, waits until the last is applied, and returns how long that took, in seconds."""
        started = time.monotonic()
        answer = self.mesh.track(*events)
        assert answer.status == 202, answer
        assert answer.body["accepted"] == len(events), answer
        self.mesh.await_applied(events[-1]["eventId"])
        return time.monotonic() - started

    def risk(self) -> dict[str, Any]:
        """The user's risk now."""
        body: dict[str, Any] = self.mesh.get(f"/api/users/{self.user_id}/risk").body
        return body

    def level(self) -> str:
        """The level of the user's risk now."""
        return str(self.risk()["assessment"]["level"])

    def score(self) -> float:
        """The user's risk now, 0 to 100."""
        return float(self.risk()["assessment"]["score"])

    def pending(self) -> dict[str, Any] | None:
        """What waits for the user."""
        body = self.mesh.get(f"/api/interventions/{self.user_id}/pending").body
        assert body["hasPendingIntervention"] == (body["intervention"] is not None)
        intervention: dict[str, Any] | None = body["intervention"]
        return intervention

    def decisions(self) -> list[dict[str, Any]]:
        """The user's decisions, newest first."""
        body: dict[str, Any] = self.mesh.get(f"/api/decisions?userId={self.user_id}").body
        return list(body["decisions"])


def journey(mesh: RunningMesh, start: str = "", minutes: float = 4.9, **context: str) -> Journey:
    """The way of a user nobody has seen before.

    Without a given start it began that many minutes ago. Help is only for what happened within five minutes.
    """
    began = dt.datetime.fromisoformat(start) if start else dt.datetime.now(dt.UTC) - dt.timedelta(minutes=minutes)
    return Journey(mesh, f"user-{uuid.uuid4()}", began, {"platform": "web"} | context)
