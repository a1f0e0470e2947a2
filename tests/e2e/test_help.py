"""Help as whoever runs the mesh sees it: policies change under way, messages go out once, all can be derived again."""

import base64
import hashlib
import hmac
import json
import time
from collections import Counter

import pytest

from services.intervention.decision.domain import chance
from services.intervention.decision.domain.ledger import decode_inputs
from tests.e2e.channels import (
    ADDRESS,
    KEY,
    POLICIES,
    Channels,
    Doubt,
    at_any_hour,
    ended,
    helped_by,
    intervention_of,
)
from tests.e2e.following import calculate, calculation, command, kill, polled, streamed, until
from tests.e2e.journeys import Journey, journey
from tests.intervention.receiver import Received
from tests.processes import RunningMesh

pytestmark = pytest.mark.processes

LIFT_USERS = 40


def test_a_message_due_when_the_service_was_killed_is_sent_once(channels: Channels, doubt: Doubt) -> None:
    mesh = channels.mesh
    for intervention_id, receiver in ((doubt.mailed_again, channels.ses), (doubt.chatted_again, channels.chat)):
        found = ended(mesh, intervention_id)
        assert (found["state"], found["attemptCount"]) == ("sent", 2)
        # Refused before the crash, taken after it.
        assert sum(found["idempotencyKey"] in each.body.decode() for each in receiver.received) == 2


def test_a_gentle_email_goes_out_and_is_followed(channels: Channels) -> None:
    one = helped_by(channels, "email", email=ADDRESS)
    intervention = one.pending()
    assert intervention is not None
    assert [intervention["channel"], *intervention["alsoChannels"]] == ["email", "in_app"]
    found = ended(one.mesh, intervention["id"])
    assert found["state"] == "sent"
    assert (found["provider"], found["providerId"], found["attemptCount"]) == ("ses", "m-1", 1)
    (request,) = _with_key(channels.ses.received, found["idempotencyKey"])
    body = json.loads(request.body)
    assert body["Destination"] == {"ToAddresses": [ADDRESS]}
    assert body["Content"]["Simple"]["Body"]["Text"]["Data"] == intervention["message"]
    decision = one.decisions()[0]
    assert decision["deliveries"] == [found]
    said = command(one.mesh, "explain", decision["id"]).stdout
    assert "email    sent by ses, tries: 1" in said


def test_a_ticket_is_posted_with_a_signature(channels: Channels) -> None:
    one = helped_by(channels, "ticket")
    intervention_id = intervention_of(one)
    assert ended(one.mesh, intervention_id)["state"] == "sent"
    (request,) = _with_key(channels.ticket.received, f"{intervention_id}.ticket")
    assert request.headers["idempotency-key"] == f"{intervention_id}.ticket"
    signed = request.headers["x-journeymesh-timestamp"].encode() + b"." + request.body
    expected = hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest()
    assert request.headers["x-journeymesh-signature"] == f"v1={expected}"
    body = json.loads(request.body)["journeymesh"]
    assert body["userId"] == one.user_id
    assert body["decisionId"] == one.decisions()[0]["id"]


def test_an_email_to_nowhere_fails_and_later_decisions_know(channels: Channels) -> None:
    one = helped_by(channels, "email")
    intervention_id = intervention_of(one)
    found = ended(one.mesh, intervention_id)
    assert (found["state"], found["reason"]) == ("failed", "no_address")
    assert not _with_key(channels.ses.received, found["idempotencyKey"])
    one.send(one.event(70, "error", page="/import", target="upload", errorCode="http_500"))
    decision = one.decisions()[0]
    assert decision["kind"] == "intervene"
    standing = decode_inputs(base64.b64decode(decision["inputs"])).standing
    assert standing.undelivered == ((intervention_id, "email"),)


def test_a_client_that_comes_back_after_a_crash_goes_on_where_it_was(channels: Channels) -> None:
    one = journey(channels.mesh)
    calculate(one)
    with streamed(one) as events:
        seen = next(events)
        kill(one.mesh, "intervention")
        assert next(events, None) is None  # the gateway lets go of it
    until(one.mesh.is_ready, "the mesh is not ready again")
    assert polled(one) == seen
    with streamed(one, seen.cursor) as events:
        answer = one.mesh.post(f"/api/interventions/{intervention_of(one)}/outcome", {"outcome": "declined"})
        assert answer.status == 202
        after = next(events)
    assert after.message is None
    assert int(after.cursor) > int(seen.cursor)


def test_an_invalid_policy_is_reported_and_changes_nothing(channels: Channels) -> None:
    mesh, right = channels.mesh, channels.policy.read_text()
    versions = _versions(mesh)
    for wrong, why in (
        ("version: [", "no YAML"),
        (right.replace("cooldown: 15m", "cooldown: soon"), "cooldown"),
        (right.replace("share: 0,", "share: 0.5,"), "salt"),
    ):
        channels.policy.write_text(wrong)
        _await_trouble(mesh, why)
        assert _versions(mesh) == versions
    channels.policy.unlink()
    _await_trouble(mesh, "cannot be read: No such file")
    channels.policy.write_text(right)
    until(lambda: mesh.get("/api/policies").body["trouble"] == "", "it was not forgotten")
    assert _versions(mesh) == versions
    one = journey(mesh)
    calculate(one)
    assert one.decisions()[0]["policyVersion"] == versions[0]


@pytest.fixture(scope="module")
def measured(channels: Channels, doubt: Doubt) -> list[Journey]:
    """Users who struggled after a policy that measures was put in force, with no restart."""
    mesh = channels.mesh
    channels.put(at_any_hour("measured.yaml"), "measured.yaml")
    early = journey(mesh)
    calculate(early)
    assert early.decisions()[0]["policyVersion"].startswith("default-3+")
    until(lambda: len(_versions(mesh)) == 2, "it was not taken")
    until(lambda: _version_now(mesh).startswith("measured-1+"), "it did not come into force")
    users = [journey(mesh)._replace(user_id=f"lift-{number}") for number in range(LIFT_USERS)]
    batches = [calculation(one) for one in users]
    answer = mesh.track(*(each for batch in batches for each in batch))
    assert answer.body["accepted"] == 3 * LIFT_USERS, answer
    for batch in batches:
        mesh.await_applied(batch[-1]["eventId"])
    return users


def test_users_in_the_holdout_are_not_helped_and_are_counted(channels: Channels, measured: list[Journey]) -> None:
    counts = Counter[str]()
    sides = dict[bool, list[Journey]]()
    for one in measured:
        decision = one.decisions()[0]
        assert decision["policyVersion"].startswith("measured-1+")
        is_held_out = chance.held_out("measured-1", one.user_id, 0.1)
        reason = decision["reasons"][0]
        counts[reason] += 1
        assert (one.pending() is None) == (reason in {"holdout", "chose_nothing"})
        assert 0 < decision["propensity"] <= 1
        if reason != "chose_nothing":
            assert (reason == "holdout") == is_held_out
            assert decision["exposure"] == {"experiment": "measured-1", "isTreated": not is_held_out}
            sides.setdefault(not is_held_out, []).append(one)
    assert counts["holdout"] > 0
    said = command(channels.mesh, "explain", sides[False][0].decisions()[0]["id"]).stdout
    assert "The user is held out" in said
    buyers = [*sides[True][:5], sides[False][0]]
    for one in buyers:
        bought = {"orderId": f"o-{one.user_id}", "amount": 10, "currency": "EUR"}
        one.send(one.event(one.now(), "purchase", page="/buy", **bought))
    lift = channels.mesh.get("/api/lift").body
    (every,) = (each for each in lift["lifts"] if each["dimension"] == "all")
    assert lift["experiment"] == "measured-1"
    assert lift["holdoutRatio"] == pytest.approx(0.1)
    assert every["holdoutCount"] == len(sides[False]) == counts["holdout"]
    assert every["treatedCount"] == len(sides[True])
    assert (every["treatedConversionCount"], every["holdoutConversionCount"]) == (5, 1)
    assert not every["isKnown"]
    assert sum(each["treatedCount"] for each in lift["lifts"] if each["dimension"] == "action") == len(sides[True])
    assert lift["sampleRatioPValue"] > 0.001


def test_decisions_are_derived_again_from_the_archive(channels: Channels, measured: list[Journey]) -> None:
    mesh = channels.mesh
    until(lambda: _is_archived(mesh), "the archiver did not catch up")
    options = ("replay", "--archive", channels.archive, "--policies", str(channels.policies))
    again = command(mesh, *options)
    assert again.returncode == 0, again.stdout + again.stderr
    counts = _table(again.stdout)
    assert counts["decisions compared"] == counts["equal"] > 3 * LIFT_USERS
    assert counts["different"] == counts["not in the archive"] == counts["duplicates"] == counts["ranges missing"] == 0

    unknown = command(mesh, "replay", "--archive", channels.archive, "--policies", str(POLICIES))
    assert unknown.returncode == 1
    assert "which is not available: put its document into" in " ".join(unknown.stdout.split())

    other = command(mesh, *options, "--policy", str(POLICIES / "default.yaml"))
    assert other.returncode == 0, other.stdout + other.stderr
    assert "Changed decisions" in other.stdout
    assert "none holdout" in other.stdout
    assert "other, doubly robust" in other.stdout
    assert "show_step_by_step" in other.stdout
    assert len(measured) == LIFT_USERS


def _await_trouble(mesh: RunningMesh, why: str) -> None:
    until(lambda: why in mesh.get("/api/policies").body["trouble"], f"it was not reported: {why}")


def _with_key(received: list[Received], key: str) -> list[Received]:
    return [each for each in received if key in each.body.decode()]


def _versions(mesh: RunningMesh) -> list[str]:
    return [each["version"] for each in mesh.get("/api/policies").body["policies"]]


def _version_now(mesh: RunningMesh) -> str:
    """The policy that decides on what is received now."""
    one = journey(mesh)
    one.send(one.event(0, "page_view", page="/home"))
    time.sleep(0.1)
    return str(one.decisions()[0]["policyVersion"])


def _is_archived(mesh: RunningMesh) -> bool:
    """Whether the archiver has come as far as the dispatcher."""
    standings = mesh.get("/api/pipeline").body["standings"]
    places = {(each["reader"], each["shard"]): each["checkpoint"] for each in standings}
    return all(places.get(("archiver", shard)) == at for (reader, shard), at in places.items() if reader != "archiver")


def _table(said: str) -> dict[str, int]:
    cells = ([cell.strip() for cell in line.split("│")[1:3]] for line in said.splitlines() if line.startswith("│"))
    return {name: int(value.replace(",", "")) for name, value in cells if value.replace(",", "").isdigit()}
