"""The routes that show how help was decided, what it changed, and what the language models cost."""

from typing import Any

import pytest
from journeymesh.intervention.v1 import intervention_pb2

from tests.gateway.fakes import SECONDS, decision, delivery, intervention
from tests.gateway.running import Gateway


async def get(gateway: Gateway, path: str) -> Any:
    answer = await gateway.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_intervention_shows_its_outcome_and_its_deliveries(gateway: Gateway) -> None:
    gateway.services.intervention.made["i-1"] = intervention_pb2.GetInterventionResponse(
        intervention=intervention(), user_id="ada", decision_id="d-1", deliveries=[delivery()]
    )
    body = await get(gateway, "/api/interventions/i-1")
    assert (body["userId"], body["decisionId"], body["outcome"], body["isEnded"]) == ("ada", "d-1", None, False)
    assert body["intervention"]["action"] == "show_live_chat_popup"
    assert body["deliveries"] == [
        {
            "channel": "email",
            "state": "sent",
            "attemptCount": 2,
            "updateTime": "2026-01-02T10:00:40Z",
            "provider": "ses",
            "providerId": "0100",
            "reason": "",
            "idempotencyKey": "i-1:email",
        }
    ]
    missing = await gateway.client.get("/api/interventions/none")
    assert (missing.status_code, missing.json()["reason"]) == (404, "INTERVENTION_NOT_FOUND")


async def test_a_decision_lists_its_candidates(gateway: Gateway) -> None:
    gateway.services.intervention.decisions = [decision()]
    body = await get(gateway, "/api/decisions/d-1")
    assert [each["refusal"] for each in body["candidates"]] == [None, None, "frequency_cap"]
    assert (body["draw"], body["outcome"], body["inputs"]) == (0.734, "shown", "gQA=")
    assert body["exposure"] == {"experiment": "2026-01", "isTreated": True}
    assert body["features"][0] == {"name": "error_count", "value": 3}
    assert body["intervention"]["wording"]["costMicroUsd"] == 19.7


async def test_policies_and_lift_are_returned(gateway: Gateway) -> None:
    service = gateway.services.intervention
    one = service.policies.policies.add(version="policy-2+3f9a0c1d", document="version: policy-2")
    one.start_time.FromSeconds(SECONDS)
    assert await get(gateway, "/api/policies") == {
        "policies": [
            {
                "version": "policy-2+3f9a0c1d",
                "startTime": "2026-01-02T10:00:00Z",
                "document": "version: policy-2",
                "tenant": "",
                "experimentId": "",
            }
        ],
        "trouble": "",
    }
    service.lift.lifts.add(dimension="all", treated_count=90, holdout_count=10, lift=0.125, is_known=True)
    body = await get(gateway, "/api/lift?experiment=2026-01")
    assert (body["lifts"][0]["treatedCount"], body["lifts"][0]["lift"]) == (90, 0.125)
    await get(gateway, "/api/lift")
    assert [each.experiment for each in service.lift_requests] == ["2026-01", ""]


async def test_prompts_are_returned(gateway: Gateway) -> None:
    said = gateway.services.intervention.prompts
    said.experiment_id = "tone"
    said.prompts.add(version="warm-1", hash="9f" * 32, text="Be warm.", most_tokens=120, names=["warm"])
    said.troubles.add(name="cold", why="it is no prompt.")
    assert await get(gateway, "/api/prompts") == {
        "prompts": [
            {
                "version": "warm-1",
                "hash": "9f" * 32,
                "text": "Be warm.",
                "mostTokens": 120,
                "asksConfidence": False,
                "names": ["warm"],
                "isInForce": False,
                "firstUseTime": None,
            }
        ],
        "troubles": [{"name": "cold", "why": "it is no prompt."}],
        "experimentId": "tone",
    }


@pytest.mark.parametrize(
    ("body", "depth"),
    [
        ({}, intervention_pb2.ANALYSIS_DEPTH_QUICK),
        ({"depth": "strategy"}, intervention_pb2.ANALYSIS_DEPTH_STRATEGY),
        ({"depth": "deep"}, intervention_pb2.ANALYSIS_DEPTH_DEEP),
    ],
)
async def test_an_analysis_has_time(gateway: Gateway, body: Any, depth: int) -> None:
    answer = await gateway.client.post("/api/users/ada/analysis", json=body)
    assert answer.status_code == 200
    assert answer.json() == {
        "userId": "ada",
        "exitRiskScore": 78.4,
        "engagementLevel": "low",
        "recommendedActions": ["show_live_chat_popup"],
        "keyInsights": ["3 failed attempts in a row"],
        "source": "template",
        "refusal": "off",
        "usage": None,
        "toolCalls": [],
    }
    assert [each.depth for each in gateway.services.intervention.analyses] == [depth]
    assert (gateway.services.intervention.analysis_seconds or 0) > 20


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/api/users/nobody/analysis", b"{}", 404, "USER_NOT_FOUND"),
        ("/api/users/ada/analysis", b'{"depth":"deeper"}', 400, "VALUE_OUT_OF_RANGE"),
        ("/api/users/ada/analysis", b'{"depth":2}', 400, "INVALID_TYPE"),
        ("/api/users/ada/analysis", b'{"deep":true}', 400, "UNKNOWN_FIELD"),
        ("/api/users/ada/analysis", b"", 400, "MALFORMED_JSON"),
    ],
)
async def test_an_analysis_that_cannot_be_made_is_a_problem(
    gateway: Gateway, path: str, body: bytes, status: int, reason: str
) -> None:
    answer = await gateway.post(body, path)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)


async def test_the_use_of_models_is_returned(gateway: Gateway) -> None:
    service = gateway.services.intervention
    service.usage = intervention_pb2.GetModelUsageResponse(is_on=True, token_count=450, token_limit=1000)
    service.usage.models.add(model_id="nova-micro", call_counts={"ok": 3, "throttled": 1}, cost_micro_usd=19.7)
    body = await get(gateway, "/api/models/usage")
    assert (body["isOn"], body["degraded"], body["tokenLimit"]) == (True, "", 1000)
    assert body["models"][0]["callCounts"] == {"ok": 3, "throttled": 1}


async def test_the_live_model_is_shown_with_its_card(gateway: Gateway) -> None:
    answer = await gateway.client.get("/api/models/live/card")
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["modelVersion"], shown["card"]) == ("oulad-1", "# Model")
    assert shown["trainingTime"] == "2026-01-02T10:00:00Z"


async def test_a_decision_is_derived_by_another_policy(gateway: Gateway) -> None:
    gateway.services.intervention.decisions.append(decision())
    answer = await gateway.client.post("/api/decisions/d-1:derive", json={"policy": "version: mine"})
    assert answer.status_code == 200
    assert (answer.json()["decision"]["policyVersion"], answer.json()["hasPast"]) == ("version: mine", True)
    assert (await gateway.client.post("/api/decisions/d-9:derive", json={"policy": ""})).status_code == 404
    too_long = await gateway.client.post("/api/decisions/d-1:derive", json={"policy": "x" * 16_385})
    assert too_long.status_code == 400
