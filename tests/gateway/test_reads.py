"""The routes that read, and those that act on what they read."""

import json
from typing import Any

import pytest
from journeymesh.common.v1 import error_reason_pb2, event_pb2, position_pb2
from journeymesh.ingest.v1 import ingest_pb2
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.scoring.v1 import scoring_pb2

from mesh.errors import Unavailable
from tests.customers import fits
from tests.gateway.fakes import SECONDS, intervention
from tests.gateway.running import NOW_US, Gateway


async def get(gateway: Gateway, path: str) -> Any:
    answer = await gateway.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_features_are_named(gateway: Gateway) -> None:
    assert await get(gateway, "/api/users/ada/features") == {
        "userId": "ada",
        "features": {"error_count": 3, "success_rate": 0},
        "featureSchemaVersion": "features-1",
        "asOfTime": "2026-01-02T10:00:00Z",
    }


async def test_one_call_returns_features_and_score(gateway: Gateway) -> None:
    body = await get(gateway, "/api/users/ada")
    assert body["features"] == {"error_count": 3, "success_rate": 0}
    assert (body["assessment"]["score"], body["assessment"]["level"]) == (78.4, "high")
    assert (body["userId"], body["featureSchemaVersion"]) == ("ada", "features-1")
    assert (body["eventTime"], body["modelVersion"]) == ("2026-01-02T10:00:00Z", "oulad-1")


async def test_messages_are_returned_whole(gateway: Gateway) -> None:
    profile = await get(gateway, "/api/users/ada/profile")
    assert (profile["eventCount"], profile["platforms"], profile["firstSeenTime"]) == (7, ["web"], None)
    assert profile["isBot"] is False
    risk = await get(gateway, "/api/users/ada/risk")
    assert risk["assessment"]["level"] == "high"
    assert risk["assessment"]["strongSignalCount"] == 1
    assert risk["eventTime"] == "2026-01-02T10:00:00Z"
    assert risk["signals"][0]["signal"]["type"] == "form_errors"
    assert risk["signals"][0]["signal"]["signalTimeUs"] == SECONDS * 1_000_000
    assert (await get(gateway, "/api/users/ada/videos"))["videos"][0]["videoId"] == "v-1"
    assert (await get(gateway, "/api/videos/v-1"))["retention"][0]["viewerCount"] == 2
    assert (await get(gateway, "/api/features"))["definitions"][0]["name"] == "error_count"


async def test_a_customer_is_returned_with_their_orders(gateway: Gateway) -> None:
    customer = await get(gateway, "/api/customers/ada")
    assert (customer["orderCount"], customer["cadenceDays"], customer["lastOrderTime"]) == (2, None, None)
    assert customer["money"][0] == {
        "currency": "EUR", "orderCount": 2, "amount": 23, "refunded": 0, "meanAmount": 11.5
    }  # fmt: skip
    orders = (await get(gateway, "/api/customers/ada/purchases"))["orders"]
    assert len(orders) == 2
    assert orders[0]["lines"] == [
        {"productId": "p-1", "name": "Beans", "category": "", "quantity": 2, "price": 9.9}
    ]  # fmt: skip
    assert len((await get(gateway, "/api/customers/ada/purchases?limit=1"))["orders"]) == 1
    refused = await gateway.client.get("/api/customers/ada/purchases?limit=201")
    assert (refused.status_code, refused.json()["reason"]) == (400, "INVALID_PARAMETER")


async def test_what_is_foretold_of_a_customer_is_returned(gateway: Gateway) -> None:
    told = await get(gateway, "/api/customers/ada/predictions?days=14")
    assert told["fit"] == {"state": "ready", "fittedTime": None, "customerCount": 40}
    assert (told["segment"], told["active"], told["due"][0]["daysLeft"]) == ("Loyal", None, 14)
    assert told["horizons"][0]["ordersSpan"] == {"lower": 1, "upper": 3}
    assert (told["nextBasket"]["recall"], told["nextBasket"]["personalRecall"]) == (0.25, 0.125)
    assert told["nextBasket"]["untilDate"] == "2026-01-31"
    found = (await get(gateway, "/api/customers/ada/recommendations?limit=3"))["recommendations"]
    assert len(found) == 3
    assert (found[0]["reason"], found[0]["because"]) == ("bought_together", "p-2")
    refused = await gateway.client.get("/api/customers/ada/predictions?days=366")
    assert (refused.status_code, refused.json()["reason"]) == (400, "INVALID_PARAMETER")


async def test_segments_of_customers_are_returned(gateway: Gateway) -> None:
    listed = await get(gateway, "/api/segments")
    assert listed["fit"]["state"] == "learning"
    assert len(listed["segments"]) == 8
    assert listed["segments"][0]["strategy"]["offersAWeek"] == 1
    assert (await get(gateway, "/api/segments/Can%27t%20Lose/members"))["userIds"] == []
    assert (await get(gateway, "/api/segments/migration"))["rows"] == []
    unknown = await gateway.client.get("/api/segments/Rich/members")
    assert (unknown.status_code, unknown.json()["reason"]) == (404, "CUSTOMER_SEGMENT_NOT_FOUND")
    one = await get(gateway, "/api/segments/Can%27t%20Lose")
    assert (one["fit"]["state"], one["segment"]["name"], len(one["segment"]["cells"])) == ("learning", "Can't Lose", 2)
    for path in ("/api/segments/performance", "/api/segments/Loyal/performance"):
        assert (await get(gateway, f"{path}?days=30"))["days"] == 30
        refused = await gateway.client.get(f"{path}?days=31")
        assert (refused.status_code, refused.json()["reason"]) == (400, "INVALID_PARAMETER")
    for path in ("/api/segments/Rich", "/api/segments/Rich/performance"):
        unknown = await gateway.client.get(path)
        assert (unknown.status_code, unknown.json()["reason"]) == (404, "CUSTOMER_SEGMENT_NOT_FOUND")


async def test_what_help_changed_in_a_segment_is_told_with_what_it_brings(gateway: Gateway) -> None:
    learnt, service = fits.learnt(), gateway.services.intervention
    await gateway.services.fits.replace("", learnt.fit, learnt.members, learnt.grouped, 0)
    of_one = {"treated_count": 90, "holdout_count": 30, "lift": 0.25, "lower": 0.05, "upper": 0.45, "is_known": True}
    service.lift.lifts.add(dimension="action", name="Loyal", lift=-1)
    service.lift.lifts.add(dimension="segment", name="Loyal", **of_one)
    service.lift.lifts.add(dimension="segment", name="none", lift=-1)
    told = {each["segment"]: each["lift"] for each in (await get(gateway, "/api/segments/performance"))["segments"]}
    assert len(told) == 8
    assert {name for name, lift in told.items() if lift} == {"Loyal"}
    assert (told["Loyal"]["lift"], told["Loyal"]["lower"], told["Loyal"]["treatedCount"]) == (0.25, 0.05, 90)
    for name in ("Loyal", "New"):
        (one,) = (await get(gateway, f"/api/segments/{name}/performance"))["segments"]
        assert one["lift"] == told[name]

    service.lift_error = Unavailable("DEPENDENCY_UNAVAILABLE", "It is away.")
    (one,) = (await get(gateway, "/api/segments/Loyal/performance"))["segments"]
    assert (one["lift"], one["customerCount"]) == (None, learnt.fit.members["Loyal"])


async def test_segments_are_assigned_to_many(gateway: Gateway) -> None:
    answer = await gateway.client.post("/api/segments:assign", json={"userIds": ["ada", "bob"]})
    assert [(each["userId"], each["segment"], each["scores"]) for each in answer.json()["assignments"]] == [
        ("ada", "", None), ("bob", "", None)
    ]  # fmt: skip
    refused: list[dict[str, list[str]]] = [
        {"userIds": []},
        {"userIds": ["u"] * 1_001},
        {"userIds": [""]},
        {"users": ["ada"]},
        {},
    ]
    for body in refused:
        assert (await gateway.client.post("/api/segments:assign", json=body)).status_code == 400


@pytest.mark.parametrize("user_id", ["a/b", "a b", "ü@example.com", "a%2Fb", "a:b", "..", "?", "#"])
async def test_a_path_may_hold_any_user(gateway: Gateway, user_id: str) -> None:
    escaped = "".join(f"%{byte:02X}" for byte in user_id.encode())
    assert (await get(gateway, f"/api/users/{escaped}/profile"))["userId"] == user_id


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/api/users/nobody", "USER_NOT_FOUND"),
        ("/api/users/nobody/events", "USER_NOT_FOUND"),
        ("/api/users/nobody/features", "USER_NOT_FOUND"),
        ("/api/users/nobody/profile", "USER_NOT_FOUND"),
        ("/api/users/nobody/risk", "USER_NOT_FOUND"),
        ("/api/users/nobody/videos", "USER_NOT_FOUND"),
        ("/api/customers/nobody", "USER_NOT_FOUND"),
        ("/api/customers/nobody/purchases", "USER_NOT_FOUND"),
        ("/api/customers/nobody/predictions", "USER_NOT_FOUND"),
        ("/api/videos/none", "VIDEO_NOT_FOUND"),
        ("/api/events/none", "EVENT_NOT_FOUND"),
        ("/api/decisions/none", "DECISION_NOT_FOUND"),
    ],
)
async def test_unknown_ids_are_not_found(gateway: Gateway, path: str, reason: str) -> None:
    answer = await gateway.client.get(path)
    assert (answer.status_code, answer.json()["reason"]) == (404, reason)


async def test_events_are_returned_as_they_were_sent(gateway: Gateway) -> None:
    sent = {
        "eventId": "e-1",
        "userId": "ada",
        "eventType": "purchase",
        "timestamp": "2026-01-02T10:00:30.250000Z",
        "properties": {"amount": 9.5, "free": {"deep": [1, None]}},
        "context": {"platform": "web", "timeZone": "Europe/Berlin"},
    }
    await gateway.track(sent)
    (event,) = gateway.services.ingest.events
    event.session_start_us = SECONDS * 1_000_000
    event.device_class = event_pb2.DEVICE_CLASS_DESKTOP
    gateway.services.features.recent = [event] * 3
    body = (await get(gateway, "/api/users/ada/events?limit=2"))["events"]
    assert len(body) == 2
    stamps = {
        "receivedTime": "2026-01-02T10:01:00Z",
        "sessionStart": "2026-01-02T10:00:00Z",
        "deviceClass": "desktop",
        "isBot": False,
    }
    assert body[0] == sent | stamps


@pytest.mark.parametrize(
    "query",
    [
        "/api/users/ada/events?limit=0",
        "/api/users/ada/events?limit=21",
        "/api/users/ada/events?limit=many",
        "/api/users/ada/events?limit=-1",
        "/api/users/ada/events?limit=²",
        "/api/users/ada/events?limt=3",
        "/api/users/ada/events?limit=1&limit=2",
        "/api/users/ada/events?limit=%FF",
        "/api/users/%FF/events",
        "/api/decisions",
        "/api/decisions?userId=",
        "/api/decisions?userId=a&traceId=00000000000000000000000000000001",
        "/api/decisions?traceId=short",
        "/api/failed-events?limit=101",
    ],
)
async def test_a_parameter_that_is_not_understood_is_refused(gateway: Gateway, query: str) -> None:
    answer = await gateway.client.get(query)
    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_PARAMETER")


async def test_pending_has_exactly_the_shape_of_the_contract(gateway: Gateway) -> None:
    nothing = await get(gateway, "/api/interventions/ada/pending")
    assert nothing == {"hasPendingIntervention": False, "intervention": None, "cursor": "0", "withdrawn": None}
    gateway.services.intervention.pending = intervention()
    body = await get(gateway, "/api/interventions/ada/pending")
    assert body["hasPendingIntervention"] is True
    expected = {
        "id": "i-1",
        "type": "critical_intervention",
        "action": "show_live_chat_popup",
        "message": "May we help?",
        "channel": "in_app",
        "priority": "critical",
        "expiresAt": "2026-01-02T10:15:00Z",
    }
    assert expected.items() <= body["intervention"].items()
    assert body["intervention"]["payload"]["riskScore"] == 78.4
    assert body["intervention"]["payload"]["riskLevel"] == "high"


async def test_the_receipt_of_an_applied_event_names_its_decision(gateway: Gateway) -> None:
    position = position_pb2.EventPosition(shard="3", sequence="17", event_index=2)
    receipt = ingest_pb2.Receipt(event_id="e", state=ingest_pb2.RECEIPT_STATE_BUFFERED, position=position)
    gateway.services.ingest.receipts["e"] = receipt
    gateway.services.intervention.decisions = [intervention_pb2.Decision(id="d-3-17-2")]
    buffered = await get(gateway, "/api/events/e")
    assert (buffered["state"], buffered["decisionId"], buffered["reason"]) == ("buffered", "", None)
    assert gateway.services.intervention.list_requests == []
    receipt.state = ingest_pb2.RECEIPT_STATE_APPLIED
    applied = await get(gateway, "/api/events/e")
    assert (applied["state"], applied["decisionId"]) == ("applied", "d-3-17-2")
    assert gateway.services.intervention.list_requests[0].position == position
    receipt.state, receipt.reason = ingest_pb2.RECEIPT_STATE_FAILED, error_reason_pb2.ERROR_REASON_POISON
    failed = await get(gateway, "/api/events/e")
    assert (failed["state"], failed["reason"]) == ("failed", "POISON")


async def test_decisions_are_listed_by_user_or_trace(gateway: Gateway) -> None:
    decision = intervention_pb2.Decision(
        id="d-1",
        kind=intervention_pb2.DECISION_KIND_NONE,
        reasons=[intervention_pb2.DECISION_REASON_BELOW_TRIGGER, intervention_pb2.DECISION_REASON_BOT],
    )
    gateway.services.intervention.decisions = [decision]
    body = await get(gateway, "/api/decisions?userId=ada&limit=5")
    assert [(one["id"], one["kind"], one["reasons"]) for one in body["decisions"]] == [
        ("d-1", "none", ["below_trigger", "bot"])
    ]
    await get(gateway, f"/api/decisions?traceId={'AB' * 16}")
    first, second = gateway.services.intervention.list_requests
    assert (first.user_id, first.page_size, second.trace_id) == ("ada", 5, "ab" * 16)
    assert (await get(gateway, "/api/decisions/d-1"))["id"] == "d-1"


async def test_a_probability_that_was_not_told_is_null_and_not_0(gateway: Gateway) -> None:
    gateway.services.intervention.decisions = [
        intervention_pb2.Decision(id="d-1", assessment=scoring_pb2.Assessment(score=80)),
        intervention_pb2.Decision(id="d-2", assessment=scoring_pb2.Assessment(score=80, probability=0)),
    ]
    decisions = (await get(gateway, "/api/decisions?userId=ada"))["decisions"]
    assert [each["assessment"]["probability"] for each in decisions] == [None, 0]
    document = await get(gateway, "/openapi.json")
    assert document["components"]["schemas"]["Assessment"]["properties"]["probability"] == {"type": ["number", "null"]}


def made(gateway: Gateway, outcome: str = "", *, is_ended: bool = False) -> None:
    gateway.services.intervention.made["i-1"] = intervention_pb2.GetInterventionResponse(
        intervention=intervention(),
        user_id="ada",
        outcome=event_pb2.Outcome.Value(f"OUTCOME_{outcome.upper() or 'UNSPECIFIED'}"),
        is_ended=is_ended,
    )


async def report(gateway: Gateway, outcome: str, intervention_id: str = "i-1") -> Any:
    return await gateway.client.post(f"/api/interventions/{intervention_id}/outcome", json={"outcome": outcome})


@pytest.mark.parametrize("outcome", ["shown", "accepted", "declined", "expired", "converted"])
async def test_an_outcome_becomes_an_event(gateway: Gateway, outcome: str) -> None:
    made(gateway)
    answer = await report(gateway, outcome)
    assert (answer.status_code, answer.json()["eventId"]) == (202, f"jm:outcome:i-1:{outcome}")
    assert answer.json()["traceId"] == answer.headers["x-trace-id"]
    (event,) = gateway.services.ingest.events
    # Reported for an anonymous user too, it follows who that turned out to be.
    assert (event.user_id, event.anonymous_id) == ("ada", "ada")
    assert event.event_type == event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME
    properties = {"interventionId": "i-1", "outcome": outcome, "channel": "in_app", "page": ""}
    assert json.loads(event.properties) == properties
    assert (event.outcome.intervention_id, event.outcome.channel) == ("i-1", "in_app")
    assert event.outcome.outcome == event_pb2.Outcome.Value(f"OUTCOME_{outcome.upper()}")
    assert event.event_time_us == event.received_time_us == NOW_US


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "application/json", ""])
async def test_a_page_may_report_an_outcome_by_a_beacon(gateway: Gateway, content_type: str) -> None:
    made(gateway)
    headers = {"content-type": content_type} if content_type else {}
    outcome = {"outcome": "shown"}
    path = "/api/interventions/i-1/outcome"
    answer = await gateway.client.post(path, content=json.dumps(outcome), headers=headers)
    assert (answer.status_code, answer.json()["eventId"]) == (202, "jm:outcome:i-1:shown")


async def test_no_event_of_a_client_can_use_the_id_of_an_outcome(gateway: Gateway) -> None:
    own = {"userId": "eve", "eventType": "intervention_outcome"}
    event = own | {"eventId": "jm:outcome:i-1:accepted", "properties": {"interventionId": "i-1", "outcome": "accepted"}}
    segment = {"type": "track", "userId": "eve", "event": "e", "messageId": "jm:outcome:i-1:accepted"}
    for path, body in (
        ("/api/events/track", event),
        ("/v1/track", segment),
        ("/v1/batch", {"batch": [segment]}),
    ):
        answer = await gateway.client.post(path, json=body)
        assert (answer.status_code, answer.json()["reason"]) == (400, "RESERVED_ID")
    assert not any(event.is_own for event in gateway.services.ingest.events)
    made(gateway)
    assert (await report(gateway, "accepted")).status_code == 202
    assert gateway.services.ingest.events[-1].is_own


async def test_an_outcome_reported_twice_counts_once(gateway: Gateway) -> None:
    made(gateway)
    assert (await report(gateway, "accepted")).status_code == 202
    made(gateway, "accepted", is_ended=True)
    assert (await report(gateway, "accepted")).status_code == 202
    assert len({event.event_id for event in gateway.services.ingest.events}) == 1


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        ("expired", "accepted", 409),
        ("declined", "shown", 409),
        ("declined", "converted", 409),
        ("accepted", "declined", 409),
        ("accepted", "expired", 409),
        ("accepted", "converted", 202),
    ],
)
async def test_an_ended_intervention_stays_ended(gateway: Gateway, before: str, after: str, status: int) -> None:
    # Once accepted, an intervention has not ended: a conversion may follow, and nothing else.
    made(gateway, before, is_ended=before != "accepted")
    answer = await report(gateway, after)
    assert answer.status_code == status
    assert status == 202 or answer.json()["reason"] == "INTERVENTION_ENDED"


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b'{"outcome":"liked"}', 400, "VALUE_OUT_OF_RANGE"),
        (b'{"outcome":"withdrawn"}', 400, "VALUE_OUT_OF_RANGE"),
        (b'{"outcome":"unspecified"}', 400, "VALUE_OUT_OF_RANGE"),
        (b'{"outcome":1}', 400, "INVALID_TYPE"),
        (b"{}", 400, "INVALID_TYPE"),
        (b'{"outcome":"shown","at":1}', 400, "UNKNOWN_FIELD"),
        (b"{", 400, "MALFORMED_JSON"),
        (b'{"outcome":"\xff"}', 400, "MALFORMED_JSON"),
        (b'{"outcome":"shown"}' + b" " * 524_288, 413, "REQUEST_TOO_LARGE"),
    ],
)
async def test_an_invalid_outcome_is_refused(gateway: Gateway, body: bytes, status: int, reason: str) -> None:
    made(gateway)
    answer = await gateway.post(body, "/api/interventions/i-1/outcome")
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert gateway.services.ingest.events == []


async def test_an_outcome_of_nothing_is_not_found(gateway: Gateway) -> None:
    answer = await report(gateway, "shown", "i-9")
    assert (answer.status_code, answer.json()["reason"]) == (404, "INTERVENTION_NOT_FOUND")
