"""A person is erased over REST, and nobody else."""

import asyncio
import json
from typing import Any

from tests.e2e.in_process import Mesh, applied, event, running_mesh

_READS = ("users/{}", "users/{}/events", "users/{}/features", "users/{}/profile", "users/{}/risk", "users/{}/videos")


async def _struggle(mesh: Mesh, user: str) -> None:
    """The user watches, calls for help, and is helped."""
    events = [
        event(0, "identify", user) | {"anonymousId": f"{user}-browser"},
        event(1, "video_playback", user, videoId="v1", action="play", position=0),
        *(event(2 + number, "struggle_signal", user, page="/calculator", attempts=3) for number in range(6)),
    ]
    answer = await mesh.client.post("/api/events/track", json={"events": events})
    assert answer.json().get("accepted") == len(events), answer.text
    for number in range(8):
        await applied(mesh, f"{user}-{number}")
    arms = [{"name": "control"}, {"name": "new"}]
    await mesh.client.post(
        "/api/experiments", json={"experimentId": user, "arms": arms, "metrics": [{"name": "sold"}], "ramp": [100]}
    )
    await mesh.client.post(f"/api/experiments/{user}:start")
    exposed = {"units": [{"unit": user}], "experiments": [user], "isExposure": True}
    assert (await mesh.client.post("/api/experiments:assign", json=exposed)).json()["assignments"]


async def _all_reads(mesh: Mesh, user: str) -> dict[str, tuple[int, str]]:
    paths = [f"/api/{path.format(user)}" for path in _READS] + [f"/api/decisions?userId={user}"]
    answers = {path: await mesh.client.get(path) for path in paths}
    return {path: (answer.status_code, _lasting(answer.json())) for path, answer in answers.items()}


def _lasting(body: dict[str, Any]) -> str:
    """A body without its trace, which every answer has its own of."""
    return json.dumps({name: each for name, each in body.items() if name != "traceId"})


async def _erased(mesh: Mesh, erasure_id: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            erasure: dict[str, Any] = (await mesh.client.get(f"/api/privacy/erasures/{erasure_id}")).json()
            if erasure["state"] == "erased":
                return erasure
            await asyncio.sleep(0.05)


async def _accepted(mesh: Mesh, sent: dict[str, object]) -> None:
    async with asyncio.timeout(10):
        while True:
            if (await mesh.client.post("/api/events/track", json=sent)).json().get("accepted"):
                return
            await asyncio.sleep(0.05)


async def _exported(mesh: Mesh, user: str) -> dict[str, Any]:
    begun = await mesh.client.post("/api/privacy/exports", json={"userId": user})
    assert begun.status_code == 202, begun.text
    path = f"/api/privacy/exports/{begun.json()['id']}"
    async with asyncio.timeout(20):
        while True:
            if (await mesh.client.get(path)).json()["state"] == "ready":
                break
            await asyncio.sleep(0.05)
    exported: dict[str, Any] = (await mesh.client.get(f"{path}/data")).json()
    return {**exported, "path": path}


async def test_an_export_says_all_that_is_kept_of_a_person_and_nothing_of_others() -> None:
    async with running_mesh() as mesh:
        await _struggle(mesh, "ada")
        await _struggle(mesh, "bob")
        exported = await _exported(mesh, "ada")
        stores = exported["stores"]
        assert stores.keys() >= {
            "ids",
            "features.users",
            "features.events",
            "scoring.journals",
            "video.viewers",
            "experiments.units",
            "intervention.users",
            "intervention.made",
            "intervention.ledger",
            "ingest.links",
        }
        assert stores["ids"] == [{"id": "ada"}, {"id": "ada-browser"}]
        assert "bob" not in json.dumps(exported)
        kept = {
            event["eventId"]
            for users in (stores["features.users"], stores["features.events"])
            for each in users
            for event in (each["state"]["last_events"] if isinstance(each["state"], dict) else each["state"])
        }
        assert kept >= {f"ada-{number}" for number in range(8)}
        decisions = (await mesh.client.get("/api/decisions?userId=ada")).json()["decisions"]
        assert {each["id"] for each in stores["intervention.ledger"]} >= {each["id"] for each in decisions}
        assert all(each["reasons"] and each["explanation"] for each in stores["intervention.ledger"])

        begun = await mesh.client.post("/api/privacy/erasures", json={"userId": "ada"})
        receipt = json.loads((await _erased(mesh, begun.json()["id"]))["receipt"])
        assert {"store": "ingest.exports", "before": 1, "after": 0} in receipt["stores"]
        assert (await mesh.client.get(exported["path"])).status_code == 404
        refused = await mesh.client.post("/api/privacy/exports", json={"userId": "ada"})
        assert (refused.status_code, refused.json()["reason"]) == (409, "USER_ERASED")


async def test_an_erased_person_is_nobody_and_nobody_else_is_touched() -> None:
    async with running_mesh() as mesh:
        await _struggle(mesh, "ada")
        await _struggle(mesh, "bob")
        before = {user: await _all_reads(mesh, user) for user in ("ada", "bob", "nobody")}
        assert all(status == 200 for status, _ in before["ada"].values()), before["ada"]
        (helped,) = {
            each["intervention"]["id"]
            for each in json.loads(before["ada"]["/api/decisions?userId=ada"][1])["decisions"]
            if each["intervention"]
        }

        begun = await mesh.client.post("/api/privacy/erasures", json={"userId": "ada"})
        assert begun.status_code == 202, begun.text
        assert begun.json()["state"] == "suppressed"
        erasure = await _erased(mesh, begun.json()["id"])

        after = {user: await _all_reads(mesh, user) for user in ("ada", "bob")}
        assert after["bob"] == before["bob"]
        for (path, answer), like in zip(after["ada"].items(), before["nobody"].values(), strict=True):
            assert answer == like, path
        assert (await mesh.client.get(f"/api/interventions/{helped}")).status_code == 404

        receipt = json.loads(erasure["receipt"])
        counts = {each["store"]: (each["before"], each["after"]) for each in receipt["stores"]}
        assert all(after == 0 for _, after in counts.values())
        assert {store for store, (before, _) in counts.items() if before} >= {
            "features.users",
            "scoring.journals",
            "video.viewers",
            "experiments.units",
            "intervention.users",
            "intervention.made",
            "intervention.ledger",
            "ingest.links",
        }
        assert receipt["idCount"] == 2
        assert '"ada' not in erasure["receipt"]
        entries = (await mesh.client.get("/api/audit")).json()["entries"]
        assert f"{erasure['id']} {erasure['receiptHash']}" in [each["subject"] for each in entries]

        for late in (
            event(90, "page_view", page="/home"),
            {"eventId": "a-91", "anonymousId": "ada-browser", "eventType": "page_view"},
        ):
            refused = await mesh.client.post("/api/events/track", json=late)
            assert refused.json()["rejected"][0]["reason"] == "USER_ERASED", refused.text
        assert (await mesh.client.get("/api/failed-events")).json()["failedEvents"] == []

        assert (await mesh.client.delete(f"/api/privacy/erasures/{erasure['id']}")).status_code == 204
        await _accepted(mesh, event(92, "page_view", page="/home"))
        await applied(mesh, "ada-92")
        assert (await mesh.client.get("/api/users/ada/profile")).status_code == 200
