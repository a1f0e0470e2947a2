"""What a Segment message means where its names are those of others: whose ids, which page, and what a system did."""

import json
from typing import Any

import pytest
from journeymesh.common.v1 import event_pb2

from gateway import transcode
from gateway.segment.messages import Reader
from tests.gateway.running import NOW_US, Gateway

STAMP = transcode.Stamp(NOW_US, bytes(range(16)), bytes(range(8)))


def read(message: dict[str, Any] | str, reader: Reader | None = None) -> event_pb2.Event:
    """The event a message becomes; nothing of it may be warned of."""
    record = event_pb2.EventRecord()
    written = message if isinstance(message, str) else json.dumps(message)

    def warn(member: str, detail: str) -> None:
        pytest.fail(f"{member}: {detail}")

    (reader or Reader()).read(written.encode(), record.events.add, STAMP, lambda: "made", warn)
    return record.events[0]


def track(event: str, **properties: Any) -> event_pb2.Event:
    return read({"type": "track", "userId": "ada", "event": event, "properties": properties})


def kind(event: event_pb2.Event) -> str:
    return event_pb2.EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()


NUMBERS = ["12345678901234567890001", "12345678901234567890002", "7", "-1", "1e3", "12.0", "1.50", "0.1E+2"]


@pytest.mark.parametrize("number", NUMBERS)
def test_an_id_that_is_a_number_keeps_every_digit(number: str) -> None:
    for member, attribute in (("userId", "user_id"), ("anonymousId", "anonymous_id"), ("messageId", "event_id")):
        user = "" if member == "userId" else '"userId":"ada",'
        event = read(f'{{{user}"type":"track","event":"e","{member}":{number}}}')
        assert getattr(event, attribute) == number
    alias = read(f'{{"type":"alias","userId":"ada","previousId":{number}}}')
    assert (alias.user_id, alias.anonymous_id) == ("ada", number)
    group = read(f'{{"type":"group","userId":"ada","groupId":{number}}}')
    assert json.loads(group.properties)["groupId"] == number
    beat = read(
        f'{{"type":"track","userId":"ada","event":"Video Playback Paused","properties":{{"asset_id":{number}}}}}'
    )
    assert beat.playback.video_id == number
    click = read(f'{{"type":"track","userId":"ada","event":"Product Clicked","properties":{{"product_id":{number}}}}}')
    assert click.target == number


@pytest.mark.parametrize(
    "text", [" ada ", "ada\u00a0l", "\u0645\u06cc\u200c\u062e", "e\u0301", "\u00e9", "A", "a\u200bb"]
)
def test_an_id_stays_as_it_is_letter_for_letter(text: str) -> None:
    event = read({"type": "track", "event": "e", "userId": text, "anonymousId": text, "messageId": text})
    assert (event.user_id, event.anonymous_id, event.event_id) == (text, text, text)


async def test_two_people_with_long_numbers_stay_two(gateway: Gateway) -> None:
    messages = ",".join(f'{{"type":"track","event":"e","userId":{number}}}' for number in NUMBERS[:2])
    answer = await gateway.post(f'{{"batch":[{messages}]}}'.encode(), "/v1/batch")
    assert answer.json()["accepted"] == 2
    assert [event.user_id for event in gateway.services.ingest.events] == NUMBERS[:2]


def test_the_first_id_that_is_not_empty_counts() -> None:
    event = read({"type": "track", "event": "e", "userId": "", "anonymousId": "anon", "messageId": ""})
    assert (event.user_id, event.anonymous_id, event.event_id) == ("anon", "anon", "made")
    assert read({"type": "page", "userId": "ada", "name": "", "properties": {"name": "Home"}}).page == "Home"
    assert track("Product Clicked", product_id="", promotion_id=None, name="Shoe").target == "Shoe"
    assert track("Video Playback Paused", asset_id="", content_asset_id="v").playback.video_id == "v"


COLLISIONS: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("Form Submitted", {"form": {"id": 1}}, "form_submit", {"target": ""}),
    ("Form Submitted", {"form": {"id": 1}, "field": "iban"}, "form_submit", {"target": "iban"}),
    ("Form Started", {"form": ["a"], "attempts": "first"}, "form_start", {"attempt_count": 0}),
    ("Error", {"target": {"href": "/x"}, "errorCode": {"id": 3}}, "error", {"target": "", "error_code": ""}),
    ("Error Shown", {"errorCode": 404}, "error", {"error_code": "404"}),
    ("Click", {"x": "left", "element": "save"}, "click", {"target": "save"}),
    ("Clicked", {"element": {"tag": "a"}, "y": None, "effectObserved": "yes"}, "click", {"target": ""}),
    ("Task Completed", {"task": 7}, "task_success", {"target": "7"}),
    ("Purchase", {"amount": "19.99", "currency": "EUR"}, "purchase", {}),
    ("Purchase", {"amount": {"value": 19.99}}, "feature_interaction", {"target": "Purchase"}),
    ("Purchase", {"amount": [1], "total": True}, "feature_interaction", {"target": "Purchase"}),
    ("Retry", {"isRefresh": "no", "attempts": 2.5}, "retry", {"is_refresh": False, "attempt_count": 0}),
    ("Page Viewed", {"page": "/home"}, "page_view", {"page": "/home"}),
    ("Page Viewed", {"page": "Home"}, "page_view", {"page": "Home"}),
    ("Page Viewed", {}, "feature_interaction", {"target": "Page Viewed"}),
    ("Page Viewed", {"page": 3}, "feature_interaction", {"target": "Page Viewed"}),
    ("Page Viewed", {"page": "3"}, "feature_interaction", {"target": "Page Viewed"}),
    ("Page Viewed", {"page": {"path": "/x"}}, "feature_interaction", {"target": "Page Viewed"}),
    ("page_view", {"page": 3, "url": "https://a.b/list?page=3"}, "page_view", {"page": "https://a.b/list?page=3"}),
    ("Video Playback", {"title": "x"}, "feature_interaction", {"target": "Video Playback"}),
    ("Video Playback", {"videoId": "v", "action": "rewind"}, "feature_interaction", {"target": "Video Playback"}),
    ("Video Playback", {"videoId": "v", "action": 3}, "feature_interaction", {"target": "Video Playback"}),
    ("video_playback", {"videoId": "v", "action": "pause", "positionSeconds": "9"}, "video_playback", {}),
    ("Intervention Outcome", {"outcome": "liked"}, "feature_interaction", {"target": "Intervention Outcome"}),
    ("Intervention Outcome", {"outcome": "withdrawn", "channel": "c"}, "feature_interaction", {}),
    ("Intervention Outcome", {"outcome": {"a": 1}}, "feature_interaction", {}),
    ("intervention_outcome", {"outcome": "shown", "channel": "email"}, "intervention_outcome", {}),
    ("Session Started", {"target": 1e3}, "session_start", {"target": "1000.0"}),
]


@pytest.mark.parametrize(("name", "properties", "expected", "members"), COLLISIONS)
def test_a_name_that_is_ours_by_chance_loses_nothing(
    name: str, properties: dict[str, Any], expected: str, members: dict[str, Any]
) -> None:
    event = track(name, **properties)
    assert kind(event) == expected
    for member, value in members.items():
        assert getattr(event, member) == value
    assert properties.items() <= json.loads(event.properties).items()
    assert json.loads(event.properties)["event"] == name


SYSTEM = [
    *("Push Notification Received", "push_notification_received", "pushNotificationBounced", "Push Notification Sent"),
    *("Push Notification Delivered", "Email Delivered", "email_bounced", "Email Sent", "Email Opened", "Email Dropped"),
    *("Email Marked as Spam", "Application Backgrounded"),
    *("Application Uninstalled", "Install Attributed", "SMS Delivered", "Live Chat Message Received"),
]
USERS = [
    *("Push Notification Tapped", "Email Link Clicked", "Unsubscribed", "Deep Link Opened", "Application Opened"),
    *("Application Installed", "Application Updated"),
    *("Live Chat Message Sent", "Application Crashed", "Order Completed", "Signed Out", "Subscription Renewed"),
]


@pytest.mark.parametrize("name", SYSTEM)
def test_what_a_system_did_is_not_what_the_user_did(name: str) -> None:
    event = track(name, campaign={"name": "c"})
    assert (kind(event), event.is_system, event.target) == ("feature_interaction", True, name)


@pytest.mark.parametrize("name", USERS)
def test_what_the_user_did_is_the_users(name: str) -> None:
    assert not track(name, revenue=1).is_system


@pytest.mark.parametrize("active", [False, True, None, "false", 0])
def test_a_client_may_say_that_the_user_was_not_active(active: Any) -> None:
    for message in (
        {"type": "track", "event": "Subscription Renewed"},
        {"type": "track", "event": "Order Completed", "properties": {"revenue": 9}},
        {"type": "identify", "traits": {"plan": "pro"}},
    ):
        event = read({**message, "userId": "ada", "context": {"active": active}})
        assert event.is_system is (active is False)
    batch = Reader(place=None)
    assert not read({"type": "page", "userId": "ada", "name": "n"}, batch).is_system


async def test_the_same_flag_is_ours(gateway: Gateway) -> None:
    event = {"userId": "ada", "eventType": "page_view", "properties": {"page": "/"}}
    answers = [await gateway.track(event | {"context": {"active": active}}) for active in (False, True, "no", None)]
    assert [event.is_system for event in gateway.services.ingest.events] == [True, False, False, False]
    assert [len(answer.json()["warnings"]) for answer in answers] == [0, 0, 1, 0]
    batch = {"batch": [{"type": "page", "userId": "ada", "name": "n"}], "context": {"active": False}}
    assert (await gateway.client.post("/v1/batch", json=batch)).status_code == 200
    assert gateway.services.ingest.events[-1].is_system


URL = "https://shop.example/search?q=loan&page=2#top"
PAGES: list[tuple[dict[str, Any], str]] = [
    ({"url": URL, "path": "/search"}, URL),
    ({"url": URL, "path": "/search/"}, URL),
    ({"url": URL}, URL),
    ({"url": "https://app.example/#/home", "path": "/"}, "https://app.example/#/home"),
    ({"url": "https://app.example/#/home", "path": "/#/home"}, "/#/home"),
    ({"url": "https://app.example/", "path": "/#/home"}, "/#/home"),
    ({"url": "https://app.example", "path": "/"}, "https://app.example"),
    ({"url": "https://app.example/real", "path": "/virtual/step-2"}, "/virtual/step-2"),
    ({"url": "https://a.example/%D8%AE%D8%AF", "path": "/\u062e\u062f"}, "https://a.example/%D8%AE%D8%AF"),
    ({"path": "/search", "search": "?q=loan"}, "/search?q=loan"),
    ({"path": "/search", "search": "q=loan"}, "/search?q=loan"),
    ({"path": "/search", "search": "?q=loan", "hash": "#/a"}, "/search?q=loan#/a"),
    ({"path": "/", "hash": "/home"}, "/#/home"),
    ({"path": "/search?q=x", "search": "?q=x"}, "/search?q=x"),
    ({"path": "/search", "url": "", "search": ""}, "/search"),
    ({"path": "", "url": URL}, URL),
    ({"url": "/relative?x=1", "path": "/relative"}, "/relative?x=1"),
    ({"url": 7, "path": "/search", "search": {}}, "/search"),
    ({"page": 3, "path": "/list"}, "/list"),
    ({"page": "3", "url": URL}, URL),
    ({"page": "٣", "url": URL}, URL),
    ({"page": "/named", "url": URL}, "/named"),
    ({"page": "", "path": "/p"}, "/p"),
]


@pytest.mark.parametrize(("properties", "expected"), PAGES)
def test_a_page_is_told_by_the_fullest_address(properties: dict[str, Any], expected: str) -> None:
    assert read({"type": "page", "userId": "ada", "properties": properties}).page == expected
    if "page" not in properties:
        event = read({"type": "track", "userId": "ada", "event": "e", "context": {"page": properties}})
        assert event.page == expected


def test_a_page_has_the_name_it_is_given() -> None:
    for name in ("404", "3", "Home"):
        assert read({"type": "page", "userId": "ada", "name": name}).page == name
        assert read({"type": "screen", "userId": "ada", "name": name, "properties": {"path": "/p"}}).page == name


BEATS: list[tuple[dict[str, Any], tuple[float, float, float]]] = [
    ({"position": -0.021, "total_length": -1}, (0, 0, 0)),
    ({"position": 0, "total_length": -0.001}, (0, 0, 0)),
    ({"position": 12, "total_length": None}, (12, 0, 10)),
    ({"position": 917302, "total_length": 0, "livestream": True}, (917302, 0, 10)),
    ({"position": "12.5", "total_length": "60"}, (12.5, 60, 10)),
    ({"position": 9.984, "watchedSeconds": 10.0}, (9.984, 0, 9.984)),
    ({"position": 10, "watchedSeconds": -3}, (10, 0, 0)),
    ({"position": [], "total_length": {}}, (0, 0, 0)),
    ({}, (0, 0, 0)),
]


@pytest.mark.parametrize(("properties", "expected"), BEATS)
def test_what_a_player_cannot_know_is_unknown(properties: dict[str, Any], expected: tuple[float, float, float]) -> None:
    beat = track("Video Content Playing", asset_id="v", **properties).playback
    assert (beat.position_seconds, beat.duration_seconds, beat.watched_seconds) == expected


async def test_an_endless_length_is_unknown_too(gateway: Gateway) -> None:
    properties = b'{"asset_id":"v","total_length":Infinity,"position":7}'
    body = b'{"userId":"ada","event":"Video Content Playing","properties":' + properties + b"}"
    assert (await gateway.post(body, "/v1/track")).status_code == 200
    huge = body.replace(b"Infinity", b"1e999")
    assert (await gateway.post(huge, "/v1/track")).status_code == 200
    assert [event.playback.duration_seconds for event in gateway.services.ingest.events] == [0, 0]


def test_a_position_that_stands_is_not_watched() -> None:
    reader = Reader()

    def beat(name: str, position: float, at: int) -> float:
        message = {"type": "track", "userId": "ada", "event": name, "timestamp": f"2026-01-02T10:00:{at:02}Z"}
        properties = {"asset_id": "v", "session_id": "s", "position": position}
        return read({**message, "properties": properties}, reader).playback.watched_seconds

    assert beat("Video Content Playing", 10, 10) == 10
    assert beat("Video Playback Paused", 13, 13) == 3
    assert [beat("Video Content Playing", 13, at) for at in (23, 33, 43)] == [0, 0, 0]
    assert beat("Video Playback Resumed", 13, 50) == 0
    assert beat("Video Content Playing", 17, 54) == 4
