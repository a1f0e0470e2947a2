"""Failed events over REST: listed, read, replayed one by one or by reason, discarded."""

import json
from typing import Any

import pytest
from journeymesh.common.v1 import error_reason_pb2, event_pb2
from journeymesh.ingest.v1 import ingest_pb2

from mesh.errors import Unavailable
from tests.gateway.fakes import SECONDS
from tests.gateway.running import Gateway

PAYLOAD = {"eventId": "e-1", "userId": "ada", "eventType": "page_view", "properties": {"page": "/"}}
SEGMENT = {"type": "track", "messageId": "m-1", "userId": "ada", "event": "Order Completed", "properties": {"total": 3}}
CLOUD_EVENT = {"specversion": "1.0", "id": "1", "source": "s", "type": "error", "subject": "ada", "data": {"form": "f"}}
POISON = error_reason_pb2.ERROR_REASON_POISON
UNKNOWN_FIELD = error_reason_pb2.ERROR_REASON_UNKNOWN_FIELD


def fail(gateway: Gateway, payload: object, failed_id: str = "f-1", reason: Any = UNKNOWN_FIELD) -> None:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    failed = ingest_pb2.FailedEvent(id=failed_id, reason=reason, payload=text, stage="gateway")
    failed.failed_time.FromSeconds(SECONDS)
    gateway.services.ingest.failed[failed_id] = failed


async def get(gateway: Gateway, path: str) -> Any:
    answer = await gateway.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_failed_events_are_listed_page_by_page_and_by_reason(gateway: Gateway) -> None:
    fail(gateway, "{")
    fail(gateway, "{", "f-2", POISON)
    first = await get(gateway, "/api/failed-events?limit=3")
    assert first["nextCursor"] == "more"
    assert [one["reason"] for one in first["failedEvents"]] == ["UNKNOWN_FIELD", "POISON"]
    assert (await get(gateway, "/api/failed-events?cursor=more"))["nextCursor"] is None
    (poison,) = (await get(gateway, "/api/failed-events?reason=POISON"))["failedEvents"]
    assert poison["id"] == "f-2"
    asked = gateway.services.ingest.page_requests
    assert [(one.page_size, one.page_token, one.reason, one.payload_bytes) for one in asked] == [
        (3, "", 0, 1024),
        (20, "more", 0, 1024),
        (20, "", POISON, 1024),
    ]
    unknown = await gateway.client.get("/api/failed-events?reason=poison")
    assert (unknown.status_code, unknown.json()["reason"]) == (400, "INVALID_PARAMETER")


async def test_a_failed_event_is_read_and_discarded(gateway: Gateway) -> None:
    fail(gateway, "{")
    assert (await get(gateway, "/api/failed-events/f-1"))["payload"] == "{"
    for _ in range(2):  # repeating it is no error
        answer = await gateway.client.delete("/api/failed-events/f-1")
        assert (answer.status_code, answer.content) == (204, b"")
    gone = await gateway.client.get("/api/failed-events/f-1")
    assert (gone.status_code, gone.json()["reason"]) == (404, "FAILED_EVENT_NOT_FOUND")


@pytest.mark.parametrize(
    ("payload", "event_id", "kind"),
    [
        (PAYLOAD, "e-1", event_pb2.EVENT_TYPE_PAGE_VIEW),
        (SEGMENT, "m-1", event_pb2.EVENT_TYPE_PURCHASE),
        (CLOUD_EVENT, "ce:s#1", event_pb2.EVENT_TYPE_ERROR),
    ],
)
async def test_a_failed_event_is_replayed_unchanged_in_any_format(
    gateway: Gateway, payload: Any, event_id: str, kind: Any
) -> None:
    fail(gateway, payload)
    answer = await gateway.client.post("/api/failed-events/f-1:replay")
    assert (answer.status_code, answer.json()["accepted"], answer.json()["eventIds"]) == (202, 1, [event_id])
    assert gateway.services.ingest.failed == {}
    (sent,) = gateway.services.ingest.replays
    assert (sent.id, sent.event.event_id, sent.event.event_type, sent.event.user_id) == ("f-1", event_id, kind, "ada")
    # Without a time of its own, it happened when it was first received.
    assert sent.event.event_time_us == SECONDS * 1_000_000


async def test_a_time_of_its_own_stays(gateway: Gateway) -> None:
    fail(gateway, PAYLOAD | {"timestamp": "2025-01-02T10:00:00Z"})
    await gateway.client.post("/api/failed-events/f-1:replay")
    assert gateway.services.ingest.replays[0].event.event_time_us == 1_735_812_000_000_000


@pytest.mark.parametrize("payload", ['{"userId":', json.dumps(PAYLOAD | {"usrId": 1}), "\ufffd"])
async def test_a_failed_event_stays_until_it_is_corrected(gateway: Gateway, payload: str) -> None:
    fail(gateway, payload)
    answer = await gateway.client.post("/api/failed-events/f-1:replay")
    assert (answer.status_code, answer.json()["reason"]) == (409, "STILL_INVALID")
    assert len(answer.json()["rejected"]) == 1
    assert "f-1" in gateway.services.ingest.failed
    assert gateway.services.ingest.unreadable == []  # it is on the list already
    mended = await gateway.client.post("/api/failed-events/f-1:replay", json=PAYLOAD)
    assert mended.status_code == 202
    assert gateway.services.ingest.failed == {}


async def test_a_failed_event_refused_again_by_ingest_stays(gateway: Gateway) -> None:
    fail(gateway, PAYLOAD | {"userId": "refused"})
    answer = await gateway.client.post("/api/failed-events/f-1:replay")
    assert (answer.status_code, answer.json()["reason"]) == (409, "STILL_INVALID")
    assert answer.json()["rejected"] == [
        {"index": 0, "eventId": "e-1", "reason": "MISSING_FIELD", "detail": "It needs `page`."}
    ]
    assert "f-1" in gateway.services.ingest.failed


async def test_replaying_an_accepted_event_removes_the_failed_one(gateway: Gateway) -> None:
    await gateway.track(PAYLOAD)
    fail(gateway, PAYLOAD)
    answer = await gateway.client.post("/api/failed-events/f-1:replay")
    assert (answer.status_code, answer.json()["duplicates"]) == (202, 1)
    assert gateway.services.ingest.failed == {}


async def test_replaying_nothing_is_not_found(gateway: Gateway) -> None:
    answer = await gateway.client.post("/api/failed-events/none:replay", json=PAYLOAD)
    assert (answer.status_code, answer.json()["reason"]) == (404, "FAILED_EVENT_NOT_FOUND")
    assert gateway.services.ingest.replays == []


LINK = {"eventId": "jm:link:1", "userId": "a-1", "eventType": "identify", "timestamp": "2026-01-02T10:00:00Z"}


@pytest.mark.parametrize("payload", [LINK, PAYLOAD, PAYLOAD | {"eventType": "none there is"}, "[1"])
@pytest.mark.parametrize("how", ["as it is", "its own payload", "of many"])
async def test_a_failed_event_kept_whole_is_replayed_by_its_id_alone(gateway: Gateway, payload: Any, how: str) -> None:
    fail(gateway, payload, reason=POISON)
    failed = gateway.services.ingest.failed["f-1"]
    failed.is_kept_whole, failed.event_id = True, "jm:link:1"
    if how == "of many":
        replayed = (await replay(gateway, reason="POISON")).json()
        assert (replayed["accepted"], replayed["rejected"]) == (1, [])
    else:
        body = failed.payload if how == "its own payload" else ""
        answer = await gateway.client.post(
            "/api/failed-events/f-1:replay", content=body, headers={"content-type": "application/json"}
        )
        assert (answer.status_code, answer.json()["eventIds"]) == (202, ["jm:link:1"])
    assert [sent.HasField("event") for sent in gateway.services.ingest.replays] == [False]


async def test_a_corrected_whole_event_is_replayed_like_one_from_a_client(gateway: Gateway) -> None:
    fail(gateway, PAYLOAD, reason=POISON)
    gateway.services.ingest.failed["f-1"].is_kept_whole = True
    mended = await gateway.client.post("/api/failed-events/f-1:replay", json=PAYLOAD | {"eventId": "e-9"})
    assert (mended.status_code, mended.json()["eventIds"]) == (202, ["e-9"])
    assert gateway.services.ingest.replays[0].event.event_id == "e-9"


async def test_a_replay_reports_the_corrections_of_gateway_and_ingest(gateway: Gateway) -> None:
    gateway.services.ingest.replay_warnings = [ingest_pb2.Warning(member="context.timeZone", detail="Left out.")]
    fail(gateway, PAYLOAD | {"sessionId": {}})
    answer = await gateway.client.post("/api/failed-events/f-1:replay")
    assert [(each["member"], each["eventId"]) for each in answer.json()["warnings"]] == [
        ("sessionId", "e-1"),
        ("context.timeZone", "e-1"),
    ]


async def replay(gateway: Gateway, **order: Any) -> Any:
    return await gateway.client.post("/api/failed-events:replay", json=order)


async def test_failed_events_of_a_reason_are_replayed_and_new_failures_are_named(gateway: Gateway) -> None:
    await gateway.track(PAYLOAD)
    fail(gateway, PAYLOAD | {"eventId": "other"}, "f-0")
    fail(gateway, PAYLOAD | {"eventId": "e-3"}, "f-4", POISON)
    fail(gateway, PAYLOAD | {"userId": "refused", "eventId": "e-4"}, "f-3", POISON)
    fail(gateway, PAYLOAD, "f-2", POISON)
    fail(gateway, PAYLOAD | {"eventId": "e-2"}, "f-1", POISON)
    answer = await replay(gateway, reason="POISON", limit=100)
    assert answer.status_code == 202, answer.text
    assert answer.json() == {
        "accepted": 2,
        "duplicates": 1,
        "rejected": [{"id": "f-3", "reason": "MISSING_FIELD", "detail": "It needs `page`."}],
        "nextCursor": "more",
        "traceId": answer.headers["x-trace-id"],
    }
    # The list is newest first; they are sent in the order they failed.
    assert [sent.id for sent in gateway.services.ingest.replays] == ["f-1", "f-2", "f-3", "f-4"]
    assert set(gateway.services.ingest.failed) == {"f-0", "f-3"}
    again = await replay(gateway, reason="POISON", cursor="more")
    assert (again.json()["accepted"], again.json()["nextCursor"]) == (0, None)
    assert [one["id"] for one in again.json()["rejected"]] == ["f-3"]


async def test_a_replay_that_breaks_off_may_be_repeated(gateway: Gateway) -> None:
    fail(gateway, PAYLOAD)
    gateway.services.ingest.error = Unavailable("DEPENDENCY_UNAVAILABLE", "Gone.")
    assert (await replay(gateway)).status_code == 503
    gateway.services.ingest.error = None
    assert (await replay(gateway)).json()["accepted"] == 1
    assert (await replay(gateway)).json()["accepted"] == 0


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"reason": "poison"}, "VALUE_OUT_OF_RANGE"),
        ({"limit": 0}, "VALUE_OUT_OF_RANGE"),
        ({"limit": 101}, "VALUE_OUT_OF_RANGE"),
        ({"limit": 2.5}, "INVALID_TYPE"),
        ({"limit": "all"}, "INVALID_TYPE"),
        ({"limit": True}, "INVALID_TYPE"),
        ({"reasons": ["POISON"]}, "UNKNOWN_FIELD"),
    ],
)
async def test_an_invalid_replay_request_is_refused(gateway: Gateway, order: Any, reason: str) -> None:
    answer = await replay(gateway, **order)
    assert (answer.status_code, answer.json()["reason"]) == (400, reason)
    assert gateway.services.ingest.page_requests == []


async def test_many_are_replayed_whole_though_lists_show_only_the_beginning(gateway: Gateway) -> None:
    fail(gateway, PAYLOAD | {"properties": {"page": "/", "note": "x" * 5_000}})
    assert (await replay(gateway, limit=1)).json()["accepted"] == 1
    assert gateway.services.ingest.page_requests[-1].payload_bytes == 0
    assert len(gateway.services.ingest.replays[0].event.properties) > 5_000
