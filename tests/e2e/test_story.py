"""One intervention as its client, its user and whoever asks about it afterwards see it."""

import json

import pytest

from tests.e2e.following import calculate, command, connected, frame_of, polled, streamed
from tests.e2e.journeys import journey
from tests.processes import RunningMesh

pytestmark = pytest.mark.processes


def test_poll_stream_and_socket_agree_and_the_decision_can_be_explained(mesh: RunningMesh) -> None:
    one = journey(mesh)
    with streamed(one) as events, connected(one) as client:
        assert next(events).message is None
        assert frame_of(client)[1].message is None
        calculate(one)
        update = next(events)
        assert (update.body["intervention"] or {})["action"] == "show_live_chat_popup"
        assert frame_of(client) == ("intervention", update)
        assert polled(one) == update
        intervention_id = update.body["intervention"]["id"]

        client.send(json.dumps({"type": "outcome", "id": intervention_id, "outcome": "accepted"}))
        frames = dict(frame_of(client) for _ in range(2))
        ended = next(events)
        assert ended.message is None
        assert int(ended.cursor) > int(update.cursor)
        assert polled(one) == ended == frames["intervention"]
        assert frames["outcome_taken"].body["id"] == intervention_id
    followed = mesh.get(f"/api/interventions/{intervention_id}").body
    assert followed["outcome"] == "accepted"

    decision = mesh.get(f"/api/decisions/{followed['decisionId']}").body
    for named in (decision["id"], intervention_id, decision["traceId"]):
        said = command(mesh, "explain", named)
        assert said.returncode == 0, said.stdout + said.stderr
        _explains_the_decision(said.stdout, decision)


def _explains_the_decision(said: str, decision: dict[str, object]) -> None:
    for each in (
        f"decision {decision['id']}",
        "struggle_signal",
        "page=/calculator attempts=3",
        "error_count",
        "repeated_failures",
        str(decision["policyVersion"]),
        str(decision["modelVersion"]),
        "> show_live_chat_popup",
        "do nothing",
        "propensity was 1.000",
        "The text comes from the template",
        "in the product only",
        "accepted",
    ):
        assert each in said, said


def test_the_story_of_a_calm_user_says_why_not(mesh: RunningMesh) -> None:
    one = journey(mesh)
    one.send(one.event(0, "page_view", page="/articles/1"), one.event(30, "task_success", page="/articles/1"))
    decision = one.decisions()[0]
    said = command(mesh, "explain", decision["id"])
    assert said.returncode == 0, said.stdout + said.stderr
    assert "No help" in said.stdout
    assert decision["explanation"].split(".")[0] in " ".join(said.stdout.split())
    assert "below trigger" in said.stdout
    unknown = command(mesh, "explain", "d-shard-1-0")
    assert unknown.returncode == 1
    assert "no decision, intervention or trace" in unknown.stdout


def test_an_analysis_without_a_model_is_made_of_fixed_sentences(mesh: RunningMesh) -> None:
    one = journey(mesh)
    calculate(one)
    for depth in ("quick", "deep"):
        found = mesh.post(f"/api/users/{one.user_id}/analysis", {"depth": depth})
        assert found.status == 200, found
        assert found.body["source"] == "template"
        assert found.body["refusal"] == "off"
        assert found.body["exitRiskScore"] == pytest.approx(one.score(), abs=0.1)
        assert found.body["recommendedActions"]
    usage = mesh.get("/api/models/usage").body
    assert (usage["isOn"], usage["degraded"], usage["tokenCount"]) == (False, "off", 0)
