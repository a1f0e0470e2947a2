"""`POST /api/events/track`: which events are accepted, and the verdict of each."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from journeymesh.common.v1 import event_pb2

from mesh.errors import DeadlineExceeded, Internal, ResourceExhausted, Unavailable
from tests.gateway.running import NOW_US, Gateway, listening, running

GOOD: dict[str, Any] = {
    "eventId": "e-1",
    "userId": "ada",
    "eventType": "page_view",
    "timestamp": "2026-01-02T10:00:30Z",
    "properties": {"page": "/home"},
    "context": {"platform": "web"},
}


def good(**members: Any) -> dict[str, Any]:
    return GOOD | members


def text(**members: Any) -> bytes:
    return json.dumps(good(**members)).encode()


async def test_one_event_and_a_batch_are_taken(gateway: Gateway) -> None:
    single = await gateway.client.post("/api/events/track", json=good())
    batch = await gateway.track(good(), good(eventId="e-2"))
    assert single.status_code == batch.status_code == 202
    answer = single.json()
    assert answer == {
        "accepted": 1,
        "duplicates": 0,
        "rejected": [],
        "eventIds": ["e-1"],
        "traceId": single.headers["x-trace-id"],
        "warnings": [],
    }
    assert (batch.json()["accepted"], batch.json()["duplicates"]) == (1, 1)


async def test_every_member_finds_its_place(gateway: Gateway) -> None:
    await gateway.track(
        {
            "eventId": "e-9",
            "userId": "ada",
            "anonymousId": "anon",
            "sessionId": "s-1",
            "eventType": "error",
            "timestamp": "2026-01-02T12:00:30.5+02:00",
            "sentAt": "2026-01-02T10:00:31Z",
            "properties": {
                "page": "/loan",
                "form": "loan",
                "attempts": 2,
                "errorCode": "validation",
                "isRefresh": True,
            },
            "context": {
                "platform": "mobile",
                "deviceId": "d",
                "timeZone": "Europe/Berlin",
                "userAgent": "ua",
                "correlationId": "c",
            },
        }
    )
    (event,) = gateway.services.ingest.events
    assert len(event.trace_id) == 16
    event.ClearField("trace_id")
    assert event == event_pb2.Event(
        event_id="e-9",
        user_id="ada",
        anonymous_id="anon",
        session_id="s-1",
        event_type=event_pb2.EVENT_TYPE_ERROR,
        event_time_us=1_767_348_030_500_000,
        sent_time_us=1_767_348_031_000_000,
        page="/loan",
        target="loan",
        attempt_count=2,
        error_code="validation",
        is_refresh=True,
        platform=event_pb2.PLATFORM_MOBILE,
        device_id="d",
        time_zone="Europe/Berlin",
        user_agent="ua",
        correlation_id="c",
        properties=b'{"page":"/loan","form":"loan","attempts":2,"errorCode":"validation","isRefresh":true}',
        received_time_us=NOW_US,
    )


DETAILS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"eventType": "click", "properties": {"element": "b", "x": 1, "y": 2.5, "effectObserved": False}},
        {"target": "b", "click": event_pb2.Click(x=1, y=2.5, effect_observed=False)},
    ),
    ({"eventType": "click", "properties": {"element": "b"}}, {"target": "b"}),
    (
        {
            "eventType": "video_playback",
            "properties": {
                "videoId": "v",
                "viewingId": "w",
                "action": "seek",
                "positionSeconds": 9,
                "watchedSeconds": 1,
                "durationSeconds": 60,
                "playbackRate": 1.5,
                "seekFromSeconds": 3,
                "contentType": "lecture",
                "topic": "loans",
            },
        },
        {
            "target": "loans",
            "playback": event_pb2.Playback(
                video_id="v",
                viewing_id="w",
                action=event_pb2.PLAYBACK_ACTION_SEEK,
                position_seconds=9,
                watched_seconds=1,
                duration_seconds=60,
                playback_rate=1.5,
                seek_from_seconds=3,
                content_type="lecture",
                topic="loans",
            ),
        },
    ),
    (
        {"eventType": "intervention_outcome", "properties": {"outcome": "accepted", "channel": "email"}},
        {"outcome": event_pb2.InterventionOutcome(outcome=event_pb2.OUTCOME_ACCEPTED, channel="email")},
    ),
    (
        {"eventType": "purchase", "properties": {"amount": -9.5, "currency": "EUR"}},
        {"purchase": event_pb2.Purchase(amount=-9.5, currency="EUR", is_refund=True)},
    ),
    # What is known for one kind only is free in every other.
    ({"eventType": "page_view", "properties": {"amount": "25 000", "action": 7, "x": None}}, {}),
    (
        {"eventType": "retry", "properties": {"task": "t", "topic": "o", "field": "f"}},
        {"target": "f"},
    ),
    ({"eventType": "retry", "properties": None, "context": None, "sessionId": None}, {}),
]


@pytest.mark.parametrize(("sent", "expected"), DETAILS)
async def test_properties_of_known_types_are_typed(
    gateway: Gateway, sent: dict[str, Any], expected: dict[str, Any]
) -> None:
    answer = await gateway.track({"eventId": "e", "userId": "ada", **sent})
    assert answer.status_code == 202
    (event,) = gateway.services.ingest.events
    for member in ("event_id", "user_id", "event_type", "event_time_us", "received_time_us", "trace_id", "span_id"):
        event.ClearField(member)
    properties = event.properties
    event.ClearField("properties")
    assert event == event_pb2.Event(**expected)
    assert (json.loads(properties) if properties else None) == sent["properties"]


async def test_an_event_without_id_time_or_user_gets_them(gateway: Gateway) -> None:
    answer = await gateway.track(*[{"anonymousId": "anon", "eventType": "session_start"} for _ in range(3)])
    ids = answer.json()["eventIds"]
    assert ids == [event.event_id for event in gateway.services.ingest.events]
    assert ids == sorted(set(ids))
    assert all(each[14] == "7" and len(each) == 36 for each in ids)
    assert {event.event_time_us for event in gateway.services.ingest.events} == {NOW_US}
    assert {event.user_id for event in gateway.services.ingest.events} == {"anon"}


async def test_free_properties_are_kept_byte_for_byte(gateway: Gateway) -> None:
    properties = (
        '{"page":"/h",  "big":123456789012345678901234567890,"tiny":1e-999,"née":"\\u00e9 é","a":[{"b":[null]}]}'
    )
    body = f'{{"userId":"ada","eventType":"page_view","properties":{properties}}}'.encode()
    assert (await gateway.post(body)).status_code == 202
    assert gateway.services.ingest.events[0].properties.decode() == properties


DEEP = "[" * 10_000 + "]" * 10_000
BAD: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"hello", "MALFORMED_JSON"),
    "empty": (b"", "MALFORMED_JSON"),
    "cut off": (text()[:-3], "MALFORMED_JSON"),
    "trailing comma": (text()[:-1] + b",}", "MALFORMED_JSON"),
    "a number that is none, and a user that is none": (text(properties={"x": float("nan")}, userId=[]), "INVALID_TYPE"),
    "a lone surrogate in an id": (text(userId="\udfff"), "INVALID_IDENTIFIER"),
    "a lone surrogate in the event's id": (text(eventId="e\ud83d"), "INVALID_IDENTIFIER"),
    "Latin-1 in an id": (text(userId="XX").replace(b"XX", b"\xe9"), "INVALID_IDENTIFIER"),
    "Latin-1 in an anonymous id": (text(anonymousId="XX").replace(b"XX", b"\xe9"), "INVALID_IDENTIFIER"),
    "a control character": (b'{"userId":"a\nb"}', "MALFORMED_JSON"),
    "single quotes": (b"{'userId': 'a'}", "MALFORMED_JSON"),
    "a leading zero": (b'{"properties":{"x":01}}', "MALFORMED_JSON"),
    "a word of Python": (b'{"properties":{"x":None}}', "MALFORMED_JSON"),
    "an array": (b"[]", "INVALID_TYPE"),
    "a string": (b'"event"', "INVALID_TYPE"),
    "null": (b"null", "INVALID_TYPE"),
    "a user that is a number": (text(userId=7), "INVALID_TYPE"),
    "an id that is an object": (text(eventId={}), "INVALID_TYPE"),
    "a type that is a list": (text(eventType=["page_view"]), "INVALID_TYPE"),
    "a time that is a list": (text(timestamp=[1767348030]), "INVALID_TYPE"),
    "a time that is a number of no known unit": (text(timestamp=17673480), "INVALID_TIME"),
    "properties that are a list": (text(properties=[]), "INVALID_TYPE"),
    "an action that is a number": (text(eventType="video_playback", properties={"action": 1}), "INVALID_TYPE"),
    "an outcome that is a number": (text(eventType="intervention_outcome", properties={"outcome": 1}), "INVALID_TYPE"),
    "an amount in words": (text(eventType="purchase", properties={"amount": "nine"}), "UNREADABLE_AMOUNT"),
    "an amount that is none": (text(eventType="purchase", properties={"amount": float("nan")}), "UNREADABLE_AMOUNT"),
    "an amount that is true": (text(eventType="purchase", properties={"amount": True}), "UNREADABLE_AMOUNT"),
    "a huge amount": (text(eventType="purchase", properties={"amount": 1e13}), "UNREADABLE_AMOUNT"),
    "deep arrays": (text(properties="XX").replace(b'"XX"', b'{"x":' + DEEP.encode() + b"}"), "INVALID_TYPE"),
    "arrays a little too deep": (text(properties={"x": json.loads("[" * 33 + "]" * 33)}), "INVALID_TYPE"),
    "a deep context": (text(context="XX").replace(b'"XX"', DEEP.encode()), "INVALID_TYPE"),
    "a misspelt member": (text(usrId="ada"), "UNKNOWN_FIELD"),
    "snake case": (text(event_id="e"), "UNKNOWN_FIELD"),
    "no type": (b'{"userId":"ada"}', "MISSING_FIELD"),
    "an empty type": (text(eventType=""), "MISSING_FIELD"),
    "a misspelt type": (text(eventType="page_veiw"), "UNKNOWN_EVENT_TYPE"),
    "a type in upper case": (text(eventType="PAGE_VIEW"), "UNKNOWN_EVENT_TYPE"),
    "the unspecified type": (text(eventType="unspecified"), "UNKNOWN_EVENT_TYPE"),
    "yesterday": (text(timestamp="yesterday"), "INVALID_TIME"),
    "a time without offset": (text(timestamp="2026-01-02T10:00:30"), "INVALID_TIME"),
    "a day that is none": (text(timestamp="2026-02-30T10:00:30Z"), "INVALID_TIME"),
    "an empty time": (text(timestamp=""), "INVALID_TIME"),
    "an amount beyond all numbers": (
        text(eventType="purchase", properties="XX").replace(b'"XX"', b'{"amount":1e999}'),
        "UNREADABLE_AMOUNT",
    ),
    "an unknown action": (text(eventType="video_playback", properties={"action": "rewind"}), "VALUE_OUT_OF_RANGE"),
    "an unknown outcome": (text(eventType="intervention_outcome", properties={"outcome": "x"}), "VALUE_OUT_OF_RANGE"),
    "too large": (text(properties={"x": "x" * 32_768}), "EVENT_TOO_LARGE"),
}


@pytest.mark.parametrize(("body", "reason"), BAD.values(), ids=BAD)
async def test_a_bad_event_alone_is_a_problem_and_is_kept(gateway: Gateway, body: bytes, reason: str) -> None:
    answer = await gateway.post(body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["reason"], problem["status"]) == (reason, 400)
    assert problem["traceId"] == answer.headers["x-trace-id"]
    assert [each["reason"] for each in problem["rejected"]] == [reason]
    (kept,) = gateway.services.ingest.unreadable
    assert kept.payload == body[:32_768]
    assert kept.trace_id.hex() == problem["traceId"]
    assert gateway.services.ingest.events == []


# If a string does not end, it is unknown where the next event begins.
SEPARABLE = {name: case for name, case in BAD.items() if name != "cut off"}


@pytest.mark.parametrize(("body", "reason"), SEPARABLE.values(), ids=SEPARABLE)
async def test_a_bad_event_never_costs_the_others(gateway: Gateway, body: bytes, reason: str) -> None:
    answer = await gateway.post(b'{"events":[' + text(eventId="a") + b"," + body + b"," + text(eventId="b") + b"]}")
    assert answer.status_code == 202
    verdict = answer.json()
    assert verdict["accepted"] == 2
    assert [(each["index"], each["reason"]) for each in verdict["rejected"]] == [(1, reason)]
    assert [verdict["eventIds"][0], verdict["eventIds"][2]] == ["a", "b"]
    assert [event.event_id for event in gateway.services.ingest.events] == ["a", "b"]
    assert len(gateway.services.ingest.unreadable) == 1


async def test_ids_of_unreadable_events_are_given_if_they_can_be_read(gateway: Gateway) -> None:
    answer = await gateway.track(good(eventId="a", usrId="x"), good(), good(eventId=7))
    assert answer.json()["eventIds"] == ["a", "e-1", None]
    assert [each["eventId"] for each in answer.json()["rejected"]] == ["a", None]
    assert [(each.event_id, each.user_id) for each in gateway.services.ingest.unreadable] == [("a", "ada"), ("", "ada")]


async def test_refusals_of_ingest_have_the_right_index(gateway: Gateway) -> None:
    answer = await gateway.track(good(usrId="x"), good(), good(eventId="e-2", userId="refused"), good(eventId="e-3"))
    assert answer.status_code == 202
    assert [(each["index"], each["reason"], each["eventId"]) for each in answer.json()["rejected"]] == [
        (0, "UNKNOWN_FIELD", "e-1"),
        (2, "MISSING_FIELD", "e-2"),
    ]
    alone = await gateway.track(good(userId="refused"))
    assert (alone.status_code, alone.json()["reason"], alone.json()["detail"]) == (
        400,
        "MISSING_FIELD",
        "It needs `page`.",
    )


REQUESTS: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "empty batch": (b'{"events":[]}', {}, 400, "EMPTY_BATCH"),
    "empty batch with space": (b' { "events" : [ ] } ', {}, 400, "EMPTY_BATCH"),
    "events that are no list": (b'{"events":{}}', {}, 400, "INVALID_TYPE"),
    "events that are null": (b'{"events":null}', {}, 400, "INVALID_TYPE"),
    "a member beside events": (b'{"events":[' + text() + b'],"sentAt":1}', {}, 400, "INVALID_TYPE"),
    "501 events": (b'{"events":[' + b",".join([text()] * 501) + b"]}", {}, 413, "REQUEST_TOO_LARGE"),
    "501 events, one broken": (b'{"events":[' + b",".join([text()] * 501) + b",NaN]}", {}, 413, "REQUEST_TOO_LARGE"),
    "more than 512 KiB": (b'{"events":[' + b" " * 524_288 + b"]}", {}, 413, "REQUEST_TOO_LARGE"),
    "a form": (text(), {"content-type": "application/x-www-form-urlencoded"}, 415, "UNSUPPORTED_CONTENT_TYPE"),
    "Latin-1": (text(), {"content-type": "application/json; charset=latin-1"}, 415, "UNSUPPORTED_CONTENT_TYPE"),
    "another packing": (text(), {"content-encoding": "br"}, 415, "UNSUPPORTED_CONTENT_TYPE"),
    "no gzip": (text(), {"content-encoding": "gzip"}, 400, "MALFORMED_JSON"),
}


@pytest.mark.parametrize(("body", "headers", "status", "reason"), REQUESTS.values(), ids=REQUESTS)
async def test_an_invalid_request_reaches_no_service(
    gateway: Gateway, body: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    answer = await gateway.post(body, **headers)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert gateway.services.ingest.requests == []


async def test_limits_are_reached_before_they_are_passed(gateway: Gateway) -> None:
    full = good(properties={"x": ""})
    full["properties"]["x"] = "x" * (32_768 - len(json.dumps(full)))
    exact = json.dumps(full).encode()
    assert len(exact) == 32_768
    assert (await gateway.post(exact)).status_code == 202
    many = b'{"events":[' + b",".join([text(eventId=None)] * 500) + b"]}"
    assert (await gateway.post(many)).json()["accepted"] == 500
    padded = b'{"events":[' + text(eventId="p") + b"]}"
    assert (await gateway.post(padded + b" " * (524_288 - len(padded)))).status_code == 202


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_client_that_sends_far_too_much_still_gets_an_answer(is_chunked: bool) -> None:  # noqa: FBT001 - a parameter
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield b" " * 65_536

    async with listening() as (_, url), httpx.AsyncClient() as client:
        content = chunks() if is_chunked else b" " * 80 * 65_536
        headers = {"content-type": "application/json"}
        answer = await client.post(url + "/api/events/track", content=content, headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (413, "REQUEST_TOO_LARGE")
        assert answer.headers["connection"] == "close"
        assert (await client.get(url + "/healthz")).status_code == 200


async def test_a_body_without_end_is_not_read_to_its_end() -> None:
    async with listening() as (_, url):
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /api/events/track HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        writer.write(chunk * 9)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 413")
        assert b"connection: close" in head.lower()
        writer.close()


@pytest.mark.parametrize(
    ("error", "status", "reason", "retry_after"),
    [
        (ResourceExhausted("BUFFER_FULL", "Full.", 3), 429, "BUFFER_FULL", "3"),
        (Unavailable("DEPENDENCY_UNAVAILABLE", "Gone."), 503, "DEPENDENCY_UNAVAILABLE", "1"),
        (DeadlineExceeded("DEADLINE_TOO_SHORT", "Late."), 503, "DEADLINE_TOO_SHORT", "1"),
        (Internal("INTERNAL", "hunter2"), 500, "INTERNAL", None),
    ],
)
async def test_events_ingest_cannot_accept_are_never_reported_as_accepted(
    gateway: Gateway, error: Any, status: int, reason: str, retry_after: str | None
) -> None:
    gateway.services.ingest.error = error
    answers = await asyncio.gather(*(gateway.track(good(eventId=f"e-{n}")) for n in range(5)))
    assert {(answer.status_code, answer.json()["reason"]) for answer in answers} == {(status, reason)}
    assert {answer.headers.get("retry-after") for answer in answers} == {retry_after}
    assert "hunter2" not in answers[0].text


async def test_beyond_the_bound_the_client_is_asked_to_retry_later() -> None:
    async with running(waiting_bytes=2_000, address_percent=100) as gateway:
        gateway.services.ingest.gate = asyncio.Event()
        first = asyncio.create_task(gateway.track(good(eventId="a", properties={"x": "x" * 1_500})))
        await gateway.services.ingest.arrived.wait()
        second = await gateway.track(good(eventId="b", properties={"x": "x" * 1_500}))
        assert (second.status_code, second.json()["reason"]) == (503, "BUFFER_FULL")
        assert second.headers["retry-after"] == "1"
        gateway.services.ingest.gate.set()
        assert (await first).status_code == 202
        third = await gateway.track(good(eventId="b", properties={"x": "x" * 1_500}))
        assert third.json()["accepted"] == 1
