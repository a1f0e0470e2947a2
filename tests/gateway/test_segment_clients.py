"""The requests of Segment's clients, as each writes its own: paths, headers, bodies, and what it reads first."""

import base64
import gzip
import json
from typing import Any

import httpx
import pytest
from journeymesh.common.v1 import event_pb2

from tests.gateway.running import Gateway, listening

SUCCESS = {"success": True}
KEY = base64.b64encode(b"write-key:").decode()

TRACK = {"type": "track", "userId": "ada", "messageId": "m-1", "event": "Plan Chosen", "properties": {"plan": "pro"}}
PAGE = {"type": "page", "userId": "ada", "messageId": "m-2", "properties": {"path": "/home"}}
SCREEN = {"type": "screen", "userId": "ada", "messageId": "m-3", "name": "Home"}
IDENTIFY = {"type": "identify", "userId": "ada", "anonymousId": "a-1", "messageId": "m-4", "traits": {"plan": "pro"}}
GROUP = {"type": "group", "userId": "ada", "messageId": "m-5", "groupId": "g-1", "traits": {"seats": 3}}
ALIAS = {"type": "alias", "userId": "ada", "messageId": "m-6", "previousId": "old"}
BROWSER = [
    ("t", TRACK, event_pb2.EVENT_TYPE_FEATURE_INTERACTION),
    ("p", PAGE, event_pb2.EVENT_TYPE_PAGE_VIEW),
    ("s", SCREEN, event_pb2.EVENT_TYPE_PAGE_VIEW),
    ("i", IDENTIFY, event_pb2.EVENT_TYPE_IDENTIFY),
    ("g", GROUP, event_pb2.EVENT_TYPE_FEATURE_INTERACTION),
    ("a", ALIAS, event_pb2.EVENT_TYPE_IDENTIFY),
]


def taken(gateway: Gateway) -> list[tuple[str, int]]:
    return [(event.event_id, event.event_type) for event in gateway.services.ingest.events]


@pytest.mark.parametrize(("path", "message", "kind"), BROWSER)
@pytest.mark.parametrize("says_key", [True, False])
async def test_a_single_message_goes_to_its_one_letter_route(
    gateway: Gateway, path: str, message: dict[str, Any], kind: int, *, says_key: bool
) -> None:
    body = json.dumps({**message, "writeKey": "write-key", "sentAt": "2026-01-02T10:00:31.000Z", "_metadata": {}})
    headers = {"content-type": "text/plain", "origin": "https://shop.example"}
    headers |= {"authorization": f"Basic {KEY}", "x-retry-count": "2"} if says_key else {}
    answer = await gateway.client.post(f"/v1/{path}", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert SUCCESS.items() <= answer.json().items()
    assert taken(gateway) == [(message["messageId"], kind)]


KOTLIN = {"content-type": "text/plain", "content-encoding": "gzip", "user-agent": "analytics-kotlin/1.19.1"}
SWIFT = {
    "content-type": "application/json; charset=utf-8",
    "user-agent": "analytics-ios/1.6.2",
    "accept-encoding": "gzip",
}
REACT_NATIVE = {"content-type": "text/plain"}
REACT_NATIVE_TODAY = {"content-type": "application/json; charset=utf-8", "authorization": f"Basic {KEY}"}
BATCHES: dict[str, dict[str, str]] = {
    "Kotlin": KOTLIN,
    "Swift": SWIFT,
    "React Native": REACT_NATIVE,
    "React Native with a key": REACT_NATIVE_TODAY,
    "the browser's batches": {"content-type": "text/plain", "authorization": f"Basic {KEY}"},
}


@pytest.mark.parametrize("headers", BATCHES.values(), ids=BATCHES)
async def test_phones_send_batches_to_b(headers: dict[str, str]) -> None:
    messages = [TRACK, SCREEN, IDENTIFY]
    body = json.dumps({"batch": messages, "sentAt": "2026-01-02T10:00:31.000Z", "writeKey": "write-key"}).encode()
    if "content-encoding" in headers:
        body = gzip.compress(body)

    async def chunks() -> Any:
        """Kotlin sends in pieces, without telling the length."""
        for start in range(0, len(body), 50):
            yield body[start : start + 50]

    async with listening() as (gateway, url), httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/v1/b", content=chunks(), headers=headers)
        assert answer.status_code == 200, answer.text
        assert SUCCESS.items() <= answer.json().items()
        assert [event_id for event_id, _ in taken(gateway)] == ["m-1", "m-3", "m-4"]
        assert {event.sent_time_us for event in gateway.services.ingest.events} == {1_767_348_031_000_000}


@pytest.mark.parametrize(
    ("headers", "scheme", "host"),
    [
        ({"host": "127.0.0.1:8080"}, "http", "127.0.0.1:8080"),
        ({"host": "mesh.example"}, "http", "mesh.example"),
        ({"host": "mesh.example", "x-forwarded-proto": "https"}, "https", "mesh.example"),
        ({"host": "mesh.example:8443", "x-forwarded-proto": "HTTPS, http"}, "https", "mesh.example:8443"),
        ({"host": "[::1]:8080", "x-forwarded-proto": "gopher"}, "http", "[::1]:8080"),
    ],
)
async def test_the_settings_lead_back_to_where_they_were_read(
    gateway: Gateway, headers: dict[str, str], scheme: str, host: str
) -> None:
    answer = await gateway.client.get("/v1/projects/write-key/settings", headers=headers)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    settings = answer.json()
    segment = settings["integrations"]["Segment.io"]
    assert (segment["apiKey"], segment["apiHost"], segment["protocol"]) == ("write-key", f"{host}/v1", scheme)
    assert list(settings["integrations"]) == ["Segment.io"]
    # What Kotlin and Swift decode must be there, and objects.
    for member in ("plan", "edgeFunction", "middlewareSettings", "metrics"):
        assert isinstance(settings[member], dict)
    # Nothing of what they count of themselves need be sent.
    assert settings["metrics"]["sampleRate"] == 0
    assert settings["plan"]["track"]["__default"]["enabled"] is True


@pytest.mark.parametrize("host", ["", "evil.example/", "a b", "x" * 300, "mesh.example:port", "mesh.example\\@evil"])
async def test_an_invalid_host_is_refused(gateway: Gateway, host: str) -> None:
    answer = await gateway.client.get("/v1/projects/write-key/settings", headers={"host": host})
    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_PARAMETER")


async def test_clients_metrics_about_themselves_are_accepted_and_dropped(gateway: Gateway) -> None:
    series = {"series": [{"type": "Counter", "metric": "analytics_js.invoke", "value": 1, "tags": {"library": "x"}}]}
    packed = {"content-type": "text/plain", "content-encoding": "gzip"}
    for body, headers in (
        (json.dumps(series).encode(), {"content-type": "text/plain"}),
        (gzip.compress(json.dumps(series).encode()), packed),
        (b"", {}),
    ):
        answer = await gateway.client.post("/v1/m", content=body, headers=headers)
        assert (answer.status_code, answer.json()) == (200, SUCCESS)
    assert gateway.services.ingest.requests == []


async def test_history_is_taken_like_the_present(gateway: Gateway) -> None:
    old = {**TRACK, "timestamp": "2025-01-02T10:00:30Z"}
    answer = await gateway.client.post("/v1/import", json={"batch": [old]}, headers={"authorization": f"Basic {KEY}"})
    assert answer.status_code == 200
    assert gateway.services.ingest.events[0].event_time_us == 1_735_812_030_000_000


_QUERIES = ("", "?writeKey=w", "?_=1&_=2", "?a", "?%ff", "?" + "&".join("abcdefghijklmnopqrstuvwxyz"))


@pytest.mark.parametrize("query", _QUERIES)
async def test_a_way_in_looks_at_no_parameters(gateway: Gateway, query: str) -> None:
    message = {"userId": "ada", "event": "Slider Moved", "type": "track"}
    for path in ("t", "track", "i", "s/", "page/"):
        assert (await gateway.client.post(f"/v1/{path}{query}", json=message)).status_code == 200
    for path in ("/v1/b", "/v1/batch", "/v1/import", "/v1/batch/", "//v1/batch", "/v1/b//"):
        assert (await gateway.client.post(f"http://mesh{path}{query}", json={"batch": [message]})).status_code == 200
    assert (await gateway.client.get(f"/v1/projects/w/settings{query}")).status_code == 200
    ours = {"userId": "ada", "eventType": "session_end"}
    assert (await gateway.client.post(f"/api/events/track{query}", json=ours)).status_code == 202
    cloud = {"specversion": "1.0", "id": "1", "source": "s", "type": "session_end", "subject": "ada"}
    headers = {"content-type": "application/cloudevents+json"}
    assert (await gateway.client.post(f"/api/events/track{query}", json=cloud, headers=headers)).status_code == 202


async def test_reads_and_orders_stay_strict(gateway: Gateway) -> None:
    assert (await gateway.client.get("/api/users/ada/risk?_=1")).status_code == 400
    assert (await gateway.client.post("/api/failed-events:replay?limit=1", json={})).status_code == 400
    assert (await gateway.client.post("/api/events/track/", json={})).status_code == 404


@pytest.mark.parametrize("kind", ["sk", "adm"])
async def test_a_page_with_a_key_for_servers_is_told_so_and_not_shown_it(gateway: Gateway, kind: str) -> None:
    answer = await gateway.client.get(f"/v1/projects/jm_{kind}_0secret0/settings")
    assert (answer.status_code, answer.json()["reason"]) == (403, "NOT_PERMITTED")
    assert "0secret0" not in answer.text
