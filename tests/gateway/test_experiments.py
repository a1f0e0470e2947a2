"""Experiments over REST: one story, what is refused, and who may do what."""

import base64
import json
from typing import Any, Final

import pytest

from tests.gateway.running import Gateway

MODEL: Final[dict[str, Any]] = {
    "experimentId": "model",
    "arms": [{"name": "control", "value": "small"}, {"name": "large", "value": "large"}],
    "metrics": [
        {"name": "accepted", "harm": 0.1},
        {"name": "latency_ms", "aggregation": "average", "isSmallerBetter": True},
    ],
    "score": {"speedTarget": 1500, "costTarget": 0.002},
    "ramp": [100],
    "pausesOnIncident": True,
}


async def post(gateway: Gateway, path: str, body: object, status: int = 200) -> Any:
    answer = await gateway.post(json.dumps(body).encode(), f"/api/experiments{path}")
    assert answer.status_code == status, answer.text
    return answer.json()


async def get(gateway: Gateway, path: str = "", status: int = 200) -> Any:
    answer = await gateway.client.get(f"/api/experiments{path}")
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_the_story_of_an_experiment(gateway: Gateway) -> None:
    assert await get(gateway) == {"experiments": []}
    created = await post(gateway, "", MODEL, 201)
    assert (created["state"], created["definition"]["ramp"]) == ("draft", [100.0])
    assert created["definition"]["score"]["qualityWeight"] == 0.5
    started = await post(gateway, "/model:start", {"why": "reviewed"})
    assert (started["state"], started["percent"]) == ("running", 100.0)
    assert (started["history"][-1]["why"], started["history"][-1]["actor"]) == ("reviewed", "nobody")
    units = [{"unit": f"u-{number}", "before": number / 300} for number in range(300)]
    told = await post(gateway, ":assign", {"units": units, "isExposure": True})
    assert not told["isFallback"]
    arms = {each["unit"]: each["arm"] for each in told["assignments"]}
    assert {each["value"] for each in told["assignments"]} == {"small", "large"}
    reports = [
        {
            "unit": unit,
            "reportId": "call-1",
            "time": "2026-01-01T00:00:00Z",
            "outcomes": {"quality": 1, "accepted": 1, "latency_ms": 300 if arm == "large" else 900, "cost_usd": 0.001},
        }
        for unit, arm in arms.items()
    ]
    for _ in range(2):
        assert await post(gateway, "/model/outcomes", {"reports": reports}) == {"matched": 300, "unmatched": 0}
    exposure = {"unit": "later", "arm": "control", "isFallback": True}
    assert await post(gateway, "/model/exposures", {"exposures": [exposure]}) == {"newUnits": 1, "leftOut": 0}
    found = await get(gateway, "/model/results")
    assert sum(each["units"] for each in found["units"]) == 300
    assert found["fallbackUnits"] == 1
    assert sum(each["units"] for each in (await get(gateway, "/model/results?fallback=true"))["units"]) == 301
    score, accepted, latency = found["findings"]
    assert score["difference"] == pytest.approx(0.3 * 600 / 1500)
    assert (accepted["mean"], accepted["lower"], accepted["guardrail"]) == (1.0, None, "open")
    assert latency["difference"] == pytest.approx(-600)
    assert (found["winner"], found["ratio"]) == ("", "fine")
    assert found["waitsFor"][0] == "It has run for 0.0 of 3 days."
    told = json.loads(base64.b64decode((await get(gateway, ":configuration"))["payload"]))
    (configured,) = told["experiments"]
    assert (configured["id"], configured["percent"], configured["state"]) == ("model", 100.0, "running")
    assert configured["outcomes"] == ["accepted", "cost_usd", "latency_ms", "quality"]
    for act, state in (("pause", "paused"), ("start", "running")):
        answer = await gateway.client.post(f"/api/experiments/model:{act}")
        assert answer.json()["state"] == state
    for _ in range(2):
        assert await post(gateway, ":pause", {"incidentId": "i-1", "why": "sales"}) == {"experimentIds": ["model"]}
    assert (await get(gateway, "/model"))["history"][-1]["incidentId"] == "i-1"
    promoted = await post(gateway, "/model:promote", {"arm": "large"})
    assert (promoted["state"], promoted["promoted"]) == ("promoted", "large")
    assert (await post(gateway, "/model:rollback", {}))["state"] == "rolled_back"
    shown = await get(gateway, "/model")
    assert [each["state"] for each in shown["history"]] == [
        "draft",
        "running",
        "paused",
        "running",
        "paused",
        "promoted",
        "rolled_back",
    ]
    assert [each["definition"]["experimentId"] for each in (await get(gateway))["experiments"]] == ["model"]


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("", MODEL | {"arms": MODEL["arms"][:1]}, 400, "INVALID_TYPE"),
        ("", MODEL | {"ramp": [50, 5]}, 400, "VALUE_OUT_OF_RANGE"),
        ("", MODEL | {"metrics": [{"name": "a", "aggregation": "median"}]}, 400, "VALUE_OUT_OF_RANGE"),
        ("", MODEL | {"colour": "red"}, 400, "UNKNOWN_FIELD"),
        ("", MODEL | {"experimentId": "model\n"}, 400, "INVALID_TYPE"),
        ("", MODEL, 409, "EXPERIMENT_EXISTS"),
        ("/other:start", {}, 404, "EXPERIMENT_NOT_FOUND"),
        ("/model:pause", {}, 409, "EXPERIMENT_STATE_INVALID"),
        ("/model:promote", {"arm": "none"}, 400, "VALUE_OUT_OF_RANGE"),
        (":pause", {"incidentId": ""}, 400, "INVALID_TYPE"),
        ("/model/outcomes", {"reports": []}, 409, "EXPERIMENT_STATE_INVALID"),
        ("/model/outcomes", {"reports": [{"unit": "", "outcomes": {}}]}, 400, "INVALID_TYPE"),
        ("/model/outcomes", {"reports": [{"unit": "a", "outcomes": {}, "time": "now"}]}, 400, "INVALID_TIME"),
        (
            "/model/outcomes",
            {"reports": [{"unit": "a", "outcomes": {}, "time": "0001-01-01T00:00:00+14:00"}]},
            400,
            "INVALID_TIME",
        ),
        (":assign", {"units": [{"unit": "a", "before": 1e10}]}, 400, "INVALID_TYPE"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    gateway: Gateway, path: str, body: object, status: int, reason: str
) -> None:
    await post(gateway, "", MODEL, 201)
    assert (await post(gateway, path, body, status))["reason"] == reason
    assert (await get(gateway, "/model"))["revision"] == 1


async def test_a_metric_has_a_window(gateway: Gateway) -> None:
    window = {"name": "stayed", "fromHours": 24, "withinHours": 168, "harm": 0.1}
    (made,) = (await post(gateway, "", {**MODEL, "metrics": [window]}, 201))["definition"]["metrics"]
    assert (made["fromHours"], made["withinHours"]) == (24, 168)
    wrong = await post(gateway, "", {**MODEL, "metrics": [{**window, "withinHours": 12}]}, 400)
    assert wrong["reason"] == "VALUE_OUT_OF_RANGE"
