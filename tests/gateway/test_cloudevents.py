"""CloudEvents 1.0 over HTTP, by the examples of its binding, in the three modes."""

import asyncio
import base64
import gzip
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2

from gateway.formats import cloudevents
from tests.gateway.running import NOW_US, Gateway

PATH = "/api/events/track"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UUID = "9aeb0fdf-c01e-0131-0922-9eb54906e209"
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "type": "journeymesh.help_request",
    "source": "/support",
    "id": "17",
    "time": "2026-01-02T10:00:30.250Z",
    "subject": "ada",
    "datacontenttype": "application/json",
    "comexampleextension": "ignored",
    "data": {"page": "/calculator", "topic": "loans"},
}


async def structured(gateway: Gateway, event: Any, content_type: str = cloudevents.STRUCTURED) -> httpx.Response:
    return await gateway.client.post(PATH, content=json.dumps(event), headers={"content-type": content_type})


def the_event(gateway: Gateway) -> event_pb2.Event:
    (event,) = gateway.services.ingest.events
    return event


async def test_an_event_is_taken_as_one_of_ours(gateway: Gateway) -> None:
    answer = await structured(gateway, EVENT, "application/cloudevents+json; charset=utf-8")
    assert (answer.status_code, answer.json()["eventIds"], answer.json()["accepted"]) == (202, ["ce:/support#17"], 1)
    event = the_event(gateway)
    assert event == event_pb2.Event(
        event_id="ce:/support#17",
        user_id="ada",
        event_type=event_pb2.EVENT_TYPE_HELP_REQUEST,
        event_time_us=1_767_348_030_250_000,
        page="/calculator",
        target="loans",
        properties=b'{"page": "/calculator", "topic": "loans","source":"/support"}',
        received_time_us=NOW_US,
        trace_id=bytes.fromhex(answer.json()["traceId"]),
        span_id=event.span_id,
    )
    assert (await structured(gateway, EVENT)).json()["duplicates"] == 1


async def test_in_binary_mode_the_attributes_are_headers(gateway: Gateway) -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-type": "com.example.someevent",
        "ce-time": "2026-01-02T10:00:30Z",
        "ce-id": "1234-1234-1234",
        "ce-source": "/mycontext/%E2%82%AC%20subcontext",
        "ce-subject": "ada",
        "ce-traceparent": TRACEPARENT,
        "content-type": "application/json; charset=utf-8",
    }
    answer = await gateway.client.post(PATH, content=b'{"amount": 25000}', headers=headers)
    assert answer.status_code == 202, answer.text
    event = the_event(gateway)
    assert event.event_id == "ce:/mycontext/€ subcontext#1234-1234-1234"
    assert (event.event_type, event.target) == (
        event_pb2.EVENT_TYPE_FEATURE_INTERACTION,
        "com.example.someevent",
    )
    assert json.loads(event.properties) == {
        "amount": 25000,
        "source": "/mycontext/€ subcontext",
        "target": "com.example.someevent",
    }
    assert event.trace_id.hex() == TRACEPARENT.split("-")[1]
    assert event.span_id.hex() == TRACEPARENT.split("-")[2]


@pytest.mark.parametrize(("flags", "is_recorded"), [("00", False), ("02", False), ("03", True)])
async def test_an_event_whose_trace_is_not_recorded_keeps_its_trace_id(
    gateway: Gateway, flags: str, *, is_recorded: bool
) -> None:
    traceparent = f"{TRACEPARENT[:-2]}{flags}"
    headers = {"ce-specversion": "1.0", "ce-type": "session_start", "ce-id": "1", "ce-source": "s", "ce-subject": "ada"}
    assert (await gateway.client.post(PATH, headers=headers | {"ce-traceparent": traceparent})).status_code == 202
    assert the_event(gateway).trace_id.hex() == TRACEPARENT.split("-")[1]
    assert bool(the_event(gateway).span_id) is is_recorded


async def test_an_event_may_have_no_data(gateway: Gateway) -> None:
    headers = {"ce-specversion": "1.0", "ce-type": "session_start", "ce-id": "1", "ce-source": "s", "ce-subject": "ada"}
    assert (await gateway.client.post(PATH, headers=headers)).status_code == 202
    assert the_event(gateway).event_type == event_pb2.EVENT_TYPE_SESSION_START
    assert the_event(gateway).event_time_us == NOW_US


async def test_the_data_may_be_an_event_with_its_members(gateway: Gateway) -> None:
    data = {
        "userId": "grace",
        "anonymousId": "anon",
        "sessionId": "s-1",
        "properties": {"videoId": "v", "action": "pause", "positionSeconds": 9},
        "context": {"platform": "web"},
    }
    answer = await structured(gateway, EVENT | {"type": "video_playback", "data": data, "id": UUID})
    assert answer.json()["eventIds"] == [UUID]
    event = the_event(gateway)
    assert (event.user_id, event.anonymous_id, event.session_id) == ("grace", "anon", "s-1")
    assert (event.playback.video_id, event.playback.position_seconds) == ("v", 9)
    assert event.platform == event_pb2.PLATFORM_WEB


async def test_each_event_of_a_batch_has_its_own_verdict(gateway: Gateway) -> None:
    bad = EVENT | {"id": "18", "time": [3]}
    answer = await structured(gateway, [EVENT, bad, EVENT | {"id": "19"}], cloudevents.BATCHED)
    assert answer.status_code == 202
    assert (answer.json()["accepted"], answer.json()["eventIds"]) == (
        2,
        ["ce:/support#17", "ce:/support#18", "ce:/support#19"],
    )
    assert [(one["index"], one["reason"]) for one in answer.json()["rejected"]] == [(1, "INVALID_TYPE")]
    (kept,) = gateway.services.ingest.unreadable
    assert (kept.event_id, kept.user_id, json.loads(kept.payload)) == ("ce:/support#18", "ada", bad)


def without(name: str) -> dict[str, Any]:
    return {member: value for member, value in EVENT.items() if member != name}


BAD: dict[str, tuple[Any, int, str]] = {
    "no id": (without("id"), 400, "MISSING_FIELD"),
    "no source": (without("source"), 400, "MISSING_FIELD"),
    "no type": (without("type"), 400, "MISSING_FIELD"),
    "no version": (without("specversion"), 400, "MISSING_FIELD"),
    "another version": (EVENT | {"specversion": "0.3"}, 400, "VALUE_OUT_OF_RANGE"),
    "a kind of ours that is none": (EVENT | {"type": "journeymesh.page_veiw"}, 400, "UNKNOWN_EVENT_TYPE"),
    "a time without offset": (EVENT | {"time": "2026-01-02T10:00:30"}, 400, "INVALID_TIME"),
    "a time that is none": (EVENT | {"time": "soon"}, 400, "INVALID_TIME"),
    "data of another type": (EVENT | {"datacontenttype": "text/xml"}, 415, "UNSUPPORTED_CONTENT_TYPE"),
    "bytes": (without("data") | {"data_base64": "AAAA"}, 400, "MALFORMED_JSON"),
    "bytes that are none": (without("data") | {"data_base64": "{}"}, 400, "INVALID_TYPE"),
    "bytes of another type": (
        without("data") | {"data_base64": "PGEvPg==", "datacontenttype": "text/xml"},
        415,
        "UNSUPPORTED_CONTENT_TYPE",
    ),
    "data twice": (EVENT | {"data_base64": "e30="}, 400, "INVALID_TYPE"),
    "too large as bytes": (
        without("data") | {"data_base64": base64.b64encode(b'{"x":"%s"}' % (b"x" * 32_768)).decode()},
        400,
        "EVENT_TOO_LARGE",
    ),
    "an identify of nobody": (without("subject") | {"type": "identify"}, 400, "MISSING_FIELD"),
    "too large": (EVENT | {"data": {"x": "x" * 32_768}}, 400, "EVENT_TOO_LARGE"),
    "an array": ([EVENT], 400, "INVALID_TYPE"),
}


@pytest.mark.parametrize(("event", "status", "reason"), BAD.values(), ids=BAD)
async def test_a_bad_event_is_refused_and_kept(gateway: Gateway, event: Any, status: int, reason: str) -> None:
    answer = await structured(gateway, event)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert len(gateway.services.ingest.unreadable) == 1


@pytest.mark.parametrize(
    ("batch", "status", "reason"),
    [
        ([], 400, "EMPTY_BATCH"),
        (EVENT, 400, "INVALID_TYPE"),
        ([EVENT] * 501, 413, "REQUEST_TOO_LARGE"),
    ],
)
async def test_an_invalid_batch_reaches_no_service(gateway: Gateway, batch: Any, status: int, reason: str) -> None:
    answer = await structured(gateway, batch, cloudevents.BATCHED)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert gateway.services.ingest.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/cloudevents+xml"},
        {"content-type": "application/cloudevents+json; charset=latin-1"},
        {"content-type": cloudevents.STRUCTURED, "content-encoding": "br"},
    ],
)
async def test_other_types_are_not_taken(gateway: Gateway, headers: dict[str, str]) -> None:
    answer = await gateway.client.post(PATH, content=json.dumps(EVENT), headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (415, "UNSUPPORTED_CONTENT_TYPE")


@pytest.mark.parametrize(("content_type", "status"), [({}, 400), ({"content-type": "text/plain"}, 415)])
async def test_binary_data_that_is_no_json_is_kept_with_its_attributes(
    gateway: Gateway, content_type: dict[str, str], status: int
) -> None:
    headers = {"ce-specversion": "1.0", "ce-type": "t", "ce-id": "1", "ce-source": "s"} | content_type
    assert (await gateway.client.post(PATH, content=b"hello", headers=headers)).status_code == status
    (kept,) = gateway.services.ingest.unreadable
    assert b'"source":"s"' in kept.payload
    assert b"hello" in kept.payload


DATA: list[tuple[Any, str, dict[str, Any]]] = [
    ({"userId": "grace", "orderId": 7}, "grace", {"userId": "grace", "orderId": 7}),
    ({"userId": 42, "orderId": 7}, "ada", {"userId": 42, "orderId": 7}),
    ({"userId": 42}, "ada", {"userId": 42}),
    ({"userId": "", "anonymousId": ["x"], "orderId": 7}, "ada", {"anonymousId": ["x"], "orderId": 7}),
    ({"userId": "x" * 129, "orderId": 7}, "ada", {"userId": "x" * 129}),
    ({"userId": "grace", "propertys": {}}, "grace", {"propertys": {}}),
    ({"context": "checkout", "orderId": 7}, "ada", {"context": "checkout", "orderId": 7}),
    ({"context": "checkout"}, "ada", {"context": "checkout"}),
    ({"context": {"region": "eu"}, "orderId": 7}, "ada", {"context": {"region": "eu"}, "orderId": 7}),
    ({"context": {"region": "eu"}}, "ada", {"context": {"region": "eu"}}),
    ({"properties": [{"k": "v"}], "orderId": 7}, "ada", {"properties": [{"k": "v"}], "orderId": 7}),
    ({"properties": "none"}, "ada", {"properties": "none"}),
    ({"properties": {"a": 1}, "orderId": 7}, "ada", {"properties": {"a": 1}, "orderId": 7}),
    ({"userId": "grace", "timestamp": "soon"}, "grace", {"timestamp": "soon"}),
    ({"userId": "grace", "sessionId": 3}, "grace", {"sessionId": 3}),
    ({"anonymousId": None, "orderId": 7}, "ada", {"anonymousId": None, "orderId": 7}),
    ("hello", "ada", {"data": "hello"}),
    ([1, {"a": 2}], "ada", {"data": [1, {"a": 2}]}),
    (7.5, "ada", {"data": 7.5}),
    (False, "ada", {"data": False}),
    # In our form.
    ({"userId": "grace", "properties": {"a": 1}}, "grace", {"a": 1}),
    ({"properties": None, "context": None}, "ada", {}),
    ({"properties": {"a": 1}, "context": {"platform": "web", "region": "eu"}}, "ada", {"a": 1}),
]


@pytest.mark.parametrize(("data", "user_id", "properties"), DATA)
@pytest.mark.parametrize("as_bytes", [False, True])
async def test_data_that_is_no_event_of_ours_is_kept_as_free_properties(
    gateway: Gateway, data: Any, user_id: str, properties: dict[str, Any], *, as_bytes: bool
) -> None:
    sent = EVENT | {"type": "com.acme.order.placed", "data": data}
    if as_bytes:
        sent = without("data") | {"type": "com.acme.order.placed"}
        sent["data_base64"] = base64.b64encode(json.dumps(data).encode()).decode()
    assert (await structured(gateway, sent)).status_code == 202
    event = the_event(gateway)
    assert (event.user_id, event.target) == (user_id, "com.acme.order.placed")
    assert properties.items() <= json.loads(event.properties).items()


async def test_in_binary_mode_a_body_of_others_is_kept_whole(gateway: Gateway) -> None:
    for index, data in enumerate(({"userId": 42, "orderId": 7}, [1, 2], "hello", 7)):
        headers = {"ce-specversion": "1.0", "ce-type": "com.acme.x", "ce-id": str(index), "ce-source": "s"}
        headers |= {"ce-subject": "ada", "content-type": "application/json"}
        assert (await gateway.client.post(PATH, content=json.dumps(data), headers=headers)).status_code == 202
    kept = [json.loads(event.properties) for event in gateway.services.ingest.events]
    assert [(one.get("userId"), one.get("data")) for one in kept] == [
        (42, None),
        (None, [1, 2]),
        (None, "hello"),
        (None, 7),
    ]
    assert {event.user_id for event in gateway.services.ingest.events} == {"ada"}


BYTES = base64.b64encode(b'{"page":"/cart"}').decode()


@pytest.mark.parametrize(
    "datacontenttype", ["application/json", None, "application/vnd.shop+json; charset=utf-8", "text/json"]
)
async def test_json_may_come_as_bytes(gateway: Gateway, datacontenttype: str | None) -> None:
    sent = without("data") | {"type": "page_view", "data_base64": BYTES, "datacontenttype": datacontenttype}
    assert (await structured(gateway, sent)).status_code == 202
    batch = [sent | {"id": "18"}, EVENT | {"id": "19"}]
    assert (await structured(gateway, batch, cloudevents.BATCHED)).json()["accepted"] == 2
    first, second, third = gateway.services.ingest.events
    assert (first.page, second.page, third.page) == ("/cart", "/cart", "/calculator")
    assert json.loads(first.properties) == {"page": "/cart", "source": "/support"}


async def test_bytes_may_hold_as_much_as_text(gateway: Gateway) -> None:
    sent = without("data") | {"data_base64": ""}
    room = 32_768 - len(json.dumps(sent)) - len('{"x":""}')
    sent["data_base64"] = base64.b64encode(b'{"x":"%s"}' % (b"x" * room)).decode()
    assert (await structured(gateway, sent)).status_code == 202
    sent["data_base64"] = base64.b64encode(b'{"x":"%s"}' % (b"x" * (room + 1))).decode()
    assert (await structured(gateway, sent)).json()["reason"] == "EVENT_TOO_LARGE"


HEADERS = {"ce-specversion": "1.0", "ce-type": "page_view", "ce-id": "1", "ce-source": "s", "ce-subject": "ada"}
INJECTED: list[tuple[bytes, int]] = [
    (b'{"page":"/"},"subject":"eve"', 400),
    (b'{"page":"/"}, "data":{"userId":"eve","properties":{"page":"/"}}', 400),
    (b'{"page":"/"},"id":"2"', 400),
    (b'{"page":"/"}}', 400),
    (b'{"userId":"eve","properties":{"page":"/"}}', 202),
    (b'{"userId":"eve","anonymousId":"eve","userId":"eve","properties":{"page":"/"}}', 202),
    (b'{"userId":null,"properties":{"page":"/"}}', 202),
]


@pytest.mark.parametrize(("body", "status"), INJECTED)
async def test_the_headers_count_whatever_the_body_says(gateway: Gateway, body: bytes, status: int) -> None:
    given = HEADERS | {"content-type": "application/json"}
    answer = await gateway.client.post(PATH, content=body, headers=given)
    assert answer.status_code == status, answer.text
    assert {(event.user_id, event.event_id) for event in gateway.services.ingest.events} <= {("ada", "ce:s#1")}
    assert len(gateway.services.ingest.events) + len(gateway.services.ingest.unreadable) == 1


async def test_an_event_may_be_packed(gateway: Gateway) -> None:
    given = {"content-type": cloudevents.STRUCTURED, "content-encoding": "gzip"}
    answer = await gateway.client.post(PATH, content=gzip.compress(json.dumps(EVENT).encode()), headers=given)
    assert answer.status_code == 202


async def test_a_broken_event_of_a_batch_never_costs_the_others(gateway: Gateway) -> None:
    numbers = json.dumps([EVENT, EVENT | {"id": "18", "data": {"topic": "t", "x": float("nan")}}, EVENT | {"id": "19"}])
    answer = await gateway.client.post(PATH, content=numbers, headers={"content-type": cloudevents.BATCHED})
    assert (answer.status_code, answer.json()["accepted"]) == (202, 3)
    assert [(one["index"], one["eventId"], one["member"]) for one in answer.json()["warnings"]] == [
        (1, "ce:/support#18", "")
    ]
    broken = f"[{json.dumps(EVENT | {'id': '20'})},{{'id':1}},{json.dumps(EVENT | {'id': '21'})}]"
    answer = await gateway.client.post(PATH, content=broken, headers={"content-type": cloudevents.BATCHED})
    assert [(one["index"], one["reason"]) for one in answer.json()["rejected"]] == [(1, "MALFORMED_JSON")]
    assert answer.json()["eventIds"] == ["ce:/support#20", None, "ce:/support#21"]


def test_source_and_id_together_identify_an_event() -> None:
    ids = [
        cloudevents.event_id(source, given)
        for source in ("a", "b", "https://example.com/" + "x" * 100)
        for given in ("1", "2", "y" * 200)
    ]
    assert len(set(ids)) == len(ids)
    assert all(len(each) <= 100 for each in ids)
    assert ids[8] == cloudevents.event_id("https://example.com/" + "x" * 100, "y" * 200)
    assert cloudevents.event_id("a", "01ARZ3NDEKTSV4RRFFQ69G5FAV") == "01ARZ3NDEKTSV4RRFFQ69G5FAV"


ODD = ["a", "a#b", "a#", "#", "a%23b", "a%", "a%2523b", "ce:a", "é#", "x" * 97, "x" * 98, "x" * 200 + "#"]


def test_no_two_sources_and_ids_share_an_event_s_id() -> None:
    pairs = [(source, given) for source in ODD for given in ["c", "b#c", "#c", "#", "%23c", "y" * 99]]
    # Numbers in the form of a UUID are counted, and no two sources count alike.
    pairs += [(source, f"00000000-0000-0000-0000-{number:012}") for source in ODD for number in range(3)]
    assert len({cloudevents.event_id(*pair) for pair in pairs}) == len(pairs)
    assert all(cloudevents.event_id(*pair).startswith("ce:") for pair in pairs)


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_an_event_s_id_is_that_of_one_source_and_id(a: str, b: str, c: str, d: str) -> None:
    for pairs in (((a, b), (c, d)), ((f"{a}#{b}", c), (a, f"{b}#{c}")), ((a, f"#{b}"), (f"{a}#", b))):
        assert (cloudevents.event_id(*pairs[0]) == cloudevents.event_id(*pairs[1])) == (pairs[0] == pairs[1])


SHOP = cloudevents.event_id("shop", "17")
TAKING = {
    "ours": ("/api/events/track", {"eventId": SHOP, "userId": "eve", "eventType": "error"}),
    "a batch of ours": (
        "/api/events/track",
        {"events": [{"eventId": SHOP, "userId": "eve", "eventType": "error"}]},
    ),
    "Segment's": ("/v1/track", {"type": "track", "messageId": SHOP, "userId": "eve", "event": "e"}),
    "unreadable": ("/api/events/track", {"eventId": SHOP, "userId": "eve", "eventType": "none there is"}),
}


@pytest.mark.parametrize(("path", "body"), TAKING.values(), ids=TAKING)
async def test_no_other_event_bears_the_id_of_a_cloud_event(gateway: Gateway, path: str, body: Any) -> None:
    answer = await gateway.client.post(path, json=body)
    assert answer.json()["rejected"][0]["eventId"] is None
    assert gateway.services.ingest.events == []
    assert {one.event_id for one in gateway.services.ingest.unreadable} == {""}
    taken = await structured(gateway, EVENT | {"source": "shop", "id": "17"})
    assert (taken.status_code, taken.json()["accepted"], taken.json()["eventIds"]) == (202, 1, [SHOP])


async def test_data_that_names_an_id_does_not_take_one(gateway: Gateway) -> None:
    data = {"eventId": "ce:shop#17", "properties": {"topic": "t"}}
    answer = await structured(gateway, EVENT | {"source": "a", "id": "1", "data": data})
    assert answer.json()["eventIds"] == ["ce:a#1"]


@pytest.mark.parametrize("traceparent", ["garbage", f"00-{'0' * 32}-b7ad6b7169203331-01", ""])
async def test_an_invalid_trace_is_replaced(gateway: Gateway, traceparent: str) -> None:
    answer = await structured(gateway, EVENT | {"traceparent": traceparent})
    assert the_event(gateway).trace_id.hex() == answer.json()["traceId"]


async def test_events_of_the_same_source_and_id_count_once(gateway: Gateway) -> None:
    answers = await asyncio.gather(*(structured(gateway, EVENT) for _ in range(4)))
    assert sorted(answer.json()["accepted"] for answer in answers) == [0, 0, 0, 1]


async def test_types_of_what_a_system_did_are_no_acts_of_the_user(gateway: Gateway) -> None:
    types = ("com.acme.subscription.renewed", "io.acme.billing.v2.invoice.generated", "email.delivered", "Trial Ended")
    others = ("com.acme.order.placed", "com.acme.billing.opened", "journeymesh.help_request", "com.acme.plan.selected")
    for index, type_ in enumerate(types + others):
        assert (await structured(gateway, EVENT | {"id": str(index), "type": type_})).status_code == 202
    assert [event.is_system for event in gateway.services.ingest.events] == [True] * 4 + [False] * 4
