"""`/v1/…`: requests of the published Segment clients are accepted as they are."""

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2

from gateway.accepting.rows import Rows
from gateway.formats import native, rendering
from gateway.formats.json.lenient import Warn, ignore
from gateway.formats.json.splicing import with_members
from gateway.formats.native import EventSink
from gateway.formats.segment import context, names
from gateway.formats.segment.reader import Reader
from mesh.errors import InvalidArgument, ResourceExhausted, Unavailable
from tests.gateway.running import NOW_US, Gateway

STAMP = native.Stamp(NOW_US, bytes(range(16)), bytes(range(8)))
DOCUMENT = Path(__file__).parents[2] / "docs" / "clients.md"
WEB = {
    "library": {"name": "analytics.js", "version": "npm:next-1.70.0"},
    "page": {"path": "/calculator", "search": "?a=b", "url": "https://shop.example/calculator?a=b#top"},
    "userAgent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64)",
    "timezone": "Europe/Berlin",
    "locale": "de-DE",
    "campaign": {"source": "newsletter"},
}
ADDRESS = "https://shop.example/calculator?a=b#top"
BASIC = "Basic " + base64.b64encode(b"any write key:").decode()


def read(message: dict[str, Any], reader: Reader | None = None, warn: Warn = ignore) -> event_pb2.Event:
    """The event a message becomes."""
    rows = Rows()
    (reader or Reader()).read(json.dumps(message).encode(), EventSink(rows.add, STAMP, lambda: "made", warn))
    return rows.table().event(0)


def track(event: str, **properties: Any) -> event_pb2.Event:
    return read({"type": "track", "userId": "ada", "event": event, "properties": properties, "context": WEB})


def kind(event: event_pb2.Event) -> str:
    return event_pb2.EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()


def kept(event: event_pb2.Event) -> Any:
    return json.loads(event.properties) if event.properties else {}


def replayed(event: event_pb2.Event) -> event_pb2.Event:
    """The event read again from its JSON: that is how a failed event is replayed."""
    members = rendering.write_event(event)
    for stamped in ("receivedTime", "isBot"):
        del members[stamped]
    rows = Rows()
    native.read_event(msgspec.json.encode(members), EventSink(rows.add, STAMP, str, ignore))
    return rows.table().event(0)


def test_a_message_of_a_browser_is_read_whole() -> None:
    event = read(
        {
            "type": "track",
            "messageId": "ajs-next-1",
            "userId": "ada",
            "anonymousId": "anon-1",
            "event": "Slider Moved",
            "timestamp": "2026-01-02T10:00:30.250Z",
            "sentAt": "2026-01-02T10:00:31Z",
            "properties": {"slider": "amount", "value": 25000},
            "context": WEB,
            "integrations": {"All": True},
            "writeKey": "w",
            "_metadata": {"bundled": []},
        }
    )
    assert event == event_pb2.Event(
        event_id="ajs-next-1",
        user_id="ada",
        anonymous_id="anon-1",
        event_type=event_pb2.EVENT_TYPE_FEATURE_INTERACTION,
        event_time_us=1_767_348_030_250_000,
        sent_time_us=1_767_348_031_000_000,
        page=ADDRESS,
        target="Slider Moved",
        platform=event_pb2.PLATFORM_WEB,
        device_id="anon-1",
        time_zone="Europe/Berlin",
        user_agent="Mozilla/5.0 (Windows NT 10.0; Win64; x64)",
        properties=event.properties,
        received_time_us=NOW_US,
        trace_id=STAMP.trace_id,
        span_id=STAMP.span_id,
    )
    assert kept(event) == {
        "slider": "amount",
        "value": 25000,
        "page": ADDRESS,
        "target": "Slider Moved",
        "event": "Slider Moved",
        "locale": "de-DE",
    }


PURCHASE = {"order_id": "o", "revenue": 25.5, "total": 30, "currency": "USD", "products": [{"position": 1}]}
MEANT: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("Order Completed", PURCHASE, "purchase", {"purchase": {"amount": 25.5, "currency": "USD"}}),
    ("order_completed", {"total": "30.10"}, "purchase", {"purchase": {"amount": 30.1}}),
    ("orderCompleted", {"value": 3}, "purchase", {"purchase": {"amount": 3}}),
    ("Order Refunded", PURCHASE, "purchase", {"purchase": {"amount": -25.5, "currency": "USD"}}),
    ("Order Refunded", {"total": -4}, "purchase", {"purchase": {"amount": -4}}),
    ("Order Cancelled", PURCHASE, "purchase", {"purchase": {"amount": -25.5, "currency": "USD"}}),
    ("Checkout Started", PURCHASE, "form_start", {"target": "checkout"}),
    ("Checkout Step Completed", {"step": 2}, "task_success", {"target": "checkout step"}),
    ("Coupon Denied", {"coupon": "C"}, "error", {"target": "coupon", "error_code": "coupon_denied"}),
    ("Products Searched", {"query": "roses"}, "feature_interaction", {"target": "search"}),
    ("Product Viewed", {"product_id": "p"}, "feature_interaction", {"target": "Product Viewed"}),
    ("Product Clicked", {"product_id": "p", "position": 3}, "click", {"target": "p"}),
    ("Promotion Clicked", {"promotion_id": 7}, "click", {"target": "7"}),
    ("Cart Viewed", {}, "feature_interaction", {"target": "Cart Viewed"}),
    ("Application Opened", {}, "session_start", {}),
    ("Application Crashed", {}, "error", {"error_code": "crash"}),
    ("Error", {"errorCode": "validation", "form": "loan"}, "error", {"error_code": "validation", "target": "loan"}),
    ("Help Requested", {"topic": "loans"}, "help_request", {"target": "loans"}),
    ("struggle_signal", {"attempts": 3, "page": "/tax"}, "struggle_signal", {"attempt_count": 3, "page": "/tax"}),
    ("Task Failed", {}, "task_failure", {}),
    ("page_view", {}, "page_view", {"page": ADDRESS}),
    ("purchase", {"amount": 4.5}, "purchase", {"purchase": {"amount": 4.5}}),
    ("Video Ad Started", {"asset_id": "ad"}, "feature_interaction", {"target": "Video Ad Started"}),
    ("Wörter\nund\tmehr", {}, "feature_interaction", {"target": "Wörter\nund\tmehr"}),
]


@pytest.mark.parametrize(("name", "properties", "expected", "members"), MEANT)
def test_a_name_says_what_happened(
    name: str, properties: dict[str, Any], expected: str, members: dict[str, Any]
) -> None:
    event = track(name, **properties)
    assert kind(event) == expected
    for member, value in members.items():
        found = getattr(event, member)
        if member == "purchase":
            assert (found.amount, found.currency) == (value["amount"], value.get("currency", ""))
        else:
            assert found == value
    assert properties.items() <= kept(event).items()
    assert kept(event)["event"] == name
    assert event.page == properties.get("page", ADDRESS)


@pytest.mark.parametrize(("name", "properties", "_kind", "_members"), MEANT)
def test_it_is_the_same_event_when_it_is_sent_again_in_our_own_form(
    name: str, properties: dict[str, Any], _kind: str, _members: dict[str, Any]
) -> None:
    event = track(name, **properties)
    assert replayed(event) == event


def test_an_invalid_currency_is_kept_only_in_the_properties() -> None:
    event = track("Order Completed", total=1, currency="dollars")
    assert (event.purchase.currency, kept(event)["currency"]) == ("", "dollars")


VIDEO = {"session_id": "s-1", "asset_id": "v-1", "total_length": 392, "genre": "loans"}
BEATS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("Video Content Started", {**VIDEO, "position": 0}, {"action": "play"}),
    ("Video Content Playing", {**VIDEO, "position": 10}, {"action": "heartbeat", "at": 10, "watched": 10}),
    ("Video Content Playing", {**VIDEO, "position": 4}, {"action": "heartbeat", "at": 4, "watched": 4}),
    (
        "Video Content Playing",
        {**VIDEO, "position": 60, "watchedSeconds": 30},
        {"action": "heartbeat", "at": 60, "watched": 30},
    ),
    ("Video Playback Paused", {**VIDEO, "position": 21}, {"action": "pause", "at": 21}),
    ("Video Playback Resumed", {**VIDEO, "position": 21}, {"action": "play", "at": 21}),
    ("Video Playback Interrupted", {**VIDEO, "position": 22}, {"action": "pause", "at": 22}),
    ("Video Playback Exited", {**VIDEO, "position": 22}, {"action": "pause", "at": 22}),
    ("Video Playback Buffer Started", {**VIDEO, "position": 23}, {"action": "stall", "at": 23}),
    ("Video Playback Buffer Completed", {**VIDEO, "position": 23}, {"action": "play", "at": 23}),
    (
        "Video Playback Seek Started",
        {**VIDEO, "position": 278, "seek_position": 320},
        {"action": "seek", "at": 320, "from": 278},
    ),
    ("Video Playback Seek Completed", {**VIDEO, "position": 320}, {"action": "play", "at": 320}),
    ("Video Content Completed", {**VIDEO, "position": 392}, {"action": "ended", "at": 392}),
    ("Video Playback Completed", {**VIDEO, "position": "392"}, {"action": "ended", "at": 392}),
]


@pytest.mark.parametrize(("name", "properties", "expected"), BEATS)
def test_a_player_is_understood(name: str, properties: dict[str, Any], expected: dict[str, Any]) -> None:
    event = track(name, **properties)
    made = event.playback
    assert (made.video_id, made.viewing_id, made.duration_seconds) == ("v-1", "s-1", 392)
    assert event_pb2.PlaybackAction.Name(made.action) == f"PLAYBACK_ACTION_{expected['action'].upper()}"
    assert (made.position_seconds, made.watched_seconds) == (expected.get("at", 0), expected.get("watched", 0))
    assert made.seek_from_seconds == expected.get("from", 0)
    assert made.content_type == "loans"
    assert replayed(event) == event


def test_a_video_is_named_in_any_of_the_ways_of_the_specification() -> None:
    assert track("Video Playback Started", content_asset_ids=["v-1", "v-2"]).playback.video_id == "v-1"
    assert track("Video Playback Paused", content_asset_id=17).playback.video_id == "17"
    # Where only an advertisement is left no video is named.
    assert kind(track("Video Playback Completed", content_asset_id=None, ad_asset_id="ad")) == "feature_interaction"


def beats(*positions: tuple[str, float, float]) -> list[float]:
    """The seconds watched before each playback event of one request: name, position, seconds of the clock."""
    reader = Reader()
    return [
        read(
            {
                "type": "track",
                "userId": "ada",
                "event": name,
                "timestamp": f"2026-01-02T10:{int(at // 60):02}:{at % 60:06.3f}Z",
                "properties": {**VIDEO, "position": position},
            },
            reader,
        ).playback.watched_seconds
        for name, position, at in positions
    ]


def test_within_a_request_watched_time_follows_from_the_positions() -> None:
    assert beats(
        ("Video Content Started", 0, 0),
        ("Video Content Playing", 10, 10),
        ("Video Playback Paused", 13, 13),
        ("Video Playback Resumed", 13, 200),
        ("Video Content Playing", 14, 201),
        ("Video Playback Seek Started", 14, 201),
        ("Video Content Playing", 24, 211),
        ("Video Content Playing", 44, 221),  # at twice the speed
        ("Video Content Playing", 300, 231),  # nobody watches so fast
        ("Video Content Playing", 290, 241),
        ("Video Content Completed", 392, 343),
    ) == [0, 10, 3, 0, 1, 0, 10, 20, 0, 0, 102]


def test_what_is_guessed_is_said_to_be() -> None:
    reader = Reader()
    message = {"type": "track", "userId": "ada", "event": "Video Content Playing"}
    alone = {**message, "properties": {**VIDEO, "position": 300}}
    assert read(alone, reader).playback.is_watched_guessed
    assert not read(alone, reader).playback.is_watched_guessed
    exact = {**message, "properties": {**VIDEO, "position": 300, "watchedSeconds": 5}}
    assert not read(exact).playback.is_watched_guessed
    assert not read({**alone, "event": "Video Playback Paused"}).playback.is_watched_guessed


@pytest.mark.parametrize(
    ("context", "properties", "expected"),
    [
        ({"locale": "pt_BR.UTF-8"}, {}, {"locale": "pt_BR.UTF-8"}),
        ({"location": {"country": "AT", "city": "Graz", "latitude": 47.07}}, {}, {"country": "AT"}),
        (
            {"location": {"country": "at"}, "locale": "de-DE"},
            {"country": "CH", "locale": 1},
            {"country": "CH", "locale": 1},
        ),
        ({"location": {"country": "AT"}}, {"countryCode": "CH"}, {"countryCode": "CH"}),
        # Not by an address, and nothing that is no code.
        ({"ip": "192.0.2.1", "location": {"country": "Austria"}, "locale": "x" * 99}, {}, {}),
        ({"location": "AT", "locale": ["de"]}, {}, {}),
    ],
)
def test_where_the_context_declares_to_be_is_kept_with_an_event_and_nothing_else_of_it(
    context: dict[str, Any], properties: dict[str, Any], expected: dict[str, Any]
) -> None:
    message = {"userId": "ada", "context": context}
    event = read({**message, "type": "track", "event": "Opened", "properties": properties})
    assert {name: value for name, value in kept(event).items() if name not in {"event", "target"}} == expected
    assert replayed(event).properties == event.properties
    traits = read({**message, "type": "identify", "traits": {"plan": "pro"}})
    assert kept(traits) == {"plan": "pro"}


def test_a_batch_declares_where_its_messages_are() -> None:
    batch = context.read(b'{"location":{"country":"AT"},"locale":"de-AT"}')
    event = read(
        {"type": "track", "event": "Opened", "anonymousId": "a", "context": {"locale": "it"}}, Reader(None, batch)
    )
    assert (kept(event)["country"], kept(event)["locale"]) == ("AT", "it")


def test_pages_and_screens() -> None:
    page = {"type": "page", "userId": "ada", "context": WEB}
    event = read({**page, "name": "Home", "properties": {"path": "/home", "title": "T"}})
    assert (kind(event), event.page, event.platform) == ("page_view", "/home#T", event_pb2.PLATFORM_WEB)
    assert kept(event) == {"path": "/home", "title": "T", "page": "/home", "name": "Home", "locale": "de-DE"}
    assert read({**page, "properties": {"url": "https://a.b/x/y?q=/z#f"}}).page == "https://a.b/x/y?q=/z#f"
    assert read({**page, "name": "Home"}).page == ADDRESS
    bare = {"type": "page", "userId": "ada"}
    assert read({**bare, "name": "Home"}).page == "Home"
    assert read({**bare, "category": "Docs"}).page == "Docs"
    assert read({**bare, "properties": {"url": "https://a.b?next=/c"}}).page == "https://a.b?next=/c"
    screen = read({"type": "screen", "anonymousId": "a", "name": "Loan", "properties": {"path": "x"}})
    assert (kind(screen), screen.page, screen.platform) == ("page_view", "Loan", event_pb2.PLATFORM_MOBILE)
    assert (screen.user_id, screen.anonymous_id, screen.device_id) == ("a", "a", "a")


def test_who_a_user_is() -> None:
    known = read({"type": "identify", "userId": "ada", "anonymousId": "anon", "traits": {"plan": "pro"}})
    assert (kind(known), known.user_id, known.anonymous_id) == ("identify", "ada", "anon")
    assert kept(known) == {"plan": "pro"}
    unknown = read({"type": "identify", "anonymousId": "anon", "traits": {"plan": "pro"}})
    assert (kind(unknown), unknown.user_id, unknown.target) == ("feature_interaction", "anon", "identify")
    alias = read({"type": "alias", "previousId": "anon", "userId": "ada"})
    assert (kind(alias), alias.user_id, alias.anonymous_id) == ("identify", "ada", "anon")
    group = read({"type": "group", "userId": "ada", "groupId": "g", "traits": {"name": "Initech"}})
    assert (kind(group), group.target) == ("feature_interaction", "group")
    assert kept(group) == {"name": "Initech", "groupId": "g", "target": "group"}


@pytest.mark.parametrize(
    ("context", "platform"),
    [
        (WEB, "WEB"),
        ({"library": {"name": "analytics-python"}}, "BACKEND"),
        ({"library": {"name": "@segment/analytics-node"}}, "BACKEND"),
        *(
            ({"library": {"name": f"analytics-{language}"}}, "BACKEND")
            for language in ("node", "ruby", "php", "go", "java", "dotnet", "csharp", "rust", "elixir")
        ),
        ({"library": {"name": "Analytics.NET"}}, "BACKEND"),
        ({"channel": "server"}, "BACKEND"),
        ({"library": {"name": "analytics-ios"}}, "MOBILE"),
        ({"library": {"name": "analytics-kotlin"}}, "MOBILE"),
        ({"library": {"name": "@segment/analytics-react-native"}}, "MOBILE"),
        ({"library": {"name": "@segment/analytics-node"}, "channel": "browser"}, "WEB"),
        ({"library": {"name": "analytics-python"}, "device": {"type": "Android", "id": "d-1"}}, "MOBILE"),
        ({"library": "what?", "device": [], "page": 7, "timezone": {}, "userAgent": 1}, "UNSPECIFIED"),
        ({}, "UNSPECIFIED"),
        (None, "UNSPECIFIED"),
    ],
)
def test_the_platform_is_that_of_the_library(context: Any, platform: str) -> None:
    event = read({"type": "track", "userId": "ada", "event": "e", "context": context})
    assert event_pb2.Platform.Name(event.platform) == f"PLATFORM_{platform}"
    assert event.device_id == ((context or {}).get("device") or {"id": ""}).get("id", "")


@pytest.mark.parametrize(
    ("written", "microseconds"),
    [
        ("2026-01-02T10:00:30.250Z", 1_767_348_030_250_000),
        ("2026-01-02T12:00:30.25+02:00", 1_767_348_030_250_000),
        ("2026-01-02T10:00:30.250", 1_767_348_030_250_000),
        ("2026-01-02T10:00:30.250123456Z", 1_767_348_030_250_123),
        ("2026-01-02 10:00:30Z", 1_767_348_030_000_000),
        ("2015-2-02T00:30:12.984Z", 1_422_837_012_984_000),
        ("2026-01-02", 1_767_312_000_000_000),
        (None, NOW_US),
    ],
)
def test_times_are_read_as_clients_write_them(written: str | None, microseconds: int) -> None:
    message = {"type": "track", "userId": "ada", "event": "e", "timestamp": written}
    assert read(message).event_time_us == microseconds


def test_events_through_segment_use_the_client_s_own_time() -> None:
    message = {
        "type": "track",
        "userId": "ada",
        "event": "e",
        "timestamp": "2026-01-02T10:00:30Z",
        "originalTimestamp": "2026-01-02T09:00:30Z",
    }
    assert read(message).event_time_us == 1_767_348_030_000_000
    assert read({**message, "sentAt": "2026-01-02T09:00:31Z"}).event_time_us == 1_767_344_430_000_000
    # An unreadable time of sending is left out.
    assert read({**message, "sentAt": "soon"}).sent_time_us == 0


AMOUNT = "UNREADABLE_AMOUNT"
BAD: list[tuple[dict[str, Any], str]] = [
    ({"type": "track", "userId": "ada"}, "MISSING_FIELD"),
    ({"type": "track", "userId": "ada", "event": 7}, "INVALID_TYPE"),
    ({"userId": "ada", "event": "e"}, "MISSING_FIELD"),
    ({"type": "trak", "userId": "ada", "event": "e"}, "UNKNOWN_EVENT_TYPE"),
    ({"type": "alias", "userId": "ada"}, "MISSING_FIELD"),
    ({"type": "alias", "previousId": "anon"}, "MISSING_FIELD"),
    ({"type": "track", "userId": ["ada"], "event": "e"}, "INVALID_TYPE"),
    ({"type": "track", "userId": "ada", "event": "e", "timestamp": "yesterday"}, "INVALID_TIME"),
    ({"type": "track", "userId": "ada", "event": "e", "timestamp": 17673480}, "INVALID_TIME"),
    ({"type": "track", "userId": "ada", "event": "e", "properties": {"x": "x" * 33_000}}, "EVENT_TOO_LARGE"),
    (
        {"type": "track", "userId": "ada", "event": "e", "properties": {"x": json.loads("[" * 40 + "]" * 40)}},
        "INVALID_TYPE",
    ),
    ({"type": "track", "userId": "a\ud800", "event": "e", "messageId": "m"}, "INVALID_IDENTIFIER"),
    ({"type": "track", "userId": "ada", "event": "Order Completed", "properties": {"total": "many"}}, AMOUNT),
    ({"type": "track", "userId": "ada", "event": "Order Completed", "properties": {"Total": float("inf")}}, AMOUNT),
]


@pytest.mark.parametrize(("message", "reason"), BAD)
async def test_a_bad_message_is_kept_and_never_costs_the_others(
    gateway: Gateway, message: dict[str, Any], reason: str
) -> None:
    good = {"type": "track", "userId": "ada", "event": "e"}
    body = {"batch": [good, message, good], "sentAt": "2026-01-02T10:00:31Z", "writeKey": "w"}
    answer = await gateway.post(json.dumps(body).encode(), "/v1/batch")
    assert answer.status_code == 200, answer.text
    verdict = answer.json()
    assert (verdict["success"], verdict["accepted"]) == (True, 2)
    assert [(one["index"], one["reason"]) for one in verdict["rejected"]] == [(1, reason)]
    (unreadable,) = gateway.services.ingest.unreadable
    assert unreadable.payload.strip() == json.dumps(message).encode()[:32_768]
    assert {event.sent_time_us for event in gateway.services.ingest.events} == {1_767_348_031_000_000}
    alone = await gateway.post(json.dumps({"batch": [message]}).encode(), "/v1/batch")
    assert (alone.status_code, alone.json()["reason"]) == (400, reason)


CALLS = [
    ("track", {"event": "Slider Moved"}, "feature_interaction"),
    ("page", {"name": "Home"}, "page_view"),
    ("screen", {"name": "Home"}, "page_view"),
    ("identify", {"traits": {}}, "identify"),
    ("group", {"groupId": "g"}, "feature_interaction"),
    ("alias", {"previousId": "a"}, "identify"),
]


@pytest.mark.parametrize(("call", "members", "expected"), CALLS)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain; charset=UTF-8", None])
async def test_each_call_has_its_path(
    gateway: Gateway, call: str, members: dict[str, Any], expected: str, content_type: str | None
) -> None:
    # What the body says of its type does not count against the path.
    body = json.dumps({"userId": 7, "messageId": "m", "type": "trak", "writeKey": "w", **members}).encode()
    headers = {"authorization": BASIC} | ({"content-type": content_type} if content_type else {})
    answer = await gateway.client.post(f"/v1/{call}", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "success": True,
        "accepted": 1,
        "duplicates": 0,
        "rejected": [],
        "eventIds": ["m"],
        "traceId": answer.headers["x-trace-id"],
        "warnings": [],
    }
    (event,) = gateway.services.ingest.events
    assert (kind(event), event.user_id) == (expected, "7")
    again = await gateway.client.post(f"/v1/{call}", content=body, headers=headers)
    assert (again.status_code, again.json()["duplicates"]) == (200, 1)


def test_a_message_of_its_own_may_be_as_large_as_in_a_batch() -> None:
    message: dict[str, Any] = {"userId": "ada", "event": "e", "properties": {"x": ""}}
    message["properties"] = {"x": "x" * (native.MAX_EVENT_BYTES - len(json.dumps(message)))}
    raw = with_members(json.dumps(message).encode(), {"type": "track"})
    rows = Rows()
    Reader().read(raw, EventSink(rows.add, STAMP, str, ignore))
    assert message["properties"].items() <= kept(rows.table().event(0)).items()


async def test_a_batch_may_be_packed_and_its_context_counts_for_all(gateway: Gateway) -> None:
    batch = {
        "batch": [
            {"type": "page", "userId": "ada", "name": "Home"},
            {"type": "page", "userId": "ada", "name": "Home", "context": {"library": {"name": "analytics-node"}}},
        ],
        "context": WEB,
    }
    body = gzip.compress(json.dumps(batch).encode())
    for path in ("/v1/batch", "/v1/import"):
        answer = await gateway.post(body, path, **{"content-encoding": "gzip"})
        assert (answer.status_code, answer.json()["accepted"]) == (200, 2)
    first, second = gateway.services.ingest.events[:2]
    assert (first.platform, second.platform) == (event_pb2.PLATFORM_WEB, event_pb2.PLATFORM_BACKEND)
    assert first.time_zone == second.time_zone == "Europe/Berlin"
    assert first.page == second.page == ADDRESS


def full(size: int) -> bytes:
    """A batch of so many bytes."""
    body = b'{"batch":[{"type":"page","userId":"ada","name":"n"}]}'
    return body + b" " * (size - len(body))


PACKED = {"content-encoding": "gzip"}
LARGE = "REQUEST_TOO_LARGE"
REFUSED: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "larger than 512 KiB": (full(524_289), {}, 400, "REQUEST_TOO_LARGE"),
    "larger when unpacked": (gzip.compress(full(524_289)), PACKED, 400, "REQUEST_TOO_LARGE"),
    "a bomb": (gzip.compress(b" " * 200_000_000), PACKED, 400, "REQUEST_TOO_LARGE"),
    "cut off": (gzip.compress(full(1_000))[:-9], PACKED, 400, "MALFORMED_JSON"),
    "with something behind": (gzip.compress(full(1_000)) + b"x", PACKED, 400, "MALFORMED_JSON"),
    "no gzip": (full(1_000), PACKED, 400, "MALFORMED_JSON"),
    "another packing": (full(1_000), {"content-encoding": "br"}, 415, "UNSUPPORTED_CONTENT_TYPE"),
    "a form": (b"a=b", {"content-type": "application/x-www-form-urlencoded"}, 415, "UNSUPPORTED_CONTENT_TYPE"),
    "empty": (b'{"batch":[]}', {}, 400, "EMPTY_BATCH"),
    "too many": (b'{"batch":[' + b",".join([b"{}"] * 5_001) + b"]}", {}, 400, "REQUEST_TOO_LARGE"),
    "too many, one broken": (b'{"batch":[NaN,' + b",".join([b"{}"] * 5_001) + b"]}", {}, 400, "REQUEST_TOO_LARGE"),
    "no batch": (b'{"batch":{}}', {}, 400, "INVALID_TYPE"),
    "no member batch": (b"{}", {}, 400, "INVALID_TYPE"),
    "no JSON": (b'{"batch":', {}, 400, "MALFORMED_JSON"),
    "broken outside": (b'{"batch":[{"type":"page"}],}', {}, 400, "MALFORMED_JSON"),
    "broken, and closed too often": (b'{"batch":[NaN]],[}', {}, 400, "MALFORMED_JSON"),
    "far too many for its bytes": (gzip.compress(b'{"batch":[' + b",".join([b"{}"] * 400) + b"]}"), PACKED, 400, LARGE),
}


@pytest.mark.parametrize(("body", "headers", "status", "reason"), REFUSED.values(), ids=REFUSED)
async def test_a_refused_request_reaches_no_service(
    gateway: Gateway, body: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    answer = await gateway.post(body, "/v1/batch", **headers)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert gateway.services.ingest.requests == []
    assert gateway.core.admission.held_bytes == 0


async def test_the_largest_that_may_be_is_taken(gateway: Gateway) -> None:
    assert (await gateway.post(full(524_288), "/v1/batch")).status_code == 200
    assert (await gateway.post(gzip.compress(full(524_288)), "/v1/batch", **PACKED)).status_code == 200


@pytest.mark.parametrize(
    ("error", "status"), [(Unavailable("BUFFER_FULL", "Full."), 503), (ResourceExhausted("BUFFER_FULL", "Full."), 429)]
)
async def test_a_request_that_cannot_be_accepted_now_may_be_retried(gateway: Gateway, error: Any, status: int) -> None:
    gateway.services.ingest.error = error
    answer = await gateway.post(full(100), "/v1/batch")
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "1")


async def test_a_rate_limited_request_must_wait_if_none_of_its_events_was_accepted(gateway: Gateway) -> None:
    limited = {"type": "track", "userId": "limited", "event": "e"}
    for body in ({"batch": [limited, limited]}, {"batch": [limited, {"type": "track"}]}):
        answer = await gateway.client.post("/v1/batch", json=body)
        assert (answer.status_code, answer.json()["reason"]) == (429, "RATE_LIMITED")
        assert answer.headers["retry-after"] == "1"
    some = await gateway.client.post("/v1/batch", json={"batch": [limited, limited | {"userId": "ada"}]})
    assert (some.status_code, [one["reason"] for one in some.json()["rejected"]]) == (200, ["RATE_LIMITED"])


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
property_names = st.sampled_from(
    ["page", "path", "url", "target", "position", "asset_id", "session_id", "total_length", "revenue", "currency",
     "product_id", "content_asset_ids", "seek_position", "watchedSeconds", "event", "errorCode", "x"]
)  # fmt: skip
event_names = st.sampled_from([name for name, meaning in names.MEANINGS.items() if not meaning.is_own]) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda name: not names.meaning(name).is_own)


@given(event_names, st.dictionaries(property_names, json_values, max_size=8), json_values)
def test_whatever_the_properties_hold_the_event_is_read_and_they_are_kept(
    name: str, properties: dict[str, Any], odd: Any
) -> None:
    context = {"page": odd, "device": odd, "library": odd, "userAgent": odd, "timezone": odd, "channel": odd}
    message = {"type": "track", "userId": "ada", "event": name, "properties": properties, "context": context}
    try:
        event = read(message)
    except InvalidArgument as error:
        assert (error.reason, names.meaning(name).event_type) == (AMOUNT, event_pb2.EVENT_TYPE_PURCHASE)  # noqa: PT017
        return
    assert properties.items() <= kept(event).items()
    assert event.playback.watched_seconds <= event.playback.position_seconds


@given(st.dictionaries(st.text(max_size=3), json_values, max_size=3), st.sampled_from(["", " ", "\n"]))
def test_members_are_added_behind_those_there_are(members: dict[str, Any], space: str) -> None:
    written = f"{space}{json.dumps(members)}{space}".encode()
    assert json.loads(with_members(written, {"added": [1]})) == members | {"added": [1]}
    assert with_members(written, {}) == written
    for other in (b"[]", b'"x"', b"", b"7"):
        assert with_members(other, {"added": 1}) == other


def documented() -> Iterator[tuple[str, str]]:
    """The rows of the document's table of names: a name, and the kind it becomes."""
    for row in DOCUMENT.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().strip("`") for cell in row.strip("|").split("|")]
        if len(cells) >= 2 and cells[1] in event_pb2_kinds():
            yield from ((name.strip().strip("`"), cells[1]) for name in cells[0].split(","))


def event_pb2_kinds() -> set[str]:
    return {name.removeprefix("EVENT_TYPE_").lower() for name in event_pb2.EventType.keys()}  # noqa: SIM118 - a wrapper


def test_the_documentation_lists_the_table() -> None:
    documented_names = dict(documented())
    assert {name.lower() for name in documented_names} == {
        name for name, meaning in names.MEANINGS.items() if not meaning.is_own
    }
    for name, kind_word in documented_names.items():
        meaning = names.meaning(name)
        assert event_pb2.EventType.Name(meaning.event_type) == f"EVENT_TYPE_{kind_word.upper()}"  # type: ignore[arg-type]


def test_a_context_that_is_no_object_is_left_out() -> None:
    noted: list[str] = []
    page = {"type": "page", "userId": "ada", "name": "n"}
    event = read({**page, "context": 7}, warn=lambda member, _: noted.append(member))
    assert (event.page, event.platform, noted) == ("n", 0, ["context"])
    # Languages without objects send empty ones as arrays.
    empty = {**page, "context": [], "properties": []}
    assert read(empty, warn=lambda member, _: noted.append(member)).page == "n"
    assert noted == ["context"]
    assert context.read(b"null") == context.MessageContext()


@pytest.mark.parametrize("odd", ["text", [1], 7, True])
def test_properties_that_are_no_object_are_left_out(odd: Any) -> None:
    for message in ({"type": "track", "event": "e"}, {"type": "page", "name": "n"}, {"type": "identify"}):
        name, noted = "traits" if message["type"] == "identify" else "properties", list[str]()
        event = read({**message, "userId": "ada", name: odd}, warn=lambda member, _, noted=noted: noted.append(member))  # type: ignore[misc]
        assert (event.user_id, noted) == ("ada", [name])
