"""Little in, little out: the cost of a request in the store and in answers is bounded by its bytes."""

import gzip
import json
import urllib.parse
from typing import Any

import httpx
import pytest
from journeymesh.ingest.v1 import ingest_pb2

from gateway.contract.route import SWITCHING, Route
from gateway.routes.table import ROUTES
from tests.gateway.running import Gateway

PACKED = {"content-encoding": "gzip"}
CLOUD = {"content-type": "application/cloudevents-batch+json"}
JSON = {"content-type": "application/json"}

# What a request may cost however small it is, and how much more for each byte of it.
ITEMS, ITEMS_A_BYTE = 110, 0.5
ANSWER_BYTES, ANSWER_BYTES_A_BYTE = 20_000, 4


def own(event: bytes, count: int = 500) -> bytes:
    return b'{"events":[' + b",".join([event] * count) + b"]}"


def segments(message: bytes, count: int = 5000) -> bytes:
    return b'{"batch":[' + b",".join([message] * count) + b"]}"


REFUSED = b'{"type":"page","userId":"refused","name":"n"}'
SMALL = b'{"type":"page","userId":"a","name":"n"}'
INCOMPLETE = b'{"eventType":"click","x":1}'
ODD = b'{"eventType":"error","userId":"a","context":{"a":1,"b":1,"c":1,"d":1}}'
BATCHES = [segments(each) for each in (b"{}", b"0", b'""', SMALL, REFUSED, b"NaN", b"[]", b"{", b'{"type":"track"}')]
# The smallest that costs most, by the path's last part; what else takes a body is given one of each kind.
BODIES: dict[str, list[bytes]] = {
    "track": [own(each) for each in (b"{}", b"0", b'""', b"null", b"[]", b"NaN", b"{", INCOMPLETE, ODD)],
    "batch": BATCHES,
    "import": BATCHES,
    "b": BATCHES,
}
OTHERS = [b"", b"{}", b"0", b"[]", b"{", b'{"limit":100}', b'{"outcome":"shown"}', b'{"depth":"deep"}', b'{"x":NaN}']


def items(gateway: Gateway) -> int:
    """What the store is given to keep."""
    ingest = gateway.services.ingest
    return len(ingest.events) + len(ingest.unreadable) + len(ingest.replays)


def check(gateway: Gateway, answer: httpx.Response, sent_bytes: int, before: int) -> None:
    """Returns if an answer cost no more than what was sent is worth."""
    assert items(gateway) - before <= ITEMS + ITEMS_A_BYTE * sent_bytes, answer.request.url
    assert len(answer.content) <= ANSWER_BYTES + ANSWER_BYTES_A_BYTE * sent_bytes, answer.request.url
    assert all(len(each.payload) <= 32_768 for each in gateway.services.ingest.unreadable)


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("route", [route for route in ROUTES if route.body], ids=named)
async def test_a_body_costs_no_more_than_its_bytes_are_worth(gateway: Gateway, route: Route) -> None:
    path = route.path.replace("{", "").replace("}", "")
    gateway.services.ingest.failed["id"] = ingest_pb2.FailedEvent(id="id", payload="{}")
    for body in BODIES.get(route.path.rpartition("/")[2], []) + OTHERS:
        for sent, headers in ((body, {}), (gzip.compress(body), PACKED), (gzip.compress(body * 20), PACKED)):
            before = items(gateway)
            answer = await gateway.client.request(route.method, path, content=sent, headers=JSON | headers)
            check(gateway, answer, len(sent), before)
    assert gateway.core.admission.held_bytes == 0


async def test_cloudevents_cost_no_more_either(gateway: Gateway) -> None:
    for event in (b"{}", b"0", b'{"specversion":"1.0","id":"1","source":"s","type":"t"}', b"NaN", b"{"):
        body = b"[" + b",".join([event] * 500) + b"]"
        for sent, headers in ((body, {}), (gzip.compress(body), PACKED)):
            before = items(gateway)
            answer = await gateway.client.post("/api/events/track", content=sent, headers=CLOUD | headers)
            check(gateway, answer, len(sent), before)


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if not route.body and route.status != SWITCHING and "stream" not in route.path],
    ids=named,
)
async def test_a_path_or_query_costs_one_answer(gateway: Gateway, route: Route) -> None:
    if route.path in {"/openapi.json", "/asyncapi.json", "/docs", "/metrics", "/api/features"}:
        return  # the same for everybody
    path = route.path.replace("{", "").replace("}", "")
    for query in ("", "limit=20", "limit=100&reason=POISON", "userId=a", "x=" + "1" * 5000, "cursor=1", "a&" * 500):
        answer = await gateway.client.request(route.method, f"{path}?{query}")
        assert len(answer.content) <= ANSWER_BYTES
    assert items(gateway) == 0


async def test_the_69_bytes_that_cost_five_thousand_failed_events(gateway: Gateway) -> None:
    sent = gzip.compress(segments(b"{}"))
    assert len(sent) < 100
    answer = await gateway.client.post("/v1/batch", content=sent, headers=JSON | PACKED)
    assert (answer.status_code, answer.json()["reason"]) == (400, "REQUEST_TOO_LARGE")
    assert (items(gateway), len(answer.content) < 500) == (0, True)


async def test_beyond_a_hundred_unreadable_events_are_kept_together(gateway: Gateway) -> None:
    answer = await gateway.client.post("/v1/batch", content=segments(b"{}"), headers=JSON)
    assert answer.status_code == 400
    rejected = answer.json()["rejected"]
    kept = gateway.services.ingest.unreadable
    single = len(kept) - 1
    assert 100 <= single < 200
    assert len(rejected) == single + 1
    assert [each["index"] for each in rejected] == list(range(single + 1))
    assert rejected[-1]["detail"].startswith(f"{5000 - single} events more were refused and are not listed")
    assert json.loads(b"[" + kept[-1].payload + b"]") == [{}] * (5000 - single)
    assert kept[-1].event_id == ""


async def test_failed_events_kept_together_are_complete(gateway: Gateway) -> None:
    events = [{"userId": "ada", "eventType": "click", "unknown": f"{n:04}" + "x" * 400} for n in range(500)]
    packed = gzip.compress(json.dumps({"events": events}).encode())
    answer = await gateway.client.post("/api/events/track", content=packed, headers=JSON | PACKED)
    assert answer.status_code == 400
    payloads = b",".join(each.payload for each in gateway.services.ingest.unreadable)
    assert json.loads(b"[" + payloads + b"]") == events
    assert len(gateway.services.ingest.unreadable) < 150


async def test_many_invalid_events_never_cost_valid_ones(gateway: Gateway) -> None:
    good: dict[str, Any] = {"type": "page", "userId": "ada", "name": "n"}
    batch = [good | {"messageId": f"m-{n}"} if n % 5 == 0 else {"n": n} for n in range(2000)]
    answer = await gateway.client.post("/v1/batch", json={"batch": batch})
    assert (answer.status_code, answer.json()["accepted"]) == (200, 400)
    ids = answer.json()["eventIds"]
    assert [one for one in ids if one] == [f"m-{n}" for n in range(0, 2000, 5)]
    assert ids.index("m-1000") == 1000


@pytest.mark.parametrize(("good_count", "bad_count"), [(3000, 1500), (1, 4999), (0, 2500), (2000, 501)])
async def test_invalid_events_beyond_those_ingest_keeps_cost_no_valid_one(
    gateway: Gateway, good_count: int, bad_count: int
) -> None:
    good = [{"type": "page", "userId": "ada", "messageId": f"g{n}", "name": "n"} for n in range(good_count)]
    bad = [{"type": "pag", "userId": "ada", "messageId": f"b{n}"} for n in range(bad_count)]
    body = json.dumps({"batch": good + bad}).encode()
    answer = await gateway.client.post("/v1/batch", content=body, headers=JSON)
    assert answer.status_code == (200 if good else 400)
    body = answer.json()
    assert len(gateway.services.ingest.events) == good_count
    kept = [json.loads(b"[" + each.payload + b"]") for each in gateway.services.ingest.unreadable]
    assert [one for each in kept for one in each] == bad
    assert len(kept) <= 520
    most = 100 + len(body) // 256
    listed = body["rejected"][:most]
    assert [each["index"] for each in listed] == list(range(good_count, good_count + min(most, bad_count)))
    assert [each["eventId"] for each in listed] == [f"b{n}" for n in range(min(most, bad_count))]
    assert len({each["reason"] for each in listed}) == 1


async def test_rate_limited_events_are_reported_beyond_those_listed_too(gateway: Gateway) -> None:
    limited = {"type": "page", "userId": "limited", "name": "n"}
    answer = await gateway.client.post("/v1/batch", json={"batch": [{}] * 1500 + [limited]})
    assert (answer.status_code, answer.json()["reason"]) == (429, "RATE_LIMITED")


STRICT = ["\u00b2", "1234567890123456789", "+1", "-1", " 1", "1 ", "1.0", "0x1", "1_0", "\u0661", "a", "1;", "%31"]


@pytest.mark.parametrize("word", STRICT)
async def test_cursors_and_limits_are_read_strictly(gateway: Gateway, word: str) -> None:
    asked = [
        ("/api/failed-events", {"limit": word}),
        ("/api/users/ada/events", {"limit": word}),
        ("/api/decisions", {"userId": "ada", "limit": word}),
        ("/api/interventions/ada/stream", {"lastEventId": word}),
    ]
    if not word.isalnum() or not word.isascii():  # a page token is its service's own
        asked.append(("/api/failed-events", {"cursor": word}))
    for path, query in asked:
        answer = await gateway.client.get(path, params=query)
        assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_PARAMETER"), path
    if word.isascii():
        answer = await gateway.client.get("/api/interventions/ada/stream", headers=[(b"last-event-id", word.encode())])
        assert word.strip() == "1" or answer.status_code == 400
    assert gateway.services.ingest.page_requests == []
    assert gateway.services.intervention.watched == []


@pytest.mark.parametrize("id_", ["d-1}:user:X-7-0", "../../x", "a b", "\u00b2", "i-1\n", "{}", "jm:outcome:i-1:shown"])
async def test_ids_in_paths_are_passed_on_as_they_are(gateway: Gateway, id_: str) -> None:
    for kind in ("decisions", "interventions", "events", "failed-events", "videos"):
        answer = await gateway.client.get(f"/api/{kind}/{urllib.parse.quote(id_, safe='')}")
        assert answer.status_code == 404, kind
