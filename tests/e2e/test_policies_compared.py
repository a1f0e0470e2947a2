"""Policies compared as whoever runs the mesh sees it: users are helped by the policy of their arm, and it counts."""

import datetime as dt
from pathlib import Path

import pytest

from tests.e2e.following import until
from tests.intervention.builders import edited
from tests.processes import RunningMesh, running_mesh

pytestmark = pytest.mark.processes

USERS = [f"user-{number}" for number in range(24)]
ARMS = [{"name": "control"}, {"name": "eager", "value": "eager"}]
SHOWN = {"properties": {"page": "/start"}, "context": {"platform": "web"}}
METRICS = [{"name": "accepted"}, {"name": "converted", "harm": 0.1}]


def in_force(mesh: RunningMesh) -> str:
    """The newest policy's document, once it decides."""
    newest = mesh.get("/api/policies").body["policies"][0]
    has_begun = dt.datetime.fromisoformat(newest["startTime"]) <= dt.datetime.now(dt.UTC)
    return str(newest["document"]) if has_begun else ""


def test_users_are_helped_by_the_policy_of_their_arm_and_the_experiment_counts(tmp_path: Path) -> None:
    (tmp_path / "arms").mkdir()
    (tmp_path / "arms" / "eager.yaml").write_text(edited(trigger={"score": 0}))
    settings = {
        "JOURNEYMESH_POLICY_EXPERIMENT": "tone",
        "JOURNEYMESH_POLICY_ARMS": str(tmp_path / "arms"),
        "JOURNEYMESH_EXPERIMENTS_KEY_FILE": str(tmp_path / "key.pem"),
    }
    with running_mesh(tmp_path, **settings) as mesh:
        created = {"experimentId": "tone", "arms": ARMS, "metrics": METRICS, "ramp": [100]}
        assert mesh.post("/api/experiments", created).status == 201
        assert mesh.get("/api/experiments:configuration").body["signature"]
        assert mesh.post("/api/experiments/tone:start", {}).status == 200
        until(lambda: "experiment:" in in_force(mesh), "the experiment is not in force", 60)
        told = mesh.post("/api/experiments:assign", {"units": [{"unit": user} for user in USERS]}).body["assignments"]
        arms = {each["unit"]: each["arm"] for each in told}
        seen = [{"eventId": f"e-{user}", "userId": user, "eventType": "page_view", **SHOWN} for user in USERS]
        assert mesh.track(*seen).status == 202
        for user in USERS:
            mesh.await_applied(f"e-{user}", 60)
        decisions = {user: mesh.get(f"/api/decisions?userId={user}").body["decisions"][0] for user in USERS}
        assert {user: each["arm"] for user, each in decisions.items()} == arms
        assert {user: each["kind"] for user, each in decisions.items()} == {
            user: "intervene" if arm == "eager" else "none" for user, arm in arms.items()
        }

        def counted() -> dict[str, int]:
            units = mesh.get("/api/experiments/tone/results").body["units"]
            return {each["arm"]: each["units"] for each in units}

        until(lambda: sum(counted().values()) == len(USERS), "not all count", 60)
        assert counted() == {arm: list(arms.values()).count(arm) for arm in ("control", "eager")}
        mesh.post("/api/experiments/tone:rollback", {"why": "enough"})
        until(lambda: bool(document := in_force(mesh)) and "experiment:" not in document, "it is still compared", 60)
