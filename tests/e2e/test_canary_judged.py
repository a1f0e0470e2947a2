"""A canary of scoring judged by an experiment: users count for the model that assessed them, and what they then do."""

import contextlib
import itertools
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.following import until
from tests.processes import RunningMesh, running_mesh
from tests.scoring.builders import MODELS
from tests.scoring.test_models import LIVE, copy

pytestmark = pytest.mark.processes

USERS = [f"user-{number}" for number in range(24)]
ARMS = [{"name": "live", "value": LIVE}, {"name": "candidate", "value": "next"}]
# A second until the end is seen, a second until it is done, and a busy machine.
WITHIN_SECONDS = 10
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


def stages(mesh: RunningMesh) -> dict[str, Any]:
    """What serves everybody."""
    return dict(mesh.get("/api/models").body["stages"][0])


@contextlib.contextmanager
def judged(folder: Path, percent: float) -> Iterator[RunningMesh]:
    """A mesh with a canary of this share, and an experiment that judges it by equal weights."""
    shutil.copytree(MODELS, folder / "models")
    copy(folder / "models", "next")
    settings = {"JOURNEYMESH_MODELS": str(folder / "models"), "JOURNEYMESH_SCORING_EXPERIMENT": "canary"}
    with running_mesh(folder, **settings) as mesh:
        assert mesh.post("/api/models/next/stage", {"stage": "canary", "percent": percent}).status == 200
        created = {"experimentId": "canary", "arms": ARMS, "metrics": [{"name": "converted"}], "ramp": [100]}
        assert mesh.post("/api/experiments", created).status == 201
        assert mesh.post("/api/experiments/canary:start", {}).status == 200
        yield mesh


def test_users_count_for_the_model_that_assessed_them_and_what_they_then_do(tmp_path: Path) -> None:
    with judged(tmp_path, 50) as mesh:

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


@contextlib.contextmanager
def killed(mesh: RunningMesh, name: str) -> Iterator[None]:
    """A program is killed, again and again as soon as it is begun anew."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.05):
            with contextlib.suppress(LookupError, psutil.NoSuchProcess):
                mesh.process(name).kill()

    mesh.process(name).kill()
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join()


def scored_by(mesh: RunningMesh, users: list[str]) -> set[str]:
    """The models that scored some users last; users that were not scored yet are left out."""
    told = [mesh.get(f"/api/users/{user}/risk") for user in users]
    return {each.body["modelVersion"] for each in told if each.status == 200}


def test_the_canary_ends_with_its_experiment_while_intervention_is_away(tmp_path: Path) -> None:
    with judged(tmp_path, 20) as mesh:
        until(lambda: results(mesh)["shares"] == "alarm", "that shares do not match is not told", 60)
        assert [each["given"] for each in results(mesh)["units"]] == [0.8, 0.2]
        assert "candidate gets 0.2 of the units and was to get 0.5" in results(mesh)["waitsFor"][0]
        assert mesh.post("/api/models/next/stage", {"stage": "canary", "percent": 50}).status == 200
        until(lambda: results(mesh)["shares"] == "fine", "that shares match is not told", 60)
        seen(mesh, USERS)
        assert scored_by(mesh, USERS) == {LIVE, "next"}
        with killed(mesh, "intervention"):
            assert mesh.post("/api/experiments/canary:rollback", {"why": "it sells less"}).status == 200
            until(lambda: stages(mesh)["canary"] == "", "the canary goes on", WITHIN_SECONDS)
            # Nothing is decided, and what comes waits; but it is scored.
            later = [f"later-{number}" for number in range(24)]
            more = {"eventType": "page_view", "properties": {"page": "/start"}, "context": {"platform": "web"}}
            sent = [{"eventId": f"e-{user}", "userId": user, **more} for user in later]
            assert mesh.track(*sent).status == 202
            until(lambda: scored_by(mesh, later) != set(), "nothing is scored", 60)
            assert scored_by(mesh, later) == {LIVE}
        mesh.await_applied("e-later-0", 120)
        change = mesh.get("/api/models").body["changes"][0]
        assert [change[each] for each in ("modelVersion", "stage", "actor")] == [
            "next",
            "candidate",
            "experiment canary",
        ]


def test_a_canary_that_is_promoted_by_its_experiment_is_live_until_that_is_rolled_back(tmp_path: Path) -> None:
    with judged(tmp_path, 50) as mesh:
        assert mesh.post("/api/experiments/canary:promote", {"arm": "candidate"}).status == 200
        until(lambda: (stages(mesh)["live"], stages(mesh)["canary"]) == ("next", ""), "it is not live", 60)
        seen(mesh, ["ada"])
        assert mesh.get("/api/decisions?userId=ada").body["decisions"][0]["modelVersion"] == "next"
        assert mesh.post("/api/experiments/canary:rollback", {}).status == 200
        until(lambda: stages(mesh)["live"] == LIVE, "it is still live", 60)
