"""A canary of scoring judged by an experiment: users count for the model that assessed them, and what they then do."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.following import until
from tests.processes import RunningMesh, running_mesh
from tests.scoring.builders import MODELS
from tests.scoring.test_models import LIVE, copy

pytestmark = pytest.mark.processes

USERS = [f"user-{number}" for number in range(24)]
ARMS = [{"name": "live", "value": LIVE}, {"name": "candidate", "value": "next"}]
_numbers = itertools.count()


def seen(mesh: RunningMesh, users: list[str], kind: str = "page_view") -> None:
    """Each of some users does something, and it is decided on."""
    bought = {"amount": "9.00", "currency": "EUR"} if kind == "purchase" else {}
    more = {"eventType": kind, "properties": {"page": "/start", **bought}, "context": {"platform": "web"}}
    ids = {f"e-{next(_numbers)}": user for user in users}
    assert mesh.track(*[{"eventId": each, "userId": user, **more} for each, user in ids.items()]).status == 202
    for each in ids:
        mesh.await_applied(each, 60)


def results(mesh: RunningMesh) -> dict[str, Any]:
    """What may be concluded now."""
    return dict(mesh.get("/api/experiments/canary/results").body)


def test_users_count_for_the_model_that_assessed_them_and_what_they_then_do(tmp_path: Path) -> None:
    shutil.copytree(MODELS, tmp_path / "models")
    copy(tmp_path / "models", "next")
    settings = {"JOURNEYMESH_MODELS": str(tmp_path / "models"), "JOURNEYMESH_SCORING_EXPERIMENT": "canary"}
    with running_mesh(tmp_path, **settings) as mesh:
        assert mesh.post("/api/models/next/stage", {"stage": "canary", "percent": 50}).status == 200
        created = {"experimentId": "canary", "arms": ARMS, "metrics": [{"name": "converted"}], "ramp": [100]}
        assert mesh.post("/api/experiments", created).status == 201
        assert mesh.post("/api/experiments/canary:start", {}).status == 200

        def all_count() -> bool:
            """Whoever was seen before intervention knew of the experiment is seen again."""
            seen(mesh, USERS)
            return bool(sum(each["units"] for each in results(mesh)["units"]) == len(USERS))

        until(all_count, "not all count", 60)
        models = {
            user: mesh.get(f"/api/decisions?userId={user}").body["decisions"][0]["modelVersion"] for user in USERS
        }
        candidates = [user for user, model in models.items() if model == "next"]
        assert 0 < len(candidates) < len(USERS)
        units = {each["arm"]: each["units"] for each in results(mesh)["units"]}
        assert units == {"live": len(USERS) - len(candidates), "candidate": len(candidates)}
        seen(mesh, candidates, "purchase")

        def means() -> tuple[float, float]:
            (converted,) = results(mesh)["findings"]
            return converted["mean"], converted["controlMean"]

        until(lambda: means() == (1.0, 0.0), "what they did is not told", 60)
        assert results(mesh)["unmatchedReports"] == 0
