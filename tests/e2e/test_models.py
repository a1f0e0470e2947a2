"""Language models beside the mesh: never in the way, counted, held to a budget. A local server speaks as Bedrock."""

import hashlib
import itertools
import json
import statistics
import string
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.bedrock import Bedrock, Reply, Script, fails, looks_up, says, serving, words
from tests.e2e.channels import at_any_hour, delivery, ended, intervention_of
from tests.e2e.following import be_welcomed_by, calculate, calculation, command, kill, polled, streamed, until
from tests.e2e.journeys import Journey, journey
from tests.processes import RunningMesh, running_mesh

pytestmark = pytest.mark.processes

HINT = "Is this step giving you trouble? Here is a short tutorial, and a link to our support."
WORDS = "Is this step giving you trouble? One of us is happy to chat with you right now."
WARM = "You are the warmest of hosts, and word one short offer of help.\n{data}\nKeep what the template offers."
DAILY_TOKENS = 1_000_000
USERS = 7
"""Fewer than are asked for side by side."""

# No two alike: what was said of a page is said again.
_pages = (f"/calculator/{first}{second}" for first, second in itertools.product(string.ascii_lowercase, repeat=2))


class Asked(NamedTuple):
    """A mesh, and the models it asks."""

    mesh: RunningMesh
    bedrock: Bedrock


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("asked")
    (folder / "policy.yaml").write_text(at_any_hour("default.yaml"))
    (folder / "prompts").mkdir()
    (folder / "prompts" / "warm.yaml").write_text(
        json.dumps({"version": "warm-1", "text": WARM, "asks_confidence": True})
    )
    with serving(words(WORDS)) as bedrock:
        settings = {
            "JOURNEYMESH_POLICY": str(folder / "policy.yaml"),
            "JOURNEYMESH_LANGUAGE_MODEL": "bedrock",
            "JOURNEYMESH_BEDROCK_ENDPOINT": bedrock.url,
            "JOURNEYMESH_MODEL_DAILY_TOKENS": str(DAILY_TOKENS),
            "JOURNEYMESH_PROMPTS": str(folder / "prompts"),
            "JOURNEYMESH_PROMPT_EXPERIMENT": "tone",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        with running_mesh(folder, **settings) as mesh:
            yield Asked(mesh, bedrock)


@pytest.fixture
def answering(asked: Asked) -> Iterator[Asked]:
    """The same, with a Bedrock that answers again when the test has ended."""
    yield asked
    asked.bedrock.script.clear()
    asked.bedrock.otherwise = words(WORDS)


def test_the_template_is_visible_at_once_and_the_generated_copy_later(answering: Asked) -> None:
    mesh, bedrock = answering
    gate = threading.Event()
    bedrock.otherwise = _after(gate)
    one, page = journey(mesh), next(_pages)
    with streamed(one) as events:
        assert next(events).message is None
        calculate(one, page)
        template = next(events)
        assert template.message is not None
        assert template.message != WORDS
        assert template.body["intervention"]["wording"] is None
        gate.set()
        worded = next(events)
    assert worded.message == WORDS
    assert int(worded.cursor) > int(template.cursor)
    assert polled(one) == worded
    assert worded.body["intervention"]["id"] == template.body["intervention"]["id"]

    decision = one.decisions()[0]
    wording = decision["intervention"]["wording"]
    assert wording["isUsed"]
    assert wording["modelId"] == "amazon.nova-micro-v1:0"
    assert len(wording["promptHash"]) == 64
    assert (wording["inputTokens"], wording["outputTokens"]) == (600, 80)
    assert wording["costMicroUsd"] == pytest.approx(600 * 0.035 + 80 * 0.14)
    said = " ".join(command(mesh, "explain", decision["id"]).stdout.split())
    assert f"“{WORDS}”" in said
    assert f"{wording['modelId']}, prompt {wording['promptVersion']} ({wording['promptHash'][:12]})" in said

    same = journey(mesh)
    calculate(same, page)
    again = _worded(same)
    assert again["isUsed"]
    assert again["isCached"]
    assert again["costMicroUsd"] == 0
    assert len(bedrock.requests) == 1


def test_copy_generated_after_the_user_s_answer_is_not_reported_as_shown(answering: Asked) -> None:
    mesh, bedrock = answering
    gate = threading.Event()
    bedrock.otherwise = _after(gate)
    one = journey(mesh)
    calculate(one, next(_pages))
    template = polled(one)
    path = f"/api/interventions/{template.body['intervention']['id']}"
    assert mesh.post(f"{path}/outcome", {"outcome": "accepted"}).status == 202
    until(lambda: polled(one).message is None, "it still waits")
    gate.set()
    until(lambda: mesh.get(path).body["intervention"]["wording"], "the words were not there")
    followed = mesh.get(path).body
    assert followed["outcome"] == "accepted"
    assert followed["intervention"]["message"] == template.message
    assert (followed["intervention"]["wording"]["isUsed"], followed["intervention"]["wording"]["refusal"]) == (
        False,
        "late",
    )


def test_a_message_waits_for_the_generated_copy_and_is_sent_with_it(answering: Asked) -> None:
    mesh, bedrock = answering
    bedrock.otherwise = words(HINT)
    one = journey(mesh)
    be_welcomed_by(one, "email")
    intervention_id = intervention_of(one)
    assert delivery(mesh, intervention_id)["state"] == "waiting"
    said = _worded(one)
    sent = ended(mesh, intervention_id)
    assert (sent["state"], sent["provider"], sent["attemptCount"]) == ("sent", "log", 1)
    key = f"({sent['idempotencyKey']})"
    (line,) = until(
        lambda: [each for each in mesh.log.read_text().splitlines() if key in each], "the log does not say it"
    )
    assert said["isUsed"]
    assert HINT in line


def test_the_cost_of_models_is_reported(answering: Asked) -> None:
    mesh, _ = answering
    one = journey(mesh)
    calculate(one, next(_pages))
    assert _worded(one)["isUsed"]
    usage = mesh.get("/api/models/usage").body
    assert (usage["isOn"], usage["degraded"], usage["tokenLimit"]) == (True, "", DAILY_TOKENS)
    (model,) = usage["models"]
    count = model["callCounts"]["ok"]
    assert usage["tokenCount"] == 680 * count
    assert usage["costMicroUsd"] == model["costMicroUsd"] == pytest.approx(32.2 * count)
    calls = 'journeymesh_model_calls_total{ending="ok",model="amazon.nova-micro-v1:0"}'
    until(lambda: mesh.metrics("intervention").get(calls) == count, "the calls are not counted")
    metrics = mesh.metrics("intervention")
    assert metrics['journeymesh_model_tokens_total{direction="input",model="amazon.nova-micro-v1:0"}'] == 600 * count
    assert metrics['journeymesh_model_cost_usd_total{model="amazon.nova-micro-v1:0"}'] == pytest.approx(32.2e-6 * count)


def test_prompts_are_compared_on_users(answering: Asked) -> None:
    mesh, bedrock = answering
    bedrock.otherwise = _as_asked
    metrics = [{"name": "accepted", "harm": 0.1}, {"name": "confidence", "aggregation": "average"}]
    created = {
        "experimentId": "tone",
        "arms": [{"name": "control"}, {"name": "warm", "value": "warm"}],
        "metrics": metrics,
        "score": {"speedTarget": 5_000, "costTarget": 0.002},
        "ramp": [100],
    }
    assert mesh.post("/api/experiments", created).status == 201
    assert mesh.post("/api/experiments/tone:start", {}).status == 200
    # Which arm a user has is known beforehand.
    users = [journey(mesh) for _ in range(8)]
    units = [{"unit": one.user_id} for one in users]
    arms = {
        each["unit"]: each["arm"] for each in mesh.post("/api/experiments:assign", {"units": units}).body["assignments"]
    }
    versions = {"control": "wording-1", "warm": "warm-1"}
    in_force = mesh.get("/api/policies").body["policies"][0]["document"]
    for one in users:
        calculate(one, next(_pages))
        wording = _worded(one)
        arm = arms[one.user_id]
        assert wording["isUsed"]
        assert wording["arms"] == [{"experimentId": "tone", "arm": arm}]
        assert wording["promptVersion"] == versions[arm]
        assert wording["confidence"] == (0.7 if arm == "warm" else None)
        # What is decided does not depend on the prompt.
        decision = one.decisions()[0]
        again = mesh.post(f"/api/decisions/{decision['id']}:derive", {"policy": in_force}).body["decision"]
        assert [again[name] for name in ("kind", "reasons", "policyVersion")] == [
            decision[name] for name in ("kind", "reasons", "policyVersion")
        ]
        assert again["intervention"]["action"] == decision["intervention"]["action"]
        assert mesh.post(f"/api/interventions/{intervention_of(one)}/outcome", {"outcome": "accepted"}).status == 202

    def accepted() -> list[Any]:
        found = mesh.get("/api/experiments/tone/results").body["findings"]
        return [each for each in found if each["metric"] == "accepted" and each["mean"] == each["controlMean"] == 1]

    until(accepted, "what came of help is not told", 30)
    results = mesh.get("/api/experiments/tone/results").body
    assert {each["arm"]: each["units"] for each in results["units"]} == {
        arm: [*arms.values()].count(arm) for arm in versions
    }
    assert results["unmatchedReports"] == 0
    assert {each["metric"] for each in results["findings"]} == {"score", "accepted", "confidence"}

    told = mesh.get("/api/prompts").body
    assert (told["experimentId"], told["troubles"]) == ("tone", [])
    prompts = {each["version"]: each for each in told["prompts"]}
    assert (prompts["wording-1"]["isInForce"], prompts["warm-1"]["names"]) == (True, ["warm"])
    assert prompts["warm-1"]["hash"] == hashlib.sha256(prompts["warm-1"]["text"].encode()).hexdigest()
    usage = {each["promptVersion"]: each for each in mesh.get("/api/models/usage").body["prompts"]}
    assert usage["warm-1"]["endingCounts"] == {"ok": [*arms.values()].count("warm")}
    assert mesh.post("/api/experiments/tone:stop", {}).status == 200


def test_a_user_is_analyzed_by_the_model_that_fits_and_what_it_looks_up_is_asked_of_the_mesh(answering: Asked) -> None:
    mesh, bedrock = answering
    one = journey(mesh)
    calculate(one, next(_pages))
    _worded(one)
    bedrock.requests.clear()
    found = json.dumps(
        {
            "exit_risk_score": round(one.score()),
            "engagement_level": "medium",
            "recommended_actions": ["Offer a chat now."],
            "key_insights": ["The user has failed at the same step again and again."],
        }
    )
    bedrock.otherwise = says(found)
    quick = mesh.post(f"/api/users/{one.user_id}/analysis", {"depth": "quick"}).body
    assert (quick["source"], quick["refusal"]) == ("amazon.nova-micro-v1:0", "")
    assert quick["recommendedActions"] == ["Offer a chat now."]

    bedrock.script.append(looks_up("struggle", "video", "intervention"))
    deep = mesh.post(f"/api/users/{one.user_id}/analysis", {"depth": "deep"}).body
    assert (deep["source"], deep["refusal"]) == ("amazon.nova-pro-v1:0", "")
    assert deep["toolCalls"] == ["struggle", "video", "intervention"]
    assert deep["usage"]["costMicroUsd"] == pytest.approx((900 + 600) * 0.8 + (40 + 80) * 3.2)
    assert bedrock.model_ids == ["amazon.nova-micro-v1:0", *["amazon.nova-pro-v1:0"] * 2]
    struggle, video, intervention = (
        each["toolResult"]["content"][0]["text"] for each in bedrock.requests[-1]["messages"][-1]["content"]
    )
    assert "repeated_failures" in struggle
    assert "{}" in video
    assert "show_live_chat_popup" in intervention
    assert one.user_id not in json.dumps(bedrock.requests)

    bedrock.otherwise = says("I would rather not.")
    other = mesh.post(f"/api/users/{one.user_id}/analysis", {"depth": "quick"}).body
    assert other["source"] == "template"
    assert other["refusal"]
    assert mesh.post("/api/users/nobody-at-all/analysis", {"depth": "quick"}).status == 404


def test_a_model_is_told_what_the_user_bought(answering: Asked) -> None:
    mesh, bedrock = answering
    one = journey(mesh)
    beans = {"productId": "p-1", "name": "Beans"}
    one.send(one.event(-86_400, "purchase", amount=12.5, currency="EUR", orderId="o-1", lines=[beans]))
    until(lambda: mesh.get(f"/api/customers/{one.user_id}").status == 200, "the order was not counted")
    found = {
        "exit_risk_score": round(one.score()),
        "engagement_level": "medium",
        "recommended_actions": ["Ask them how they like the beans."],
        "key_insights": ["They have bought beans once, and that was a day ago."],
    }
    bedrock.otherwise = says(json.dumps(found))
    bedrock.requests.clear()
    bedrock.script.append(looks_up("purchases"))
    for depth, tool_calls in (("deep", ["purchases"]), ("quick", [])):
        analysis = mesh.post(f"/api/users/{one.user_id}/analysis", {"depth": depth}).body
        assert (analysis["refusal"], analysis["toolCalls"]) == ("", tool_calls)
        assert analysis["usage"]["promptVersion"] == f"{depth}-2"
        said = json.dumps(bedrock.requests[-1]["messages"][-1])
        order = {"amount": 12.5, "currency": "EUR", "days_ago": 1, "given_back": False, "products": ["Beans"]}
        assert json.dumps(json.dumps(order, separators=(",", ":")))[1:-1] in said
    assert one.user_id not in json.dumps(bedrock.requests)


def test_a_model_that_is_slow_or_down_makes_nobody_wait(answering: Asked) -> None:
    mesh, bedrock = answering
    # Where nobody answers a failure counts, and the models are asked no more: so that comes last.
    scripts: dict[str, Script] = {
        "quick": words(WORDS),
        "slow": _after(threading.Event(), 3),
        "down": fails(503, "ServiceUnavailableException"),
    }
    seconds, wordings = dict[str, float](), dict[str, list[dict[str, Any]]]()
    for name, script in scripts.items():
        bedrock.otherwise = script
        users = [journey(mesh) for _ in range(USERS)]
        times = [_seconds_until_visible(one) for one in users]
        seconds[name] = statistics.median(times)
        wordings[name] = [_worded(one) for one in users]
        usage = mesh.get("/api/models/usage").body
        assert usage["degraded"] == ("breaker_open" if name == "down" else "")
        if name == "down":
            assert WORDS not in {polled(one).message for one in users}
    assert max(seconds.values()) < 1, seconds
    assert max(seconds["slow"], seconds["down"]) < 3 * seconds["quick"] + 0.05, seconds
    assert all(each["isUsed"] for name in ("quick", "slow") for each in wordings[name])
    assert {each["refusal"] for each in wordings["down"]} <= {"unavailable", "breaker_open"}
    degraded = 'journeymesh_model_degraded{reason="breaker_open"}'
    until(lambda: mesh.metrics("intervention").get(degraded) == 1, "it is not reported that templates are used")


def test_when_the_budget_is_used_up_the_next_words_are_the_template_s_also_after_a_crash(answering: Asked) -> None:
    mesh, bedrock = answering
    before = mesh.get("/api/models/usage").body["tokenCount"]
    kill(mesh, "intervention")  # which forgets that the model failed, and nothing of what was spent
    until(mesh.is_ready, "the mesh is not ready again")
    usage = mesh.get("/api/models/usage").body
    assert usage["tokenCount"] == before
    assert usage["models"] == []

    bedrock.otherwise = says(json.dumps({"message": WORDS}), tokens=(DAILY_TOKENS - before, 80))
    last = journey(mesh)
    calculate(last, next(_pages))
    assert _worded(last)["isUsed"]
    requests = len(bedrock.requests)
    for is_second in (False, True):
        one = journey(mesh)
        calculate(one, next(_pages))
        wording = _worded(one)
        assert (wording["isUsed"], wording["refusal"], wording["costMicroUsd"]) == (False, "budget", 0)
        assert polled(one).message != WORDS
        assert mesh.get("/api/models/usage").body["degraded"] == "budget"
        analysis = mesh.post(f"/api/users/{one.user_id}/analysis", {"depth": "deep"}).body
        assert (analysis["source"], analysis["refusal"]) == ("template", "budget")
        if not is_second:
            kill(mesh, "intervention")
            until(mesh.is_ready, "the mesh is not ready again")
    assert len(bedrock.requests) == requests


def _as_asked(request: dict[str, Any]) -> Reply:
    """Words, and how sure the model is where it is asked."""
    asks = '"confidence"' in request["system"][0]["text"]
    return says(json.dumps({"message": WORDS, **({"confidence": 0.7} if asks else {})}))


def _after(gate: threading.Event, seconds: float = 30) -> Script:
    """Words that come when the gate opens, or after a time."""

    def reply(_request: dict[str, Any]) -> Reply:
        gate.wait(seconds)
        return words(WORDS)

    return reply


def _seconds_until_visible(one: Journey) -> float:
    """From sending the events that bring help until the poll shows it."""
    events = calculation(one, next(_pages))
    started = time.monotonic()
    answer = one.mesh.track(*events)
    assert answer.status == 202, answer
    while polled(one).message is None:
        assert time.monotonic() < started + 10
        time.sleep(0.002)
    return time.monotonic() - started


def _worded(one: Journey) -> dict[str, Any]:
    """The generated copy of the user's help, once there is one, used or not."""
    return until(lambda: dict(one.decisions()[0]["intervention"]["wording"] or {}), "the words were not there")
