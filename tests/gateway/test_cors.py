"""Pages of other origins: which may call, what they may send, and how origins are written in the setting."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http import cors
from gateway.settings import Settings
from mesh import settings
from tests.gateway.running import running

SETTING = "https://Shop.Example/, https://*.shops.example, http://localhost:*, https://*.b.example:8443, https://c.example:443"
ALLOWED = [
    "https://shop.example",
    "https://SHOP.example",
    "https://a.shops.example",
    "https://a.b.shops.example",
    "http://localhost",
    "http://localhost:3000",
    "https://x.b.example:8443",
    "https://c.example",
]
OTHERS = [
    "http://shop.example",
    "https://shop.example:8443",
    "https://shop.example.evil.example",
    "https://evilshop.example",
    "https://shops.example",
    "https://evil-shops.example",
    "https://shops.example.evil.example",
    "https://a.shops.example:8443",
    "https://.shops.example",
    "http://localhost:3000.evil.example",
    "http://localhost:port",
    "https://localhost:3000",
    "https://x.b.example",
    "https://a@shop.example",
    "null",
    "",
    "https://" + "a." * 200 + "shops.example",
]


@pytest.mark.parametrize("origin", ALLOWED)
def test_origins_are_compared_as_browsers_mean_them(origin: str) -> None:
    assert cors.origins(SETTING).allows(origin)


@pytest.mark.parametrize("origin", OTHERS)
def test_no_other_origin_gets_through(origin: str) -> None:
    assert not cors.origins(SETTING).allows(origin)


@pytest.mark.parametrize(
    "written",
    [
        "capacitor://localhost",
        "http://[::1]:3000",
        "http://127.0.0.1:3000",
        "chrome-extension://abcdef",
        "http://my_host",
    ],
)
def test_origins_of_apps_and_addresses_are_origins(written: str) -> None:
    assert cors.origins(written).allows(written)


def test_a_name_in_letters_of_its_own_is_written_as_browsers_send_it() -> None:
    assert cors.origins("https://bücher.example").allows("https://xn--bcher-kva.example")


@pytest.mark.parametrize(
    "written",
    [
        "shop.example",
        "https://shop.example/app",
        "https://",
        "null",
        "https://*",
        "*.shop.example",
        "https://shop.*",
        "https://a.*.example",
        "https://shop.example:99999",
        "https://shop.example:http",
        "https://shop.example?x",
        "https://user@shop.example",
        "https://shop.example https://b.example",
        "https://..example",
        "**",
    ],
)
def test_an_invalid_origin_stops_the_start_with_a_sentence(written: str) -> None:
    with pytest.raises(
        settings.SettingError, match=r"JOURNEYMESH_CORS_ORIGINS must name origins such as .*\."
    ) as refused:
        settings.read(Settings, {"JOURNEYMESH_CORS_ORIGINS": f"https://good.example, {written}"})
    assert written in str(refused.value)


@given(st.text(st.sampled_from("abc.*:/-@[]% https"), max_size=30))
def test_any_setting_names_origins_or_is_refused(written: str) -> None:
    try:
        allowed = cors.origins(f"https://{written}")
    except cors.NoOrigin:
        return
    assert not allowed.allows("https://evil.example")


PATH = "/api/events/track"
ASKED = {"origin": "https://shop.example", "access-control-request-method": "POST"}
# What clients of tracing and of CloudEvents, and Segment's own, send along.
HEADERS = [
    "content-type",
    "authorization,content-type,x-retry-count",
    "traceparent,tracestate,baggage,content-type",
    "ce-id, ce-source, ce-specversion, ce-type, ce-subject, ce-time, ce-comexampleextension, content-type",
    "b3,x-b3-traceid,x-b3-spanid,x-b3-sampled",
    "x-datadog-trace-id,x-datadog-parent-id,x-datadog-origin,x-datadog-sampling-priority",
    "idempotency-key,content-encoding,last-event-id,x-requested-with",
]


@pytest.mark.parametrize("asked", HEADERS)
@pytest.mark.parametrize("setting", ["https://shop.example", "*", "https://*.example"])
async def test_a_page_may_send_the_headers_its_clients_add(asked: str, setting: str) -> None:
    async with running(cors_origins=setting) as gateway:
        headers = ASKED | {"access-control-request-headers": asked}
        answer = await gateway.client.options(PATH, headers=headers)
    allowed = {each.strip() for each in answer.headers["access-control-allow-headers"].split(",")}
    assert answer.status_code == 204
    assert allowed == {each.strip() for each in asked.split(",")}
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"


@pytest.mark.parametrize("asked", ["content-type, evil: x", "a b", ",", "é", "x" * 5000, "a,,b", ""])
async def test_an_invalid_list_of_headers_is_not_echoed(asked: str) -> None:
    async with running(cors_origins="*") as gateway:
        headers = [(name.encode(), value.encode()) for name, value in ASKED.items()]
        headers.append((b"access-control-request-headers", asked.encode()))
        answer = await gateway.client.options(PATH, headers=headers)
    assert {"content-type", "traceparent", "baggage"} <= set(answer.headers["access-control-allow-headers"].split(", "))


@pytest.mark.parametrize(
    ("setting", "is_trusted"), [("https://shop.example", True), ("*", False), ("*,https://shop.example", True)]
)
async def test_only_named_origins_may_send_what_the_browser_knows(setting: str, *, is_trusted: bool) -> None:
    event = {"userId": "ada", "eventType": "session_end"}
    async with running(cors_origins=setting) as gateway:
        before = await gateway.client.options(PATH, headers=ASKED)
        answer = await gateway.client.post(PATH, json=event, headers={"origin": "https://shop.example"})
        error = await gateway.client.post(PATH, json={}, headers={"origin": "https://shop.example"})
    for response in (before, answer, error):
        assert response.headers["access-control-allow-origin"] == "https://shop.example"
        assert response.headers.get("access-control-allow-credentials") == ("true" if is_trusted else None)
        assert "origin" in response.headers["vary"]
    assert "retry-after" in answer.headers["access-control-expose-headers"]


BEACONS = ["text/plain;charset=UTF-8", "application/json", "application/json; charset=utf-8", ""]


@pytest.mark.parametrize("content_type", BEACONS)
async def test_a_beacon_is_taken_whatever_it_can_say(content_type: str) -> None:
    headers = {"content-type": content_type} if content_type else {}
    async with running() as gateway:
        body = json.dumps({"events": [{"userId": "ada", "eventType": "session_end"}]}).encode()
        answer = await gateway.client.post(PATH, content=body, headers=headers)
        assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
        refused = await gateway.client.post(PATH, content=body, headers={"content-type": "multipart/form-data"})
        assert refused.status_code == 415
